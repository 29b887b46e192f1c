/* wire.h - system calls of our own on managed descriptors. They are the plain calls, unless the program has
 * confined itself so that it would be punished for them: then another call does the job, or the answer is
 * that it cannot be done (EPERM). Results and errors are those of the calls they are named after. */
#ifndef MTLSWRAP_WIRE_H
#define MTLSWRAP_WIRE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "confine.h"
#include "raw.h"
#include "real.h"

/* Bytes can be looked at and left in the kernel. Where not, MSG_PEEK fails. */
static inline bool wire_peeks(void) {
    return !confine_lost(CONFINE_RECV) || !confine_lost(CONFINE_RECVMSG);
}

ssize_t wire_recv_confined(int fd, void *buf, size_t n, int flags);
ssize_t wire_send_confined(int fd, const void *buf, size_t n, int flags);
int wire_poll_confined(struct pollfd *fds, nfds_t n, int timeout);
/* For a program that lowered RLIMIT_NOFILE below what it has open: poll wants fewer than that. */
int wire_poll_beyond_limit(struct pollfd *fds, nfds_t n, int timeout);
int wire_denied(void);
pid_t wire_getpid_confined(void);
/* Before getpid is gone, and in a forked child. */
void wire_learn_pid(void);

/* Somebody could cancel a thread of the program: it has more than the first, or asked for a cancellation.
 * (Our own thread cancels nobody.) */
extern _Atomic bool wire_cancellable;

/* A call that does not wait can be cancelled before it only. libc's own opens itself for cancellation around
 * each call as soon as there ever was a second thread, and the driver is one. */
static inline bool wire_opens_itself(int flags) {
    if (!(flags & MSG_DONTWAIT))
        return atomic_load_explicit(&wire_cancellable, memory_order_relaxed);
    pthread_testcancel();
    return false;
}

static inline ssize_t wire_recv(int fd, void *buf, size_t n, int flags) {
    if (confine_lost(CONFINE_RECV))
        return wire_recv_confined(fd, buf, n, flags);
    if (wire_opens_itself(flags))
        return real.recv(fd, buf, n, flags);
    return raw_call(SYS_recvfrom, fd, (long)buf, (long)n, flags, 0, 0);
}

static inline ssize_t wire_send(int fd, const void *buf, size_t n, int flags) {
    if (confine_lost(CONFINE_SEND))
        return wire_send_confined(fd, buf, n, flags);
    if (wire_opens_itself(flags))
        return real.send(fd, buf, n, flags);
    return raw_call(SYS_sendto, fd, (long)buf, (long)n, flags, 0, 0);
}

static inline int wire_poll(struct pollfd *fds, nfds_t n, int timeout) {
    if (confine_lost(CONFINE_POLL))
        return wire_poll_confined(fds, n, timeout);
    int got = real.poll(fds, n, timeout);
    return got < 0 && errno == EINVAL ? wire_poll_beyond_limit(fds, n, timeout) : got;
}

/* The kernel has an error to tell of fd, or has given the connection up. The look uses nothing up. */
static inline bool wire_failed(int fd) {
    struct pollfd p = {.fd = fd};
    int saved = errno;
    bool is = wire_poll(&p, 1, 0) == 1;
    errno = saved;
    return is;
}

static inline int wire_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    return confine_lost(CONFINE_SETSOCKOPT) ? wire_denied() : real.setsockopt(fd, level, name, value, len);
}

static inline int wire_getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
    return confine_lost(CONFINE_GETSOCKOPT) ? wire_denied() : real.getsockopt(fd, level, name, value, len);
}

static inline int wire_getsockname(int fd, struct sockaddr *name, socklen_t *len) {
    return confine_lost(CONFINE_NAMES) ? wire_denied() : getsockname(fd, name, len);
}

static inline int wire_getpeername(int fd, struct sockaddr *name, socklen_t *len) {
    return confine_lost(CONFINE_NAMES) ? wire_denied() : getpeername(fd, name, len);
}

static inline int wire_ioctl(int fd, unsigned long request, int *value) {
    return confine_lost(CONFINE_IOCTL) ? wire_denied() : real.ioctl(fd, request, value);
}

static inline int wire_shutdown(int fd, int how) {
    return confine_lost(CONFINE_SHUTDOWN) ? wire_denied() : real.shutdown(fd, how);
}

static inline int wire_fcntl(int fd, int command, long arg) {
    return confine_lost(CONFINE_FCNTL) ? wire_denied() : real.fcntl(fd, command, arg);
}

static inline int wire_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    return confine_lost(CONFINE_EPOLL) ? wire_denied() : real.epoll_ctl(epfd, op, fd, event);
}

static inline int wire_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout) {
    return confine_lost(CONFINE_EPOLL_SET) ? wire_denied() : real.epoll_wait(epfd, events, max, timeout);
}

/* Asked each time: a vfork child has the memory of its parent and is another process all the same. */
static inline pid_t wire_getpid(void) {
    return confine_lost(CONFINE_PID) ? wire_getpid_confined() : getpid();
}

#endif
