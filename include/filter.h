/* filter.h - the one lie of the kernel mended: handshake and control records make it report readable. For a
 * blocking descriptor, whose program reads only when told that it may, they are taken away before the program
 * hears of them. */
#ifndef MTLSWRAP_FILTER_H
#define MTLSWRAP_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* The kernel says that fd is readable. False: a read would wait all the same. */
bool filter_readable(int fd);

/* Registrations of managed descriptors in epoll sets, whose events carry no descriptor. */
void filter_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *event);
/* Removes untrue events of a set in place; returns how many are left. */
int filter_epoll(int epfd, struct epoll_event *events, int n);
/* Is there any registration at all? */
bool filter_epoll_needed(void);

/* Around fork, in the parent and in the child. */
void filter_fork_prepare(void);
void filter_fork_done(void);

#endif
