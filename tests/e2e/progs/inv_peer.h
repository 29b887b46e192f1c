/* inv_peer.h - what inv_peer.c lets inv_gather.c look at. */
#ifndef INV_PEER_H
#define INV_PEER_H

#include <stdbool.h>
#include <stddef.h>

void gather_begin(void);
/* Bytes as they came from the wire, and the plaintext of the records among them. */
void gather_raw(const unsigned char *p, size_t n, bool shows_nonces);
void gather_plain(const unsigned char *p, size_t n);
/* Writes the judgement as one line; `ending` if there is nothing worse to tell. */
void gather_end(int to, const char *ending);

#endif
