/* escapes.c - hooks: ways around the other hooks. */
#include "hook.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char liburing[] = "liburing.so.2";

/* A ring moves bytes where no hook sees them, so there is none while policy is active: programs fall back. */
static bool is_ring(long number) {
#ifdef SYS_io_uring_setup
    return number == SYS_io_uring_setup;
#else
    return number == 425;
#endif
}

EXPORT long syscall(long number, ...) {
    long a[6], result;
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (core.active) {
        if (is_ring(number)) {
            errno = ENOSYS;
            return -1;
        }
        process_ends(number, a[0]);
        if (process_copies(number, a, &result) || confining_serve(number, a, &result) ||
            numbers_serve(number, a, &result))
            return result;
    }
    return real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* liburing makes that system call by itself, where no hook sees it. Its calls return the negative errno. A
 * library that came later by dlopen is not in the table of real calls. */
EXPORT int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags) {
    core_init();
    if (!core.active && !real.io_uring_queue_init)
        real_late(liburing, "io_uring_queue_init");
    return core.active || !real.io_uring_queue_init ? -ENOSYS
                                                    : real.io_uring_queue_init(entries, ring, flags);
}

EXPORT int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p) {
    core_init();
    if (!core.active && !real.io_uring_queue_init_params)
        real_late(liburing, "io_uring_queue_init_params");
    return core.active || !real.io_uring_queue_init_params
               ? -ENOSYS
               : real.io_uring_queue_init_params(entries, ring, p);
}

EXPORT int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring, struct io_uring_params *p,
                                   void *memory, size_t size) {
    core_init();
    if (!core.active && !real.io_uring_queue_init_mem)
        real_late(liburing, "io_uring_queue_init_mem");
    return core.active || !real.io_uring_queue_init_mem
               ? -ENOSYS
               : real.io_uring_queue_init_mem(entries, ring, p, memory, size);
}

/* RTLD_DEEPBIND would let a plugin bind past us. The loader derives the search path from its caller's
 * address, so this must compile to a jump (a sibling call). */
EXPORT void *dlopen(const char *path, int mode) {
    return real.dlopen(path, core.active ? mode & ~RTLD_DEEPBIND : mode);
}
