/* hello.h - whose TLS is it? What the first bytes of either side say about a connection that policy wants
 * protected. tx_lock is held in every call but the first. */
#ifndef MTLSWRAP_HELLO_H
#define MTLSWRAP_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"

/* A TLS record that can only be a ClientHello? 1, 0, or -1: too few bytes to tell. */
int hello_begins(const uint8_t *p, size_t n);

/* Accepting side: does the handshake have to wait for the client's first bytes? */
bool hello_awaited(const struct slot *s, const struct conn *c);
/* Accepting side: the client's first bytes. True: a handshake of ours; false: the slot turned plaintext or
 * failed, or more bytes are needed. */
bool hello_sniff(int fd, struct slot *s, struct conn *c, const uint8_t *p, size_t n);

/* Connecting side: must our ClientHello wait, because the program's own may yet come? Leaves the connection
 * alone when it has come. */
bool hello_held(int fd, struct slot *s, struct conn *c);
/* The program or the peer has shown that no TLS of the program's own is to come. */
void hello_rule_out(struct conn *c);
/* When the wait is over though nothing happens; UINT64_MAX: there is none. */
uint64_t hello_wait_ends(const struct conn *c);

#endif
