/* shake_input.h - between shake.c and shake_input.c alone. rx_lock is held in both. */
#ifndef MTLSWRAP_SHAKE_INPUT_H
#define MTLSWRAP_SHAKE_INPUT_H

#include "conn.h"

/* What a look at the kernel's queue led to. */
enum look { LOOK_MORE, LOOK_STOP, LOOK_NOTHING };

/* Where nothing is carried and a peek is possible. flags: MSG_DONTWAIT or 0. LOOK_STOP: errno says why. */
enum look shake_input_fresh(int fd, struct slot *s, struct conn *c, int flags);
/* The rest of a record whose beginning is in the carry. */
enum look shake_input_carry(int fd, struct slot *s, struct conn *c, int flags);
/* A blocking call is back. False: errno says why this thread has to let go. */
bool shake_input_waited(struct slot *s);

#endif
