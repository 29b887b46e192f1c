/* fallback.h - PERMISSIVE: how a connection becomes plaintext. Every function is called with tx_lock held. */
#ifndef MTLSWRAP_FALLBACK_H
#define MTLSWRAP_FALLBACK_H

#include <stdbool.h>

#include "conn.h"

/* Accepting side, or the end of a reconnect: sends kept bytes in plaintext; when all are out the slot turns
 * SLOT_PLAIN. why is logged once, NULL on continuation. */
void fallback_plain(int fd, struct slot *s, struct conn *c, const char *why);

/* The client ended without a word: nothing can leak any more, and the kernel knows best what follows. */
void fallback_quietly(int fd, struct slot *s, struct conn *c);

/* tlsInTls = skip: the program speaks TLS itself, so what it wrote goes out as it is. */
void fallback_leave(int fd, struct slot *s, struct conn *c);

/* Connecting side: may this failed handshake be followed by plaintext? Never after a refused certificate,
 * never towards a peer that has spoken TLS before. */
bool fallback_possible(const struct slot *s, const struct conn *c);
/* Disconnects and connects the same descriptor again. why is a constant text, logged when it is known what
 * has come of it. error: what the program is told when nobody is there any more; 0: what connect says. */
void fallback_begin(int fd, struct slot *s, struct conn *c, int error, const char *why);
/* Looks whether the new connection stands; wait: blocks for it. */
void fallback_continue(int fd, struct slot *s, struct conn *c, bool wait);

/* Remembers that this peer speaks TLS. */
void fallback_spoke_tls(const struct slot *s);

/* The rest of a blocking write whose beginning was kept before the connection turned plaintext. tx_lock is
 * held. Returns the bytes that went out; less than all after an error, which the next call meets. */
ssize_t fallback_rest(int fd, struct slot *s, const struct iovec *iov, int count, size_t skip, int flags);

/* Around fork, in the parent and in the child. */
void fallback_fork_prepare(void);
void fallback_fork_done(void);

#endif
