/* session.h - the connecting side's memory of sessions, one per process, bounded. */
#ifndef MTLSWRAP_SESSION_H
#define MTLSWRAP_SESSION_H

#include <openssl/ssl.h>

#include "state.h"

/* Fills h->session_key from everything that a session depends on. */
__attribute__((warn_unused_result)) bool session_key(struct handshake *h, const struct handshake_config *cfg);

/* Offers a remembered session, if there is one that would still be accepted. */
void session_offer(struct handshake *h);

/* For SSL_CTX_sess_set_new_cb: remembers a session of a verified peer. */
int session_captured(SSL *ssl, SSL_SESSION *session);

/* How many sessions wait for the handshake's destination. */
__attribute__((warn_unused_result)) unsigned session_count(const struct handshake *h);

#endif
