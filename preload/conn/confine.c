/* confine.c - asks a seccomp filter, before it is installed, about every system call that we make. Installs
 * nothing itself. */
#include "confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "confine_bpf.h"
#include "confine_settle.h"
#include "fdtable.h"
#include "memory.h"
#include "wire.h"

_Atomic unsigned confine_word, confine_deadly_word;

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

enum {
    FD = -1,      /* stands for a managed descriptor */
    ADDRESS = -2, /* some pointer */
    RW = PROT_READ | PROT_WRITE,
    ANON = MAP_PRIVATE | MAP_ANONYMOUS,
    QUICK = MSG_DONTWAIT,
    QUIET = MSG_DONTWAIT | MSG_NOSIGNAL,
    NEW_THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |
                 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
};

/* One system call as we (or libc for us) make it. */
struct use {
    unsigned call;
    int number;
    long args[6];
};

static const struct use uses[] = {
    {CONFINE_RECV, SYS_recvfrom, {FD, ADDRESS, 16406, 0, 0, 0}},
    {CONFINE_RECV, SYS_recvfrom, {FD, ADDRESS, 16406, QUICK, 0, 0}},
    {CONFINE_RECV, SYS_recvfrom, {FD, ADDRESS, 1, MSG_PEEK, 0, 0}},
    {CONFINE_RECV, SYS_recvfrom, {FD, ADDRESS, 1, QUICK | MSG_PEEK, 0, 0}},
    {CONFINE_RECV, SYS_recvfrom, {FD, ADDRESS, 100, QUICK | MSG_TRUNC, 0, 0}},
    {CONFINE_RECVMSG, SYS_recvmsg, {FD, ADDRESS, 0}},
    {CONFINE_RECVMSG, SYS_recvmsg, {FD, ADDRESS, QUICK}},
    {CONFINE_RECVMSG, SYS_recvmsg, {FD, ADDRESS, QUICK | MSG_PEEK}},
    {CONFINE_SEND, SYS_sendto, {FD, ADDRESS, 16406, 0, 0, 0}},
    {CONFINE_SEND, SYS_sendto, {FD, ADDRESS, 16406, MSG_MORE, 0, 0}},
    {CONFINE_SEND, SYS_sendto, {FD, ADDRESS, 16406, QUIET, 0, 0}},
    {CONFINE_SENDMSG, SYS_sendmsg, {FD, ADDRESS, 0}},
    {CONFINE_SENDMSG, SYS_sendmsg, {FD, ADDRESS, MSG_MORE}},
    {CONFINE_SENDMSG, SYS_sendmsg, {FD, ADDRESS, QUIET}},
    {CONFINE_SETSOCKOPT, SYS_setsockopt, {FD, SOL_SOCKET, SO_RCVLOWAT, ADDRESS, sizeof(int)}},
    {CONFINE_SETSOCKOPT, SYS_setsockopt, {FD, SOL_SOCKET, SO_LINGER, ADDRESS, sizeof(struct linger)}},
    {CONFINE_GETSOCKOPT, SYS_getsockopt, {FD, SOL_SOCKET, SO_COOKIE, ADDRESS, ADDRESS}},
    {CONFINE_GETSOCKOPT, SYS_getsockopt, {FD, SOL_SOCKET, SO_ERROR, ADDRESS, ADDRESS}},
    {CONFINE_GETSOCKOPT, SYS_getsockopt, {FD, IPPROTO_TCP, TCP_INFO, ADDRESS, ADDRESS}},
    {CONFINE_NAMES, SYS_getsockname, {FD, ADDRESS, ADDRESS}},
    {CONFINE_NAMES, SYS_getpeername, {FD, ADDRESS, ADDRESS}},
    {CONFINE_IOCTL, SYS_ioctl, {FD, FIONREAD, ADDRESS}},
    {CONFINE_IOCTL, SYS_ioctl, {FD, SIOCOUTQ, ADDRESS}},
#ifdef SYS_poll
    {CONFINE_POLL, SYS_poll, {ADDRESS, 1, 0}},
#else
    {CONFINE_POLL, SYS_ppoll, {ADDRESS, 1, ADDRESS, 0, 8}},
#endif
    {CONFINE_PPOLL, SYS_ppoll, {ADDRESS, 1, ADDRESS, 0, 8}},
    {CONFINE_SELECT, SYS_pselect6, {4, ADDRESS, ADDRESS, ADDRESS, ADDRESS, 0}},
    {CONFINE_SHUTDOWN, SYS_shutdown, {FD, SHUT_WR}},
    {CONFINE_SHUTDOWN, SYS_shutdown, {FD, SHUT_RDWR}},
    {CONFINE_FCNTL, SYS_fcntl, {FD, F_GETFL, 0}},
    {CONFINE_FCNTL, SYS_fcntl, {FD, F_DUPFD_CLOEXEC, 3904}},
    {CONFINE_DUP, SYS_dup3, {3904, FD, O_CLOEXEC}},
    {CONFINE_EPOLL, SYS_epoll_ctl, {FD, EPOLL_CTL_DEL, FD, ADDRESS}},
    {CONFINE_EPOLL_SET, SYS_epoll_create1, {EPOLL_CLOEXEC}},
    {CONFINE_EPOLL_SET, SYS_epoll_ctl, {3904, EPOLL_CTL_ADD, FD, ADDRESS}},
    {CONFINE_EPOLL_SET, SYS_epoll_ctl, {3904, EPOLL_CTL_MOD, FD, ADDRESS}},
#ifdef SYS_epoll_wait
    {CONFINE_EPOLL_SET, SYS_epoll_wait, {3904, ADDRESS, 64, 100}},
#else
    {CONFINE_EPOLL_SET, SYS_epoll_pwait, {3904, ADDRESS, 64, 100, 0, 8}},
#endif
    {CONFINE_MADVISE, SYS_madvise, {ADDRESS, 4096, MADV_POPULATE_READ}},
    {CONFINE_MADVISE, SYS_madvise, {ADDRESS, 4096, MADV_POPULATE_WRITE}},
    {CONFINE_MEMORY, SYS_mmap, {0, 262144, RW, ANON, -1, 0}},
    {CONFINE_MEMORY, SYS_munmap, {ADDRESS, 262144}},
    {CONFINE_FUTEX, SYS_futex, {ADDRESS, FUTEX_WAKE, INT32_MAX, 0, 0, 0}},
    {CONFINE_FUTEX, SYS_futex, {ADDRESS, FUTEX_WAIT, 1, ADDRESS, 0, 0}},
    {CONFINE_PID, SYS_getpid, {0}},
    {CONFINE_KILL, SYS_kill, {1, 0}},
    {CONFINE_FILES, SYS_openat, {AT_FDCWD, ADDRESS, O_RDONLY | O_CLOEXEC, 0}},
    {CONFINE_LOG,
     SYS_openat,
     {AT_FDCWD, ADDRESS, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600}},
    {CONFINE_STAT, SYS_newfstatat, {AT_FDCWD, ADDRESS, ADDRESS, 0}},
    {CONFINE_STAT, SYS_newfstatat, {2, ADDRESS, ADDRESS, AT_EMPTY_PATH}},
    {CONFINE_LIMITS, SYS_prlimit64, {0, RLIMIT_NOFILE, 0, ADDRESS}},
    {CONFINE_LIMITS, SYS_prlimit64, {0, RLIMIT_NOFILE, ADDRESS, 0}},
    {CONFINE_THREAD, SYS_clone, {NEW_THREAD, ADDRESS, ADDRESS, ADDRESS, ADDRESS, 0}},
    {CONFINE_THREAD, SYS_clone3, {ADDRESS, 88}},
    {CONFINE_THREAD, SYS_rt_sigprocmask, {SIG_SETMASK, ADDRESS, ADDRESS, 8}},
    {CONFINE_THREAD, SYS_mprotect, {ADDRESS, 262144, RW}},
    {CONFINE_THREAD, SYS_set_robust_list, {ADDRESS, 24}},
    {CONFINE_THREAD, SYS_exit, {0}},
#ifdef SYS_rseq
    {CONFINE_THREAD, SYS_rseq, {ADDRESS, 32, 0, 0x53053053}},
#endif
    {CONFINE_TIMER, SYS_timer_create, {CLOCK_MONOTONIC, ADDRESS, ADDRESS}},
    {CONFINE_TIMER, SYS_timer_settime, {0, 0, ADDRESS, 0}},
    {CONFINE_TIMER, SYS_rt_sigaction, {64, ADDRESS, 0, 8}},
    {CONFINE_TIMER, SYS_rt_sigprocmask, {SIG_UNBLOCK, ADDRESS, 0, 8}},
    {CONFINE_TIMER, SYS_gettid, {0}},
    {CONFINE_RANDOM, SYS_getrandom, {ADDRESS, 32, 0}},
    {CONFINE_CONNECT, SYS_accept, {FD, ADDRESS, ADDRESS}},
    {CONFINE_CONNECT, SYS_accept4, {FD, ADDRESS, ADDRESS, 0}},
    {CONFINE_CONNECT, SYS_connect, {FD, ADDRESS, 16}},
};

