/* escapes.c - hooks: ways around the other hooks. */
#include "hook.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char liburing[] = "liburing.so.2";

/* The calls that a program makes by number although libc has a function, and that would change what our
 * tables say. True: served here, with the result in *result. */
static bool reroute(long number, const long *a, long *result) {
    switch (number) {
    case SYS_read:
        *result = read((int)a[0], (void *)a[1], (size_t)a[2]);
        return true;
    case SYS_write:
        *result = write((int)a[0], (const void *)a[1], (size_t)a[2]);
        return true;
    case SYS_readv:
        *result = readv((int)a[0], (const struct iovec *)a[1], (int)a[2]);
        return true;
    case SYS_writev:
        *result = writev((int)a[0], (const struct iovec *)a[1], (int)a[2]);
        return true;
    case SYS_recvfrom:
        *result = recvfrom((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3], (struct sockaddr *)a[4],
                           (socklen_t *)a[5]);
        return true;
    case SYS_sendto:
        *result = sendto((int)a[0], (const void *)a[1], (size_t)a[2], (int)a[3],
                         (const struct sockaddr *)a[4], (socklen_t)a[5]);
        return true;
    case SYS_recvmsg:
        *result = recvmsg((int)a[0], (struct msghdr *)a[1], (int)a[2]);
        return true;
    case SYS_sendmsg:
        *result = sendmsg((int)a[0], (const struct msghdr *)a[1], (int)a[2]);
        return true;
    case SYS_recvmmsg:
        *result =
            recvmmsg((int)a[0], (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3], (struct timespec *)a[4]);
        return true;
    case SYS_sendmmsg:
        *result = sendmmsg((int)a[0], (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3]);
        return true;
    case SYS_close:
        *result = close((int)a[0]);
        return true;
    case SYS_close_range:
        *result = close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
        return true;
    case SYS_connect:
        *result = connect((int)a[0], (const struct sockaddr *)a[1], (socklen_t)a[2]);
        return true;
    case SYS_accept4:
        *result = accept4((int)a[0], (struct sockaddr *)a[1], (socklen_t *)a[2], (int)a[3]);
        return true;
    case SYS_shutdown:
        *result = shutdown((int)a[0], (int)a[1]);
        return true;
    case SYS_dup:
        *result = dup((int)a[0]);
        return true;
    case SYS_dup3:
        *result = dup3((int)a[0], (int)a[1], (int)a[2]);
        return true;
    case SYS_fcntl:
        *result = fcntl((int)a[0], (int)a[1], a[2]);
        return true;
    default:
        return false;
    }
}

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
        if (reroute(number, a, &result))
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
    if (!real.dlopen)
        real_init();
    return real.dlopen(path, core.active ? mode & ~RTLD_DEEPBIND : mode);
}
