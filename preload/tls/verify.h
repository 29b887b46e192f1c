/* verify.h - is the peer who it must be, now? Chains that were verified once are remembered. */
#ifndef MTLSWRAP_VERIFY_H
#define MTLSWRAP_VERIFY_H

#include <openssl/x509.h>

#include "state.h"

/* For SSL_CTX_set_cert_verify_callback. */
int verify_chain(X509_STORE_CTX *ctx, void *unused);

/* What OpenSSL leaves out when a session is resumed: whether the peer that the session remembers (leaf may be
 * NULL: it sent no certificate) would be accepted now. chain_end: until when its chain was good. False with
 * the reason in why. */
__attribute__((warn_unused_result)) bool verify_again(const struct handshake *h, X509 *leaf,
                                                      int64_t chain_end, char *why, size_t size);

#endif
