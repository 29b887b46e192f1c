/* metadata.c - hooks: options and ioctls of managed descriptors. */
#include "hook.h"

#include <stdarg.h>
#include <sys/ioctl.h>

#include "options.h"
#include "recv.h"

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return s ? options_get(fd, s, level, name, value, len) : real.getsockopt(fd, level, name, value, len);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return s ? options_set(fd, s, level, name, value, len) : real.setsockopt(fd, level, name, value, len);
}

static int available(int fd, struct slot *s, int *out) {
    ssize_t n = recv_available(fd, s);
    if (n >= 0)
        *out = (int)n;
    return n == CONN_PLAIN ? CONN_PLAIN : n < 0 ? -1 : 0;
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && request == FIONREAD && arg) {
        int r = available(fd, s, arg);
        if (r != CONN_PLAIN)
            return r;
    }
    int r = real.ioctl(fd, request, arg);
    if (s && !r && request == FIONBIO && arg)
        atomic_store(&s->nonblocking, *(int *)arg != 0);
    return r;
}
