/* filter.h - the lies of the kernel mended: handshake and control records, and parts of records, make it
 * report readable. They are taken away before the program hears of them. */
#ifndef MTLSWRAP_FILTER_H
#define MTLSWRAP_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "slot.h"

/* When the kernel says that fd is readable, that may be about something else than plaintext. */
bool filter_doubts(int fd);
/* The kernel says that fd is readable. False: a read would wait all the same. */
bool filter_readable(int fd);
/* Before the handshake is done no more bytes are kept: a write would wait, although the kernel says that
 * there is room. Nobody tells when it has ended, so who waits looks again. */
bool filter_full(int fd);
/* That was ever so in this process; filter_fills says it is about to be. */
bool filter_ever_full(void);
void filter_fills(void);

/* Registrations of managed descriptors in epoll sets, whose events carry no descriptor. */
void filter_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *event);
/* A part of a record has come: from now on all its registrations count. */
void filter_torn(int fd, struct slot *s);
/* Removes untrue events of a set in place; returns how many are left. Sets full if one was filter_full. */
int filter_epoll(int epfd, struct epoll_event *events, int n, bool *full);
/* Is there any registration at all? */
bool filter_epoll_needed(void);

/* Around fork, in the parent and in the child. */
void filter_fork_prepare(void);
void filter_fork_done(void);

/* Behind a seccomp filter that forbids to peek, a record that is larger than the program's buffer cannot
 * leave a byte in the kernel; then the rest is told of here. Also, somebody may have to do the driver's work.
 */
bool filter_loose(void);
/* There is such a rest. */
bool filter_held(int fd);
/* The same for any descriptor that waits in the set; adds its events to the n that there are. */
bool filter_epoll_holds(int epfd);
int filter_epoll_tell(int epfd, struct epoll_event *events, int n, int max);

#endif
