/* driver_set.h - what the driver waits for beside the time. All calls but driver_set_wait: under the driver's
 * lock. */
#ifndef MTLSWRAP_DRIVER_SET_H
#define MTLSWRAP_DRIVER_SET_H

#include "conn.h"

enum { DRIVER_SET_NEWS = 64 };

/* Makes the set if there is none. In a thread of the program: a moment long it takes a low number, which only
 * the program's own call may do. */
void driver_set_ready(void);
/* c is to be told of once when c->fd has input (EPOLLIN) or room (EPOLLOUT). False: nobody will tell. */
bool driver_set_arm(struct conn *c, uint32_t events);
void driver_set_disarm(struct conn *c);
/* At most ms. Returns how many of the conns had news, 0 after a wait in vain, -1 if there is no waiting here.
 */
int driver_set_wait(struct conn *news[DRIVER_SET_NEWS], int ms);
/* It has been told of. */
void driver_set_told(struct conn *c);
/* In a forked child: the set is the parent's. */
void driver_set_forked(void);

#endif
