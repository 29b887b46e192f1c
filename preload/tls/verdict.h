/* verdict.h - the single translator of OpenSSL's verdicts into plain words. */
#ifndef MTLSWRAP_VERDICT_H
#define MTLSWRAP_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "state.h"

/* Says in h->error why OpenSSL failed (ssl_error: from SSL_get_error) and sets h->refused; empties the error
 * queue. */
void verdict_set(struct handshake *h, int ssl_error);

/* Says in h->error what we found ourselves. */
void verdict_say(struct handshake *h, const char *why);

/* "peer refused our certificate (alert 42 bad_certificate)". alert: its description byte. */
const char *verdict_alert(unsigned alert, char *out, size_t size);

/* True for alerts that refuse a certificate. */
__attribute__((warn_unused_result)) bool verdict_refuses_certificate(unsigned alert);

#endif
