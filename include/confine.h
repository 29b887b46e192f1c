/* confine.h - which system calls of ours the program's own seccomp filters leave to this process.
 *
 * A filter is looked at before it is installed; from then on nobody makes a call that it denies (I6: a
 * sandbox that kills must not be woken by us). Filters only ever take more away, and forked children inherit
 * what they took. */
#ifndef MTLSWRAP_CONFINE_H
#define MTLSWRAP_CONFINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sock_fprog;

/* Calls, or groups of calls that are used together. */
enum confine_call {
    CONFINE_RECV = 1 << 0,
    CONFINE_RECVMSG = 1 << 1,
    CONFINE_SEND = 1 << 2,
    CONFINE_SENDMSG = 1 << 3,
    CONFINE_SETSOCKOPT = 1 << 4,
    CONFINE_GETSOCKOPT = 1 << 5,
    CONFINE_NAMES = 1 << 6, /* getsockname, getpeername */
    CONFINE_IOCTL = 1 << 7,
    CONFINE_POLL = 1 << 8,
    CONFINE_PPOLL = 1 << 9,
    CONFINE_SELECT = 1 << 10,
    CONFINE_SHUTDOWN = 1 << 11,
    CONFINE_FCNTL = 1 << 12,
    CONFINE_EPOLL = 1 << 13, /* epoll_ctl */
    CONFINE_MADVISE = 1 << 14,
    CONFINE_MEMORY = 1 << 15, /* mmap, munmap */
    CONFINE_FUTEX = 1 << 16,
    CONFINE_PID = 1 << 17,  /* getpid */
    CONFINE_KILL = 1 << 18, /* the question whether a process lives */
    CONFINE_FILES = 1 << 19,
    CONFINE_STAT = 1 << 20, /* also of an open descriptor */
    CONFINE_LIMITS = 1 << 21,
    CONFINE_THREAD = 1 << 22,
    CONFINE_RANDOM = 1 << 23,
    CONFINE_CONNECT = 1 << 24,   /* connect, accept: no new connection can come */
    CONFINE_CLOCK = 1 << 25,     /* SECCOMP_MODE_STRICT takes the time stamp counter too */
    CONFINE_DUP = 1 << 26,       /* dup3 */
    CONFINE_TIMER = 1 << 27,     /* the limit of an _exit */
    CONFINE_EPOLL_SET = 1 << 28, /* a set of our own */
    CONFINE_LOG = 1 << 29,       /* opening the log's file */
    CONFINE_ALL = (1 << 30) - 1,
};

/* Written before a filter is installed, by the thread that installs it. */
extern _Atomic unsigned confine_word;
/* Of these, the ones that end the process instead of failing. */
extern _Atomic unsigned confine_deadly_word;

/* Is one of these calls denied? */
static inline bool confine_lost(unsigned calls) {
    return __builtin_expect(atomic_load_explicit(&confine_word, memory_order_relaxed) & calls, 0);
}

static inline bool confine_deadly(unsigned calls) {
    return __builtin_expect(atomic_load_explicit(&confine_deadly_word, memory_order_relaxed) & calls, 0);
}

/* What was in force before, for a filter that the kernel refuses. */
struct confine_before {
    unsigned lost, deadly;
};

/* The program is about to install this filter (NULL: SECCOMP_MODE_STRICT): settles what will be impossible
 * behind it, then keeps to it. All threads obey, also when the filter is for one of them only. */
struct confine_before confine_install(const struct sock_fprog *program);
/* The kernel did not take it. */
void confine_undo(struct confine_before before);

#endif
