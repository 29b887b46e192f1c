/* conn_parts.h - what making a connection and deciding about it share. */
#ifndef MTLSWRAP_CONN_PARTS_H
#define MTLSWRAP_CONN_PARTS_H

#include "conn.h"

/* A conn with a slot (a fork may have given the socket one before), not yet in the descriptor table. NULL:
 * there is no room. */
struct conn *conn_made(int fd);
/* What this process would decide about a connection that others began; the slot's own strictness stays. */
void conn_decide_again(struct conn *c);

#endif
