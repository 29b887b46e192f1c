/* readiness.c - hooks: poll, select, epoll. The kernel answers; what is no plaintext for a blocking
 * descriptor is taken out of its answer and the wait goes on. Nothing is emulated (I1). */
#include "hook.h"

#include <limits.h>
#include <string.h>

#include "filter.h"

/* No managed descriptor in this process: nothing to ask. */
static bool idle(void) {
    return !atomic_load_explicit(&fdtable_size, memory_order_relaxed);
}

/* What is left of a timeout; NULL waits for ever. */
struct patience {
    bool endless;
    struct timespec end;
};

static struct patience patience_of(const struct timespec *t) {
    struct patience p = {.endless = !t};
    if (t) {
        clock_gettime(CLOCK_MONOTONIC, &p.end);
        p.end.tv_sec += t->tv_sec + (p.end.tv_nsec + t->tv_nsec) / 1000000000;
        p.end.tv_nsec = (p.end.tv_nsec + t->tv_nsec) % 1000000000;
    }
    return p;
}

static const struct timespec *patience_left(const struct patience *p, struct timespec *left) {
    if (p->endless)
        return NULL;
    clock_gettime(CLOCK_MONOTONIC, left);
    left->tv_sec = p->end.tv_sec - left->tv_sec;
    left->tv_nsec = p->end.tv_nsec - left->tv_nsec;
    if (left->tv_nsec < 0) {
        left->tv_sec--;
        left->tv_nsec += 1000000000;
    }
    if (left->tv_sec < 0)
        *left = (struct timespec){0, 0};
    return left;
}

/* --- poll ---------------------------------------------------------------------------------------- */

static int filter_poll(struct pollfd *fds, nfds_t n, int ready) {
    for (nfds_t i = 0; i < n; i++) {
        const short input = POLLIN | POLLRDNORM;
        if (!(fds[i].revents & input) || (fds[i].revents & (POLLERR | POLLHUP)) ||
            !fdtable_entry(fds[i].fd) || filter_readable(fds[i].fd))
            continue;
        fds[i].revents = (short)(fds[i].revents & ~input);
        if (!fds[i].revents)
            ready--;
    }
    return ready;
}

static int ppoll_filtered(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                          const sigset_t *mask) {
    struct patience p = patience_of(timeout);
    struct timespec left;
    for (;;) {
        const struct timespec *t = patience_left(&p, &left);
        int ready = real.ppoll(fds, n, t, mask);
        if (ready <= 0)
            return ready;
        ready = filter_poll(fds, n, ready);
        if (ready > 0)
            return ready;
    }
}

static bool any_managed(struct pollfd *fds, nfds_t n) {
    for (nfds_t i = 0; i < n; i++)
        if (fdtable_entry(fds[i].fd))
            return true;
    return false;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout) {
    if (idle() || !fds || !any_managed(fds, n))
        return real.poll(fds, n, timeout);
    struct timespec t = {timeout / 1000, (long)(timeout % 1000) * 1000000};
    return ppoll_filtered(fds, n, timeout < 0 ? NULL : &t, NULL);
}

