/* real.c - finds libc's definitions of what we interpose. The only room that calls dlsym.
 *
 * Each call is looked for when it is first made, because a program makes few of them and is started often.
 * Allocators open and read files before any constructor has run, and dlsym, if it has to be asked, may itself
 * allocate; so until real_init the table holds raw system calls for what can come that early. */
#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raw.h"
#include "real_find.h"

static ssize_t early_read(int fd, void *buf, size_t n) {
    return raw_call(SYS_read, fd, (long)buf, (long)n, 0, 0, 0);
}

static ssize_t early_write(int fd, const void *buf, size_t n) {
    return raw_call(SYS_write, fd, (long)buf, (long)n, 0, 0, 0);
}

static int early_close(int fd) {
    return (int)raw_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

static int early_fcntl(int fd, int cmd, ...) {
    va_list ap;
    va_start(ap, cmd);
    long arg = va_arg(ap, long);
    va_end(ap);
    return (int)raw_call(SYS_fcntl, fd, cmd, arg, 0, 0, 0);
}

static int early_ioctl(int fd, unsigned long request, ...) {
    va_list ap;
    va_start(ap, request);
    long arg = va_arg(ap, long);
    va_end(ap);
    return (int)raw_call(SYS_ioctl, fd, (long)request, arg, 0, 0, 0);
}

static long early_syscall(long number, ...) {
    va_list ap;
    va_start(ap, number);
    long a = va_arg(ap, long), b = va_arg(ap, long), c = va_arg(ap, long);
    long d = va_arg(ap, long), e = va_arg(ap, long), f = va_arg(ap, long);
    va_end(ap);
    return raw_call(number, a, b, c, d, e, f);
}

static int early_pipe2(int *fds, int flags) {
    return (int)raw_call(SYS_pipe2, (long)fds, flags, 0, 0, 0, 0);
}

static int early_poll(struct pollfd *fds, nfds_t n, int timeout) {
    return (int)raw_call(SYS_poll, (long)fds, (long)n, timeout, 0, 0, 0);
}

#define HOOK(name, result, parameters) result real_stub_##name parameters;
#define TWIN(name)
#include "hooks.def"
#undef HOOK
#undef TWIN

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* all begin as stubs but these */
struct real_calls real = {
#define HOOK(name, result, parameters) .name = real_stub_##name,
#define TWIN(name)
#include "hooks.def"
#undef HOOK
#undef TWIN
    .read = early_read,
    .write = early_write,
    .close = early_close,
    .fcntl = early_fcntl,
    .ioctl = early_ioctl,
    .syscall = early_syscall,
    .pipe2 = early_pipe2,
    .poll = early_poll,
    .io_uring_queue_init = NULL,
    .io_uring_queue_init_params = NULL,
    .io_uring_queue_init_mem = NULL,
};
#pragma GCC diagnostic pop

/* Without pointers, which the loader would relocate at every start. */
static const struct {
#define HOOK(name, result, parameters) char name[sizeof #name];
#define TWIN(name)
#include "hooks.def"
#undef HOOK
} names = {
#define HOOK(name, result, parameters) #name,
#include "hooks.def"
#undef HOOK
};
static const uint16_t name_at[] = {
#define HOOK(name, result, parameters) offsetof(__typeof__(names), name),
#include "hooks.def"
#undef HOOK
#undef TWIN
};
enum { CALLS = sizeof name_at / sizeof *name_at };

REAL_EARLY static const char *name_of(size_t call) {
    return (const char *)&names + name_at[call];
}

REAL_EARLY void *real_resolve(size_t call) {
    void *found;
    return real_find(name_of(call), &found) ? found : dlsym(RTLD_NEXT, name_of(call));
}

static void resolve(size_t offset) {
    void *found = real_resolve(offset / sizeof found);
    memcpy((char *)&real + offset, &found, sizeof found);
}

void real_init(void) {
    static const uint16_t early_ones[] = {
        offsetof(struct real_calls, read),  offsetof(struct real_calls, write),
        offsetof(struct real_calls, close), offsetof(struct real_calls, fcntl),
        offsetof(struct real_calls, ioctl), offsetof(struct real_calls, syscall),
        offsetof(struct real_calls, pipe2), offsetof(struct real_calls, poll),
    };
    for (size_t i = 0; i < sizeof early_ones / sizeof *early_ones; i++)
        resolve(early_ones[i]);
}

void *real_load(const char *path, const char *symbol, const char **error) {
    void *object = real.dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *found = object ? dlsym(object, symbol) : NULL;
    if (!found) {
        const char *reason = dlerror();
        *error = reason ? reason : "unknown reason";
    }
    return found;
}

void real_late(const char *library, const char *name) {
    void *found;
    if (!real_find(name, &found))
        found = dlsym(RTLD_NEXT, name);
    void *object = found ? NULL : real.dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    if (object)
        found = dlsym(object, name);
    for (size_t i = 0; found && i < CALLS; i++)
        if (strcmp(name_of(i), name) == 0)
            memcpy((char *)&real + i * sizeof found, &found, sizeof found);
}

const char *real_object(void) {
    static const char *path;
    if (path)
        return path;
    const struct link_map *self = real_find_self();
    Dl_info info;
    path = self ? self->l_name : dladdr(&real, &info) && info.dli_fname ? info.dli_fname : "libmtlswrap.so";
    const char *whole = path[0] == '/' ? path : realpath(path, NULL);
    return path = whole ? whole : path;
}
