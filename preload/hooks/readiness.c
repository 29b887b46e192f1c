/* readiness.c - hooks: poll, select, epoll. The kernel answers; what is no plaintext for a blocking
 * descriptor, or no room during a handshake, is taken out of its answer and the wait goes on. Nothing is
 * emulated (I1). */
#include "hook.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "filter.h"
#include "raw.h"
#include "wire.h"

/* No managed descriptor in this process: nothing to ask. */
static bool idle(void) {
    return !atomic_load_explicit(&fdtable_size, memory_order_relaxed);
}

/* Waits of a process that has connections, and no thread that could be cancelled, in the bare system call
 * (wire.h). Where libc makes another one, as on newer architectures, libc's. */
static int wait_poll(struct pollfd *fds, nfds_t n, int timeout) {
#ifdef SYS_poll
    if (!idle() && !wire_opens_itself(0))
        return (int)raw_call(SYS_poll, (long)fds, (long)n, timeout, 0, 0, 0);
#endif
    return real.poll(fds, n, timeout);
}

static int wait_epoll(int epfd, struct epoll_event *events, int max, int timeout) {
#ifdef SYS_epoll_wait
    if (!idle() && !wire_opens_itself(0))
        return (int)raw_call(SYS_epoll_wait, epfd, (long)events, max, timeout, 0, 0);
#endif
    return real.epoll_wait(epfd, events, max, timeout);
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

static bool is_over(const struct timespec *left) {
    return left && !left->tv_sec && !left->tv_nsec;
}

/* How long the kernel may be asked to wait: not at all when there is something to tell, and only for a moment
 * when nobody else does the driver's work. */
static const struct timespec *nap_of(const struct timespec *left, bool held, struct timespec *nap) {
    enum { MOMENT_NS = 10000000 };
    *nap = (struct timespec){0, held ? 0 : MOMENT_NS};
    if (!held && (!driver_unmanned() || !driver_step()))
        return left;
    return left && !left->tv_sec && left->tv_nsec < nap->tv_nsec ? left : nap;
}

/* The kernel has room where a handshake keeps no more, and would answer at once again. As poll: -1 for a
 * signal. */
static int doze(const sigset_t *mask) {
    const struct timespec moment = {0, 1000000};
    return mask ? real.ppoll(NULL, 0, &moment, mask) : wire_poll(NULL, 0, 1);
}

/* --- poll ---------------------------------------------------------------------------------------- */

static short untrue_poll(const struct pollfd *p) {
    const short input = POLLIN | POLLRDNORM, output = POLLOUT | POLLWRNORM;
    short lies = 0;
    if ((p->revents & (POLLERR | POLLHUP)) || !fdtable_entry(p->fd))
        return 0;
    if ((p->revents & input) && !filter_readable(p->fd))
        lies = input;
    if ((p->revents & output) && filter_full(p->fd))
        lies |= output;
    return lies;
}

static int filter_poll(struct pollfd *fds, nfds_t n, int ready, bool *full) {
    for (nfds_t i = 0; i < n; i++) {
        short lies = fds[i].revents ? untrue_poll(&fds[i]) : 0;
        if (!lies)
            continue;
        *full |= lies & POLLOUT;
        fds[i].revents = (short)(fds[i].revents & ~lies);
        if (!fds[i].revents)
            ready--;
    }
    return ready;
}

/* Plaintext that the kernel does not know of: counts the descriptors that have it, and adds it to what the
 * kernel said. */
static int held_poll(struct pollfd *fds, nfds_t n, bool tell, int ready) {
    const short input = POLLIN | POLLRDNORM;
    for (nfds_t i = 0; filter_loose() && i < n; i++) {
        if (!(fds[i].events & input) || !filter_held(fds[i].fd))
            continue;
        if (!tell || !fds[i].revents)
            ready++;
        if (tell)
            fds[i].revents = (short)(fds[i].revents | (fds[i].events & input));
    }
    return ready;
}

/* The program's own call is the one that is made: a seccomp filter may know no other. */
static int ask_poll(struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *mask, bool pure) {
    if (!pure)
        return real.ppoll(fds, n, t, mask);
    long ms = t ? t->tv_sec * 1000 + (t->tv_nsec + 999999) / 1000000 : -1;
    return wait_poll(fds, n, ms > INT_MAX ? INT_MAX : (int)ms);
}

/* pure: poll's timeout and no mask. */
static int poll_filtered(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                         bool pure) {
    struct patience p = patience_of(timeout);
    struct timespec left, nap;
    for (;;) {
        bool held = held_poll(fds, n, false, 0) > 0;
        const struct timespec *whole = patience_left(&p, &left), *t = nap_of(whole, held, &nap);
        int ready = ask_poll(fds, n, t, mask, pure);
        if (ready < 0 || (!ready && t == whole))
            return ready;
        bool full = false;
        ready = filter_poll(fds, n, ready, &full);
        if (held)
            ready = held_poll(fds, n, true, ready);
        if (ready > 0 || (t && is_over(whole)))
            return ready;
        if (full && doze(mask) < 0)
            return -1;
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
        return wait_poll(fds, n, timeout);
    struct timespec t = {timeout / 1000, (long)(timeout % 1000) * 1000000};
    return poll_filtered(fds, n, timeout < 0 ? NULL : &t, NULL, true);
}

EXPORT int __poll(struct pollfd *fds, nfds_t n, int timeout) {
    return poll(fds, n, timeout);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
    if (idle() || !fds || !any_managed(fds, n))
        return real.ppoll(fds, n, timeout, mask);
    return poll_filtered(fds, n, timeout, mask, false);
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

static void set_add(fd_set *set, int fd) {
    ((set_word *)(void *)set)[fd / WORD_BITS] |= (set_word)1 << (fd % WORD_BITS);
}

static bool set_managed(const fd_set *set, int n) {
    for (int fd = set ? fdtable_next(0) : -1; fd >= 0 && fd < n; fd = fdtable_next(fd + 1))
        if (set_has(set, fd))
            return true;
    return false;
}

static bool worth_asking(const fd_set *in, const fd_set *out, int n) {
    return set_managed(in, n) || (filter_ever_full() && set_managed(out, n));
}

/* An error is true news, and a look at the queue would use it up. */
static int filter_set(fd_set *set, int n, int ready) {
    for (int fd = fdtable_next(0); fd >= 0 && fd < n; fd = fdtable_next(fd + 1))
        if (set_has(set, fd) && filter_doubts(fd) && !wire_failed(fd) && !filter_readable(fd)) {
            set_clear(set, fd);
            ready--;
        }
    return ready;
}

/* The three sets as the program passed them, to start again from. */
struct sets {
    fd_set *set[3];
    size_t bytes;
    unsigned char *saved[3];
};

/* Threads may have stacks of a few KiB, so only sets of the usual size are kept there. False: out of memory.
 */
struct room {
    unsigned char usual[3][sizeof(fd_set)];
    unsigned char *large;
};

static bool sets_begin(struct sets *s, struct room *room) {
    room->large = s->bytes > sizeof(fd_set) ? malloc(3 * s->bytes) : NULL;
    for (size_t i = 0; i < 3; i++)
        s->saved[i] = room->large ? room->large + i * s->bytes : room->usual[i];
    return room->large || s->bytes <= sizeof(fd_set);
}

static void sets_copy(struct sets *s, bool restore) {
    for (int i = 0; i < 3; i++)
        if (s->set[i])
            memcpy(restore ? (void *)s->set[i] : s->saved[i], restore ? s->saved[i] : (void *)s->set[i],
                   s->bytes);
}

static int held_set(struct sets *s, int n, bool tell, int ready) {
    for (int fd = filter_loose() && s->set[0] ? fdtable_next(0) : -1; fd >= 0 && fd < n;
         fd = fdtable_next(fd + 1)) {
        if (!set_has((const fd_set *)(const void *)s->saved[0], fd) || !filter_held(fd))
            continue;
        if (!tell || !set_has(s->set[0], fd))
            ready++;
        if (tell)
            set_add(s->set[0], fd);
    }
    return ready;
}

static int filter_out(fd_set *set, int n, int ready, bool *full) {
    for (int fd = set && filter_ever_full() ? fdtable_next(0) : -1; fd >= 0 && fd < n;
         fd = fdtable_next(fd + 1))
        if (set_has(set, fd) && filter_full(fd) && !wire_failed(fd)) {
            set_clear(set, fd);
            *full = true;
            ready--;
        }
    return ready;
}

static int pselect_filtered(int n, struct sets *s, const struct timespec *timeout, const sigset_t *mask) {
    struct patience p = patience_of(timeout);
    struct timespec left, nap;
    sets_copy(s, false);
    for (;;) {
        bool held = held_set(s, n, false, 0) > 0;
        const struct timespec *whole = patience_left(&p, &left), *t = nap_of(whole, held, &nap);
        int ready = real.pselect(n, s->set[0], s->set[1], s->set[2], t, mask);
        if (ready < 0 || (!ready && t == whole))
            return ready;
        bool full = false;
        if (s->set[0])
            ready = filter_set(s->set[0], n, ready);
        ready = filter_out(s->set[1], n, ready, &full);
        if (held)
            ready = held_set(s, n, true, ready);
        if (ready > 0 || (t && is_over(whole)))
            return ready;
        if (full && doze(mask) < 0)
            return -1;
        sets_copy(s, true);
    }
}

static int pselect_roomy(int n, struct sets *s, const struct timespec *timeout, const sigset_t *mask) {
    struct room room;
    if (!sets_begin(s, &room)) {
        errno = ENOMEM;
        return -1;
    }
    int ready = pselect_filtered(n, s, timeout, mask), saved = errno;
    free(room.large);
    errno = saved;
    return ready;
}

EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
                   const sigset_t *mask) {
    if (idle() || n <= 0 || n > SELECT_MAX || !worth_asking(in, out, n))
        return real.pselect(n, in, out, except, timeout, mask);
    struct sets s = {.set = {in, out, except}, .bytes = set_bytes(n)};
    return pselect_roomy(n, &s, timeout, mask);
}

EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout) {
    if (idle() || n <= 0 || n > SELECT_MAX || !worth_asking(in, out, n))
        return real.select(n, in, out, except, timeout);
    struct sets s = {.set = {in, out, except}, .bytes = set_bytes(n)};
    struct timespec t = {0}, left;
    if (timeout)
        t = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
    struct patience p = patience_of(timeout ? &t : NULL);
    int ready = pselect_roomy(n, &s, timeout ? &t : NULL, NULL);
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

static bool epoll_passes(void) {
    return !filter_epoll_needed() && !filter_loose();
}

/* What the kernel said, without what is untrue, with what it does not know of. */
static int epoll_corrected(int epfd, struct epoll_event *events, int n, int max, bool held, bool *full) {
    n = filter_epoll(epfd, events, n, full);
    return held ? filter_epoll_tell(epfd, events, n, max) : n;
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask) {
    if (epoll_passes())
        return real.epoll_pwait2(epfd, events, max, timeout, mask);
    struct patience p = patience_of(timeout);
    struct timespec left, nap;
    for (;;) {
        bool held = filter_loose() && filter_epoll_holds(epfd);
        const struct timespec *whole = patience_left(&p, &left), *t = nap_of(whole, held, &nap);
        int n = real.epoll_pwait2(epfd, events, max, t, mask);
        if (n < 0 || (!n && t == whole))
            return n;
        bool full = false;
        n = epoll_corrected(epfd, events, n, max, held, &full);
        if (n > 0 || (t && is_over(whole)))
            return n;
        if (full && doze(mask) < 0)
            return -1;
    }
}

/* In milliseconds, rounded up so that a wait never ends early. The program's own call is the one that is
 * made: an older kernel or a seccomp filter may know no other. */
EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
    if (epoll_passes())
        return real.epoll_pwait(epfd, events, max, timeout, mask);
    struct timespec t = {timeout / 1000, (long)(timeout % 1000) * 1000000}, left, nap;
    struct patience p = patience_of(timeout < 0 ? NULL : &t);
    for (;;) {
        bool held = filter_loose() && filter_epoll_holds(epfd);
        const struct timespec *whole = patience_left(&p, &left), *some = nap_of(whole, held, &nap);
        long ms = some ? some->tv_sec * 1000 + (some->tv_nsec + 999999) / 1000000 : -1;
        int n = mask ? real.epoll_pwait(epfd, events, max, (int)ms, mask)
                     : wait_epoll(epfd, events, max, (int)ms);
        if (n < 0 || (!n && some == whole))
            return n;
        bool full = false;
        n = epoll_corrected(epfd, events, n, max, held, &full);
        if (n > 0 || (some && is_over(whole)))
            return n;
        if (full && doze(mask) < 0)
            return -1;
    }
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout) {
    if (epoll_passes())
        return wait_epoll(epfd, events, max, timeout);
    return epoll_pwait(epfd, events, max, timeout, NULL);
}
