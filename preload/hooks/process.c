/* process.c - hooks: fork, exit, and the ways to lose access to files. */
#include "hook.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"
#include "driver.h"
#include "embryo.h"
#include "farewell.h"
#include "forks.h"
#include "log.h"
#include "receiver.h"
#include "streams.h"

EXPORT pid_t fork(void) {
    pid_t pid = real.fork();
    if (pid < 0)
        forks_failed();
    return pid;
}

/* Runs no handlers, so they are run here. */
EXPORT pid_t _Fork(void) {
    embryo_share();
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
    if (!copies_memory(number, a))
        return false;
    embryo_share();
    if (!atomic_load(&fdtable_size) || !fdtable_mine())
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

/* --- a limit for the last wait -------------------------------------------------------------------- */

enum { GRACE_MS = 1000 };
static int last_status;

static void enough(int number) {
    (void)number;
    real._exit(last_status);
}

/* _exit may be called where nothing else may: by a handler that has interrupted malloc, whose lock a delivery
 * then waits for in vain. After the time that deliveries are given anyway the process ends with the status it
 * wanted. */
static void limit_wait(int status) {
    if (!atomic_load(&fdtable_size) || !fdtable_mine() || confine_lost(CONFINE_TIMER) || !farewell_due())
        return;
    const struct policy_mesh *mesh = policy_mesh(atomic_load(&core.policy));
    struct sigaction act = {.sa_handler = enough};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMAX};
    unsigned ms = mesh->linger_ms + GRACE_MS;
    struct itimerspec when = {.it_value = {ms / 1000, (long)(ms % 1000) * 1000000}};
    sigset_t one;
    int timer;
    last_status = status;
    event._sigev_un._tid = gettid();
    sigemptyset(&one);
    sigaddset(&one, SIGRTMAX);
    if (sigaction(SIGRTMAX, &act, NULL) || pthread_sigmask(SIG_UNBLOCK, &one, NULL) ||
        real.syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer, 0, 0, 0))
        return;
    real.syscall(SYS_timer_settime, timer, 0, &when, NULL, 0, 0);
}

void process_ends(long number, long status) {
    /* SYS_exit ends a thread; the only one, most of all where threads cannot be. */
    bool last = number == SYS_exit && (__libc_single_threaded || confine_lost(CONFINE_PID));
    if (number != SYS_exit_group && !last)
        return;
    limit_wait((int)status);
    leave();
}

__attribute__((destructor)) static void end(void) {
    streams_finish();
    leave();
}

EXPORT void _exit(int status) {
    limit_wait(status);
    leave();
    real._exit(status);
    __builtin_unreachable();
}

EXPORT void _Exit(int status) {
    limit_wait(status);
    leave();
    real._Exit(status);
    __builtin_unreachable();
}

EXPORT void quick_exit(int status) {
    leave();
    real.quick_exit(status);
    __builtin_unreachable();
}

/* After these the certificates, the engine, the log's file or other processes may be out of reach. */
static void settle(void) {
    core_init();
    if (!core.active)
        return;
    core_settle();
    log_keep_early();
    receiver_settle();
}

EXPORT int chroot(const char *path) {
    settle();
    int r = real.chroot(path);
    if (!r)
        log_stay();
    return r;
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
