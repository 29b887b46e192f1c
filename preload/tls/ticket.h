/* ticket.h - session tickets of the accepting side.
 *
 * Keys come from one secret per family of processes: made with the first server context, inherited by fork,
 * moved on by hashing once per TICKET_PERIOD, so that every process finds the same key without talking and an
 * old one cannot be computed from a new one. A ticket is good only for the trust and the identity (context
 * label) that it was made under. */
#ifndef MTLSWRAP_TICKET_H
#define MTLSWRAP_TICKET_H

#include <openssl/types.h>

enum { TICKET_PERIOD = 7200 }; /* seconds; also the lifetime of a session */

/* Sets the callbacks on a server's context. False: out of memory or entropy. */
__attribute__((warn_unused_result)) int ticket_setup(SSL_CTX *ctx);

#endif