EXPORT int __poll(struct pollfd *fds, nfds_t n, int timeout) {
    return poll(fds, n, timeout);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
    if (idle() || !fds || !any_managed(fds, n))
        return real.ppoll(fds, n, timeout, mask);
    return ppoll_filtered(fds, n, timeout, mask);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room) {
    if (room / sizeof(struct pollfd) < n)
        __builtin_trap();
    return poll(fds, n, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t room) {
    if (room / sizeof(struct pollfd) < n)
        __builtin_trap();
    return ppoll(fds, n, timeout, mask);
}

/* --- select -------------------------------------------------------------------------------------- */

/* A program may use sets larger than FD_SETSIZE; the words in use follow from n. */
enum { SELECT_MAX = 65536 };
typedef unsigned long set_word;
enum { WORD_BITS = 8 * sizeof(set_word) };

static size_t set_bytes(int n) {
    return ((size_t)n + WORD_BITS - 1) / WORD_BITS * sizeof(set_word);
}

static bool set_has(const fd_set *set, int fd) {
    return ((const set_word *)(const void *)set)[fd / WORD_BITS] >> (fd % WORD_BITS) & 1;
}

static void set_clear(fd_set *set, int fd) {
    ((set_word *)(void *)set)[fd / WORD_BITS] &= ~((set_word)1 << (fd % WORD_BITS));
}

static bool set_managed(const fd_set *set, int n) {
    for (int fd = fdtable_next(0); set && fd >= 0 && fd < n; fd = fdtable_next(fd + 1))
        if (set_has(set, fd))
            return true;
    return false;
}

/* An error is true news, and a look at the queue would use it up. */
static bool failed(int fd) {
    struct pollfd p = {.fd = fd};
    return real.poll(&p, 1, 0) == 1;
}

static int filter_set(fd_set *set, int n, int ready) {
    for (int fd = fdtable_next(0); fd >= 0 && fd < n; fd = fdtable_next(fd + 1))
        if (set_has(set, fd) && !failed(fd) && !filter_readable(fd)) {
            set_clear(set, fd);
            ready--;
        }
    return ready;
}

/* The three sets as the program passed them, to start again from. */
struct sets {
    fd_set *set[3];
    size_t bytes;
    unsigned char saved[3][SELECT_MAX / 8];
};

static void sets_copy(struct sets *s, bool restore) {
    for (int i = 0; i < 3; i++)
        if (s->set[i])
            memcpy(restore ? (void *)s->set[i] : s->saved[i], restore ? s->saved[i] : (void *)s->set[i],
                   s->bytes);
}

static int pselect_filtered(int n, struct sets *s, const struct timespec *timeout, const sigset_t *mask) {
    struct patience p = patience_of(timeout);
    struct timespec left;
    sets_copy(s, false);
    for (;;) {
        const struct timespec *t = patience_left(&p, &left);
        int ready = real.pselect(n, s->set[0], s->set[1], s->set[2], t, mask);
        if (ready <= 0)
            return ready;
        ready = filter_set(s->set[0], n, ready);
        if (ready > 0)
            return ready;
        sets_copy(s, true);
    }
}

EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
                   const sigset_t *mask) {
    if (idle() || n <= 0 || n > SELECT_MAX || !set_managed(in, n))
        return real.pselect(n, in, out, except, timeout, mask);
    struct sets s = {.set = {in, out, except}, .bytes = set_bytes(n)};
    return pselect_filtered(n, &s, timeout, mask);
}

EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout) {
    if (idle() || n <= 0 || n > SELECT_MAX || !set_managed(in, n))
        return real.select(n, in, out, except, timeout);
    struct sets s = {.set = {in, out, except}, .bytes = set_bytes(n)};
    struct timespec t = {0}, left;
    if (timeout)
        t = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
    struct patience p = patience_of(timeout ? &t : NULL);
    int ready = pselect_filtered(n, &s, timeout ? &t : NULL, NULL);
    if (timeout && patience_left(&p, &left)) /* Linux tells how much was left */
        *timeout = (struct timeval){left.tv_sec, left.tv_nsec / 1000};
    return ready;
}

EXPORT int __select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout) {
    return select(n, in, out, except, timeout);
}

/* --- epoll --------------------------------------------------------------------------------------- */

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    int r = real.epoll_ctl(epfd, op, fd, event);
    if (!r && fdtable_entry(fd))
        filter_epoll_ctl(epfd, op, fd, event);
    return r;
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask) {
    if (!filter_epoll_needed())
        return real.epoll_pwait2(epfd, events, max, timeout, mask);
    struct patience p = patience_of(timeout);
    struct timespec left;
    for (;;) {
        const struct timespec *t = patience_left(&p, &left);
        int n = real.epoll_pwait2(epfd, events, max, t, mask);
        if (n <= 0)
            return n;
        n = filter_epoll(epfd, events, n);
        if (n > 0)
            return n;
    }
}

/* In milliseconds, rounded up so that a wait never ends early. The program's own call is the one that is
 * made: an older kernel or a seccomp filter may know no other. */
EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
    if (!filter_epoll_needed())
        return real.epoll_pwait(epfd, events, max, timeout, mask);
    struct timespec t = {timeout / 1000, (long)(timeout % 1000) * 1000000}, left;
    struct patience p = patience_of(timeout < 0 ? NULL : &t);
    for (;;) {
        int n = mask ? real.epoll_pwait(epfd, events, max, timeout, mask)
                     : real.epoll_wait(epfd, events, max, timeout);
        if (n <= 0)
            return n;
        n = filter_epoll(epfd, events, n);
        if (n > 0)
            return n;
        if (patience_left(&p, &left))
            timeout = (int)(left.tv_sec * 1000 + (left.tv_nsec + 999999) / 1000000);
    }
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout) {
    if (!filter_epoll_needed())
        return real.epoll_wait(epfd, events, max, timeout);
    return epoll_pwait(epfd, events, max, timeout, NULL);
}
