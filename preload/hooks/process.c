/* process.c - hooks: fork, exit, and the ways to lose access to files. */
#include "hook.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"
#include "driver.h"
#include "farewell.h"
#include "forks.h"
#include "streams.h"

EXPORT pid_t fork(void) {
    bool counted = fdtable_next(0) >= 0;
    pid_t pid = real.fork();
    if (pid < 0 && counted)
        forks_failed();
    return pid;
}

/* Runs no handlers, so they are run here. */
EXPORT pid_t _Fork(void) {
    if (!atomic_load(&fdtable_size))
        return real._Fork();
    forks_prepare();
    pid_t pid = real._Fork();
    if (pid)
        forks_parent();
    else
        forks_child();
    if (pid < 0)
        forks_failed();
    return pid;
}

static bool copies_memory(long number, const long *a) {
    uint64_t flags = 0;
    if (number == SYS_clone)
        flags = (uint64_t)a[0];
    else if (number == SYS_clone3 && a[0])
        memcpy(&flags, (const void *)a[0], sizeof flags); /* the first member of its argument */
#ifdef SYS_fork
    else if (number != SYS_fork)
        return false;
#else
    else
        return false;
#endif
    return !(flags & CLONE_VM);
}

bool process_copies(long number, const long *a, long *result) {
    if (!atomic_load(&fdtable_size) || !fdtable_mine() || !copies_memory(number, a))
        return false;
    driver_pause();
    forks_prepare();
    *result = real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (*result)
        forks_parent();
    else
        forks_child();
    if (*result < 0)
        forks_failed();
    if (*result)
        driver_resume();
    return true;
}

/* What write() accepted is delivered before the process is gone. */
static void leave(void) {
    if (atomic_load(&fdtable_size) && fdtable_mine())
        farewell_all();
}

void process_ends(long number) {
    /* SYS_exit ends a thread; the only one, most of all where threads cannot be. */
    bool last = number == SYS_exit && (__libc_single_threaded || confine_lost(CONFINE_PID));
    if (number == SYS_exit_group || last)
        leave();
}

__attribute__((destructor)) static void end(void) {
    streams_finish();
    leave();
}

EXPORT void _exit(int status) {
    leave();
    real._exit(status);
    __builtin_unreachable();
}

EXPORT void _Exit(int status) {
    leave();
    real._Exit(status);
    __builtin_unreachable();
}

EXPORT void quick_exit(int status) {
    leave();
    real.quick_exit(status);
    __builtin_unreachable();
}

/* After these the certificates or the engine may be out of reach. */
static void settle(void) {
    core_init();
    if (core.active)
        core_settle();
}

EXPORT int chroot(const char *path) {
    settle();
    return real.chroot(path);
}

EXPORT int setuid(uid_t uid) {
    settle();
    return real.setuid(uid);
}

EXPORT int seteuid(uid_t uid) {
    settle();
    return real.seteuid(uid);
}

EXPORT int setreuid(uid_t uid, uid_t effective) {
    settle();
    return real.setreuid(uid, effective);
}

EXPORT int setresuid(uid_t uid, uid_t effective, uid_t saved) {
    settle();
    return real.setresuid(uid, effective, saved);
}
