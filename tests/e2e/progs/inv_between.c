/* inv_between.c - an object between what is tested and libc: after a receive that took something, and before
 * its caller sees that, the tested program may make more arrive. So what else is a race has one outcome. */
#include "inv_ready.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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

ssize_t recv(int fd, void *buf, size_t n, int flags) {
    ssize_t (*call)(int, void *, size_t, int);
    void *found = next("recv");
    memcpy(&call, &found, sizeof call);
    ssize_t got = call(fd, buf, n, flags);
    void (*what)(void) = got > 0 && !(flags & MSG_PEEK) ? planned : NULL;
    int saved = errno;
    if (what) {
        planned = NULL;
        what();
    }
    errno = saved;
    return got;
}
