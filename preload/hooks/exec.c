/* exec.c - hooks: the exec family. Variadic forms build their arguments on the stack, because they may be
 * called in a vfork child or in a signal handler. */
#include "hook.h"

#include <alloca.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exec_parts.h"

/* One of the real calls with its arguments. */
struct call {
    enum { BY_PATH, BY_SEARCH, BY_FOLDER } how;
    const char *path;
    int folder, flags;
    char *const *argv;
    char *const *envp;
};

enum { STACK_MAX = 256 * 1024 };

static int start(const struct call *c, char *const envp[]) {
    switch (c->how) {
    case BY_SEARCH:
        return real.execvpe(c->path, c->argv, envp);
    case BY_FOLDER:
        return real.execveat(c->folder, c->path, c->argv, envp, c->flags);
    default:
        return real.execve(c->path, c->argv, envp);
    }
}

static int folder_of(const struct call *c) {
    return c->how == BY_FOLDER ? c->folder : AT_FDCWD;
}

static enum exec_target target_of(const struct call *c) {
    return exec_target_of(folder_of(c), c->path, c->flags, c->how == BY_SEARCH);
}

/* Reversible steps first, farewells last; an exec that fails all the same finds its connections in place. */
static int start_with(const struct call *c, void *space, struct moving_heirs *h, bool own) {
    struct moving_heirs marked = {.count = 0};
    struct moving_bundle bundle;
    if (target_of(c) == EXEC_BARE && h->count && !exec_bare(c->path, h, &marked))
        return -1;
    if (own) {
        moving_finish();
        moving_leave();
    }
    moving_pack(&bundle, h, own ? MOVING_EXEC : MOVING_CHILD);
    int r = start(c, exec_env_build(c->envp, space, bundle.variable));
    moving_undo(&bundle, h);
    if (own)
        moving_stay();
    exec_bare_undo(&marked);
    return r;
}

static int replace(const struct call *c, void *space) {
    bool own = fdtable_mine();
    if (!atomic_load(&fdtable_size) || target_of(c) == EXEC_FAILS)
        return start(c, exec_env_build(c->envp, space, ""));
    struct moving_heirs h = {.count = 0};
    if (own)
        moving_inherited(&h);
    else
        moving_inherited_child(&h);
    return start_with(c, space, &h, own);
}

static int run(const struct call *c) {
    core_init();
    if (core.active)
        exec_mind(folder_of(c), c->path, c->flags, c->how == BY_SEARCH);
    if (!core.active || (!atomic_load(&fdtable_size) && exec_env_complete(c->envp)))
        return start(c, c->envp);
    size_t room = exec_env_room(c->envp);
    if (room <= STACK_MAX)
        return replace(c, alloca(room));
    void *space = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (space == MAP_FAILED) {
        errno = ENOMEM;
        return -1;
    }
    int r = replace(c, space);
    int saved = errno;
    munmap(space, room);
    errno = saved;
    return r;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
    return run(&(struct call){.how = BY_PATH, .path = path, .argv = argv, .envp = envp});
}

EXPORT int execv(const char *path, char *const argv[]) {
    return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]) {
    return run(&(struct call){.how = BY_SEARCH, .path = file, .argv = argv, .envp = envp});
}

EXPORT int execvp(const char *file, char *const argv[]) {
    return execvpe(file, argv, environ);
}

EXPORT int execveat(int folder, const char *path, char *const argv[], char *const envp[], int flags) {
    return run(&(struct call){
        .how = BY_FOLDER, .folder = folder, .path = path, .flags = flags, .argv = argv, .envp = envp});
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[]) {
    if (fd < 0) {
        errno = EINVAL;
        return -1;
    }
    return execveat(fd, "", argv, envp, AT_EMPTY_PATH);
}

/* --- arguments in the call ----------------------------------------------------------------------- */

static size_t count_arguments(va_list ap) {
    size_t n = 1;
    while (va_arg(ap, char *))
        n++;
    return n;
}

/* first and what follows it, with the NULL. */
static void take_arguments(char **argv, const char *first, va_list ap, size_t n) {
    argv[0] = (char *)(uintptr_t)first;
    for (size_t i = 1; i <= n; i++)
        argv[i] = va_arg(ap, char *);
}

#define ARGUMENTS(argv, ap, first)                                                                           \
    va_list ap;                                                                                              \
    va_start(ap, first);                                                                                     \
    size_t ap##_count = count_arguments(ap);                                                                 \
    va_end(ap);                                                                                              \
    char **argv = alloca((ap##_count + 1) * sizeof *argv);                                                   \
    va_start(ap, first);                                                                                     \
    take_arguments(argv, first, ap, ap##_count)

EXPORT int execl(const char *path, const char *first, ...) {
    ARGUMENTS(argv, ap, first);
    va_end(ap);
    return execve(path, argv, environ);
}

EXPORT int execlp(const char *file, const char *first, ...) {
    ARGUMENTS(argv, ap, first);
    va_end(ap);
    return execvpe(file, argv, environ);
}

EXPORT int execle(const char *path, const char *first, ...) {
    ARGUMENTS(argv, ap, first);
    char *const *envp = va_arg(ap, char *const *);
    va_end(ap);
    return execve(path, argv, envp);
}
