/* inv_between.c - an object between what is tested and libc: after a receive that took something, and before
 * its caller sees that, the tested program may make more arrive. So what else is a race has one outcome. */
#include "inv_ready.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void (*planned)(void);

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        die(name);
    return found;
}

void between_once(void (*what)(void)) {
    planned = what;
}

int between_queued(int fd) {
    int (*call)(int, unsigned long, ...), queued = 0;
    void *found = next("ioctl");
    memcpy(&call, &found, sizeof call);
    return call(fd, FIONREAD, &queued) ? -1 : queued;
}

/* What the program planned happens before the caller sees what it got. */
static ssize_t then(ssize_t got, int flags) {
    void (*what)(void) = got > 0 && !(flags & MSG_PEEK) ? planned : NULL;
    int saved = errno;
    if (what) {
        planned = NULL;
        what();
    }
    errno = saved;
    return got;
}

ssize_t recv(int fd, void *buf, size_t n, int flags) {
    ssize_t (*call)(int, void *, size_t, int);
    void *found = next("recv");
    memcpy(&call, &found, sizeof call);
    return then(call(fd, buf, n, flags), flags);
}

/* A receive that does not wait may be made by its number. */
long syscall(long number, ...) {
    long (*call)(long, ...), a[6];
    void *found = next("syscall");
    va_list args;
    memcpy(&call, &found, sizeof call);
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    long got = call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return number == SYS_recvfrom ? then(got, (int)a[3]) : got;
}