static struct seccomp_data data_of(const struct use *u) {
    static char somewhere[16];
    int managed = fdtable_next(0);
    struct seccomp_data d = {.nr = u->number, .arch = OUR_ARCH, .instruction_pointer = (uintptr_t)&somewhere};
    for (size_t i = 0; i < 6; i++) {
        long arg = u->args[i];
        if (i == 0 && arg == FD)
            arg = managed >= 0 ? managed : 3;
        d.args[i] = arg == ADDRESS ? (uintptr_t)somewhere : (uint64_t)arg;
    }
    return d;
}

static bool deadly(uint32_t action) {
    return action == SECCOMP_RET_KILL_PROCESS || action == SECCOMP_RET_KILL_THREAD ||
           action == SECCOMP_RET_TRAP;
}

/* New connections are lost only when all ways to them are. */
static void judge(const struct sock_fprog *program, struct confine_before *found) {
    bool new_ones = false;
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        struct seccomp_data d = data_of(&uses[i]);
        uint32_t verdict = confine_bpf(program->filter, program->len, &d);
        uint32_t action = verdict & SECCOMP_RET_ACTION_FULL;
        bool fine = action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
        if (uses[i].call == CONFINE_CONNECT)
            new_ones |= fine;
        else if (!fine && !(uses[i].call == CONFINE_THREAD && action == SECCOMP_RET_ERRNO &&
                            uses[i].number != SYS_clone)) /* libc gets along without these */
            found->lost |= uses[i].call;
        if (deadly(action))
            found->deadly |= uses[i].call;
    }
    if (!new_ones)
        found->lost |= CONFINE_CONNECT;
    if (found->lost & (CONFINE_MEMORY | CONFINE_FUTEX))
        found->lost |= CONFINE_THREAD;
}

static bool legible(const struct sock_fprog *program) {
    struct iovec head = {(void *)(uintptr_t)program, sizeof *program};
    if (!memory_readable(&head, 1))
        return false;
    struct iovec body = {program->filter, program->len * sizeof *program->filter};
    return program->len && program->len <= BPF_MAXINSNS && memory_readable(&body, 1);
}

struct confine_before confine_install(const struct sock_fprog *program) {
    struct confine_before before = {atomic_load(&confine_word), atomic_load(&confine_deadly_word)};
    struct confine_before now = before;
    if (!program)
        now.lost = now.deadly = CONFINE_ALL;
    else if (legible(program))
        judge(program, &now);
    if (now.lost == before.lost && now.deadly == before.deadly)
        return before;
    wire_learn_pid();
    confine_settle(now.lost, now.deadly);
    atomic_store(&confine_deadly_word, now.deadly);
    atomic_store(&confine_word, now.lost);
    return before;
}

void confine_undo(struct confine_before before) {
    atomic_store(&confine_word, before.lost);
    atomic_store(&confine_deadly_word, before.deadly);
}
