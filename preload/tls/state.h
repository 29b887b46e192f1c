/* state.h - what one handshake is, for the files of this directory only. */
#ifndef MTLSWRAP_STATE_H
#define MTLSWRAP_STATE_H

#include <openssl/types.h>

#include "context.h"
#include "handshake.h"
#include "peer.h"

struct handshake {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    struct context *context;
    struct peer_policy policy;
    enum handshake_status status;
    bool refused;       /* a certificate was refused by either side */
    bool spoke_tls;     /* the peer's bytes were TLS */
    bool takes_tickets; /* the client can resume with (EC)DHE */
    bool resume;        /* session_key is valid */
    bool exported;
    unsigned tickets;  /* server: made; client: stored */
    size_t taken;      /* bytes of out that left already */
    int64_t chain_end; /* the peer's chain is good until then (seconds since 1970) */
    uint8_t session_key[32];
    uint8_t secret[2][48]; /* TLS 1.3 traffic secrets: client's, server's */
    size_t secret_len[2];
    char peer[HANDSHAKE_NAME_MAX];
    char reason[HANDSHAKE_ERROR_MAX]; /* set by who knows better than OpenSSL */
    char error[HANDSHAKE_ERROR_MAX];
};

/* The handshake behind an SSL object. */
struct handshake *state_of(const SSL *ssl);
/* Ties both together. False: out of memory. */
__attribute__((warn_unused_result)) bool state_attach(SSL *ssl, struct handshake *h);

#endif
