/* wire.c - what is left of our system calls behind a seccomp filter of the program's own. Each of them makes
 * only calls that the filter allows. */
#include "wire.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "fdtable.h"

enum { STEP = 2048 }; /* the send buffer of a socket that polls writable has room for this much */

static _Atomic pid_t known_pid;
_Atomic bool wire_cancellable;

int wire_denied(void) {
    errno = EPERM;
    return -1;
}

void wire_learn_pid(void) {
    if (!confine_lost(CONFINE_PID))
        atomic_store(&known_pid, getpid());
}

pid_t wire_getpid_confined(void) {
    return atomic_load(&known_pid);
}

/* --- waiting ------------------------------------------------------------------------------------- */

static struct timespec *span_of(int ms, struct timespec *t) {
    *t = (struct timespec){ms / 1000, (long)(ms % 1000) * 1000000};
    return ms < 0 ? NULL : t;
}

/* Descriptors by select; those beyond its sets count as silent. */
enum { SET_FDS = 8192, SET_WORD = 8 * sizeof(unsigned long) };

struct set {
    unsigned long words[SET_FDS / SET_WORD];
};

static void put_in(struct set *set, int fd) {
    set->words[(size_t)fd / SET_WORD] |= 1ul << ((size_t)fd % SET_WORD);
}

static bool is_in(const struct set *set, int fd) {
    return set->words[(size_t)fd / SET_WORD] >> ((size_t)fd % SET_WORD) & 1;
}

static bool fits(const struct pollfd *p) {
    return p->fd >= 0 && p->fd < SET_FDS;
}

static int select_these(struct pollfd *fds, nfds_t n, int timeout) {
    struct set in = {0}, out = {0};
    struct timespec t;
    int end = 0, found = 0;
    for (nfds_t i = 0; i < n; i++) {
        fds[i].revents = 0;
        if (!fits(&fds[i]))
            continue;
        if (fds[i].events & (POLLIN | POLLRDHUP))
            put_in(&in, fds[i].fd);
        if (fds[i].events & POLLOUT)
            put_in(&out, fds[i].fd);
        end = fds[i].fd < end ? end : fds[i].fd + 1;
    }
    int got = real.pselect(end, (fd_set *)&in, (fd_set *)&out, NULL, span_of(timeout, &t), NULL);
    for (nfds_t i = 0; got > 0 && i < n; i++) {
        bool readable = fits(&fds[i]) && is_in(&in, fds[i].fd);
        bool writable = fits(&fds[i]) && is_in(&out, fds[i].fd);
        fds[i].revents = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
        found += fds[i].revents != 0;
    }
    return got > 0 ? found : got;
}

int wire_poll_beyond_limit(struct pollfd *fds, nfds_t n, int timeout) {
    if (!confine_lost(CONFINE_SELECT))
        return select_these(fds, n, timeout);
    errno = EINVAL;
    return -1;
}

int wire_poll_confined(struct pollfd *fds, nfds_t n, int timeout) {
    struct timespec t;
    if (!confine_lost(CONFINE_PPOLL))
        return real.ppoll(fds, n, span_of(timeout, &t), NULL);
    if (!confine_lost(CONFINE_SELECT) && n == 1 && fits(fds))
        return select_these(fds, n, timeout);
    return wire_denied();
}

/* Does the kernel never make this descriptor wait? */
static bool nonblocking(int fd) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return s && atomic_load(&s->nonblocking);
}

/* Would a call on a blocking descriptor return at once? When nobody can tell: no. */
static bool ready(int fd, short events, short *got) {
    struct pollfd p = {.fd = fd, .events = events};
    bool yes = wire_poll(&p, 1, 0) == 1;
    *got = yes ? p.revents : 0;
    if (!yes)
        errno = EAGAIN;
    return yes;
}

/* --- receiving ----------------------------------------------------------------------------------- */

ssize_t wire_recv_confined(int fd, void *buf, size_t n, int flags) {
    short got;
    if (!confine_lost(CONFINE_RECVMSG)) {
        struct iovec iov = {buf, n};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        return real.recvmsg(fd, &msg, flags);
    }
    if (flags & MSG_PEEK)
        return wire_denied();
    if ((flags & MSG_DONTWAIT) && !nonblocking(fd) && !ready(fd, POLLIN, &got))
        return -1;
    return real.read(fd, buf, n);
}

/* --- sending ------------------------------------------------------------------------------------- */

/* Without blocking on a descriptor that would: in steps for which there is room. Nor is there a flag against
 * SIGPIPE, so a connection that is gone is not written to. */
static ssize_t write_steps(int fd, const uint8_t *p, size_t n, bool steps, bool quiet) {
    size_t done = 0;
    do {
        short state = 0;
        size_t part = steps && n - done > STEP ? STEP : n - done;
        if (steps && !ready(fd, POLLOUT, &state))
            break;
        if (quiet && !steps)
            (void)ready(fd, POLLOUT, &state);
        if (quiet && (state & (POLLERR | POLLHUP))) {
            errno = EPIPE;
            return -1;
        }
        ssize_t sent = real.write(fd, p + done, part);
        if (sent < 0)
            break;
        done += (size_t)sent;
        if ((size_t)sent < part)
            break;
    } while (done < n);
    return done || !n ? (ssize_t)done : -1;
}

ssize_t wire_send_confined(int fd, const void *buf, size_t n, int flags) {
    if (!confine_lost(CONFINE_SENDMSG)) {
        struct iovec iov = {(void *)(uintptr_t)buf, n};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        return real.sendmsg(fd, &msg, flags);
    }
    if (!n)
        return real.write(fd, "", 0);
    /* Where nobody can be asked whether there is room, the call waits as the program's own would. */
    bool can_ask =
        !confine_lost(CONFINE_POLL) || !confine_lost(CONFINE_PPOLL) || !confine_lost(CONFINE_SELECT);
    bool steps = (flags & MSG_DONTWAIT) && can_ask && !nonblocking(fd);
    return write_steps(fd, buf, n, steps, flags & MSG_NOSIGNAL);
}
