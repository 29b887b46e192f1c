/* exec_spawn.c - hooks: programs started by libc from inside itself: posix_spawn, system, popen. This process
 * lives on, so nothing is said or flushed for it; only what the child inherits is prepared. */
#include "hook.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_parts.h"
#include "log.h"

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                     char *const *, char *const *);

static const char SHELL[] = "/bin/sh";

/* Everything that one start needs. */
struct start {
    struct moving_heirs heirs, marked;
    struct moving_bundle bundle;
    char **envp;
    void *space;
};

/* Is there anything to do but the real call? */
static bool plain(char *const envp[]) {
    core_init();
    return !core.active || (atomic_load(&fdtable_size) && !fdtable_mine()) ||
           (fdtable_next(0) < 0 && exec_env_complete(envp));
}

/* False with errno: refused. */
static bool prepare(struct start *s, const char *path, bool search, char *const envp[], enum moving_way way) {
    bool bare =
        (s->heirs.count || s->heirs.overflow) && exec_target_of(AT_FDCWD, path, 0, search) == EXEC_BARE;
    s->space = malloc(exec_env_room(envp));
    if (!s->space || (bare && s->heirs.count && !exec_bare(path, &s->heirs, &s->marked))) {
        free(s->space);
        return false;
    }
    if (bare)
        s->heirs.overflow = false;
    moving_pack(&s->bundle, &s->heirs, way);
    s->envp = exec_env_build(envp, s->space, s->bundle.variable);
    return true;
}

static void finish(struct start *s, pid_t pid, bool started) {
    if (started)
        moving_done(&s->bundle, &s->heirs, pid);
    else
        moving_undo(&s->bundle, &s->heirs);
    exec_bare_undo(&s->marked);
    free(s->space);
}

static int spawn(bool search, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
    spawn_fn *call = search ? real.posix_spawnp : real.posix_spawn;
    bool without = plain(envp); /* asked first: it brings the table */
    short flags = 0;
    if (core.active &&
        (!attr || (!posix_spawnattr_getflags(attr, &flags) && !(flags & POSIX_SPAWN_RESETIDS))))
        exec_mind(AT_FDCWD, path, 0, search);
    if (without)
        return call(pid, path, actions, attr, argv, envp);
    struct start s = {.space = NULL};
    int saved = errno;
    pid_t child = 0;
    exec_actions(actions, &s.heirs);
    int r = prepare(&s, path, search, envp, MOVING_SPAWN) ? 0 : errno;
    if (!r) {
        r = call(&child, path, actions, attr, argv, s.envp);
        finish(&s, child, !r);
    }
    if (!r && pid)
        *pid = child;
    errno = saved;
    return r;
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
    return spawn(false, pid, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
    return spawn(true, pid, file, actions, attr, argv, envp);
}

/* --- system -------------------------------------------------------------------------------------- */

/* SIGINT and SIGQUIT are ignored while any thread is in system(), as POSIX says. */
static pthread_mutex_t signals_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned waiting; /* under the lock, as the two below */
static struct sigaction old_int, old_quit;

static void ignore_signals(void) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    pthread_mutex_lock(&signals_lock);
    if (!waiting++) {
        sigaction(SIGINT, &ignore, &old_int);
        sigaction(SIGQUIT, &ignore, &old_quit);
    }
    pthread_mutex_unlock(&signals_lock);
}

static void heed_signals(void) {
    pthread_mutex_lock(&signals_lock);
    if (!--waiting) {
        sigaction(SIGINT, &old_int, NULL);
        sigaction(SIGQUIT, &old_quit, NULL);
    }
    pthread_mutex_unlock(&signals_lock);
}

static int spawn_shell(pid_t *pid, const char *command, const sigset_t *mask) {
    const char *const argv[] = {"sh", "-c", command, NULL};
    posix_spawnattr_t attr;
    sigset_t usual;
    posix_spawnattr_init(&attr);
    sigemptyset(&usual);
    pthread_mutex_lock(&signals_lock);
    if (old_int.sa_handler != SIG_IGN)
        sigaddset(&usual, SIGINT);
    if (old_quit.sa_handler != SIG_IGN)
        sigaddset(&usual, SIGQUIT);
    pthread_mutex_unlock(&signals_lock);
    posix_spawnattr_setsigdefault(&attr, &usual);
    posix_spawnattr_setsigmask(&attr, mask);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int r = posix_spawn(pid, SHELL, NULL, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attr);
    return r;
}

static int run_shell(const char *command) {
    sigset_t chld, mask;
    pid_t pid;
    int status = 127 << 8; /* what the shell itself says when it cannot run */
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    ignore_signals();
    pthread_sigmask(SIG_BLOCK, &chld, &mask);
    if (!spawn_shell(&pid, command, &mask))
        while (waitpid(pid, &status, 0) < 0)
            if (errno != EINTR) {
                status = -1;
                break;
            }
    heed_signals();
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return status;
}

EXPORT int system(const char *command) {
    return !command || plain(environ) ? real.system(command) : run_shell(command);
}

/* --- popen --------------------------------------------------------------------------------------- */

/* libc starts the shell with whatever `environ` is at that moment. */
EXPORT FILE *popen(const char *command, const char *mode) {
    if (plain(environ))
        return real.popen(command, mode);
    struct start s = {.space = NULL};
    char **usual = environ;
    moving_inherited(&s.heirs);
    if (!prepare(&s, SHELL, false, usual, MOVING_POPEN))
        return NULL;
    environ = s.envp;
    FILE *f = real.popen(command, mode);
    if (environ == s.envp)
        environ = usual;
    finish(&s, 0, f != NULL);
    return f;
}
