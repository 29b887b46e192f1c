/* context.h - the few SSL_CTX that a process needs, each with the credentials it was made from.
 *
 * A context never changes: a reload makes another one, and handshakes hold a reference to theirs. Thread
 * safe; its callers have passed the gate (gate.h), so a forked child finds the lock free. */
#ifndef MTLSWRAP_CONTEXT_H
#define MTLSWRAP_CONTEXT_H

#include <openssl/types.h>

#include "credentials.h"

struct context {
    SSL_CTX *ssl;
    struct credentials cred;
    uint8_t label[32]; /* what tickets are bound to: trust generation, own identity, trust domain */
    unsigned refs;     /* atomic */
};

/* A referenced context with the newest usable credentials; NULL with the reason in error. */
__attribute__((warn_unused_result)) struct context *context_get(const struct handshake_config *cfg,
                                                                char *error);

/* No file is looked at from now on: loaded credentials stay, others cannot be had. */
void context_freeze(void);
void context_put(struct context *c);

#endif
