/* driver.h - one on-demand thread that attends to what nobody else attends to: handshakes, tails, lingering
 * closes (design: bytes that a write accepted get delivered). All signals are blocked in it, it makes only
 * non-blocking calls, and it ends when idle. */
#ifndef MTLSWRAP_DRIVER_H
#define MTLSWRAP_DRIVER_H

#include "conn.h"

enum {
    DRIVER_DELIVERY_MS =
        600 * 1000, /* how long accepted bytes wait for a slow reader after close; an exit waits less */
    DRIVER_PATIENCE_MS = 2,          /* the usual request and response never meet the driver */
    DRIVER_PATIENCE_ACCEPTED_MS = 20 /* an accepted connection may be about to move to a forked child */
};

/* Around a copy of the process that libc does not know of: the copy would still count our thread among its
 * own, and wait for it (setuid does). The thread ends, if it can soon, and begins anew when there is work. */
void driver_pause(void);
void driver_resume(void);

/* Our thread is there. */
bool driver_running(void);

/* Puts c on the list, to be looked at in `patience` ms (sooner wins). */
void driver_attend(struct conn *c, unsigned patience);
/* Takes c off the list and waits until the driver has let go of it. */
void driver_forget(struct conn *c);
/* Does the driver's work in this thread until no closing connection is left, at most ms. */
void driver_finish(unsigned ms);
/* A connection that the program has closed is yet to be delivered. */
bool driver_seeing_off(void);
/* No thread is to be had (a seccomp filter, a limit of processes): the program's own calls do the work. */
bool driver_unmanned(void);
/* A connection was closed and nobody else will see it off: does so here, at most ms. */
void driver_see_off(unsigned ms);
/* The same for one connection whose descriptor the calling close still has. */
void driver_see_through(struct conn *c, unsigned ms);
/* Before a blocking call on fd: does the driver's work until fd has something to tell or none is left. False:
 * a signal came. */
bool driver_stand_in(int fd, short events);
/* true: from now on the thread ends as soon as nothing is left to do, and none is started. false: waits until
 * it has ended if that is so, and allows one again. */
void driver_rest(bool on);
/* One look at everything that is due, in this thread, if no driver runs. Returns whether anything is on the
 * list. */
bool driver_step(void);
/* Around fork. */
void driver_fork_prepare(void);
void driver_fork_parent(void);
void driver_fork_child(void);

#endif
