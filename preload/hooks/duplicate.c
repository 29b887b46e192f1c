/* duplicate.c - hooks: one connection under several numbers. */
#include "hook.h"

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "passing.h"
#include "streams.h"
#include "twins.h"

void hook_duplicated(int old, int fd) {
    if (!fdtable_mine())
        return;
    struct slot *s = fdtable_entry(old) ? fdtable_slot(old) : NULL;
    if (fdtable_entry(fd))
        hook_fresh(fd);
    if (!s)
        return;
    if ((unsigned)fd >= fdtable_size) { /* beyond the table nothing could guard it */
        real.close(fd);
        return;
    }
    struct conn *c = conn_of(s);
    if (c)
        atomic_fetch_add(&c->fds, 1);
    slot_ref(s);
    fdtable_set(fd, s);
    streams_std_sync(fd);
}

EXPORT int dup(int old) {
    int fd = real.dup(old);
    if (fd >= 0 && (fdtable_entry(old) || fdtable_entry(fd)))
        hook_duplicated(old, fd);
    else if (fd >= 0 && core.active)
        twins_note(old, fd);
    return fd;
}

/* The number is given up only when the call will succeed: old must be open. */
static bool replaces(int old, int fd) {
    return old != fd && fdtable_entry(fd) && real.fcntl(old, F_GETFD) >= 0;
}

/* stdio streams on fd must be ready for a protected connection before it is there, and know when it is not.
 */
static void announce(int old, int fd) {
    if (old != fd && fdtable_entry(old) && fdtable_slot(old))
        streams_expect(fd);
}

/* A number that holds a connection of ours until its last bytes are delivered. */
static bool is_ours(int fd) {
    if (!fdtable_is_own(fd) || !fdtable_mine())
        return false;
    errno = EBADF;
    return true;
}

EXPORT int dup2(int old, int fd) {
    if (is_ours(fd))
        return -1;
    if (replaces(old, fd))
        hook_release(fd);
    announce(old, fd);
    int r = real.dup2(old, fd);
    if (r >= 0 && old != fd && fdtable_entry(fd) && fdtable_mine())
        fdtable_unseal(fd);
    if (r >= 0 && old != fd && fdtable_entry(old))
        hook_duplicated(old, fd);
    else if (r >= 0 && core.active)
        twins_note(old, fd);
    streams_std_sync(fd);
    return r;
}

EXPORT int __dup2(int old, int fd) {
    return dup2(old, fd);
}

EXPORT int dup3(int old, int fd, int flags) {
    if (is_ours(fd))
        return -1;
    if (!(flags & ~O_CLOEXEC) && replaces(old, fd))
        hook_release(fd);
    announce(old, fd);
    int r = real.dup3(old, fd, flags);
    if (r >= 0 && fdtable_entry(fd) && fdtable_mine())
        fdtable_unseal(fd);
    if (r >= 0 && fdtable_entry(old))
        hook_duplicated(old, fd);
    else if (r >= 0 && core.active)
        twins_note(old, fd);
    streams_std_sync(fd);
    return r;
}

static void noticed(int fd, int command, long arg, int result) {
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
        if (fdtable_entry(fd) || fdtable_entry(result))
            hook_duplicated(fd, result);
        else if (core.active)
            twins_note(fd, result);
    } else if (command == F_SETFL && fdtable_entry(fd)) {
        struct slot *s = fdtable_slot(fd);
        if (s)
            atomic_store(&s->nonblocking, (arg & O_NONBLOCK) != 0);
    }
}

EXPORT int fcntl(int fd, int command, ...) {
    va_list ap;
    va_start(ap, command);
    long arg = va_arg(ap, long);
    va_end(ap);
    int r = real.fcntl(fd, command, arg);
    if (r >= 0)
        noticed(fd, command, arg, r);
    return r;
}

EXPORT int __fcntl(int fd, int command, ...) {
    va_list ap;
    va_start(ap, command);
    long arg = va_arg(ap, long);
    va_end(ap);
    return fcntl(fd, command, arg);
}

EXPORT int fcntl64(int fd, int command, ...) {
    va_list ap;
    va_start(ap, command);
    long arg = va_arg(ap, long);
    va_end(ap);
    return fcntl(fd, command, arg);
}

EXPORT int pidfd_getfd(int pidfd, int target, unsigned flags) {
    int fd = real.pidfd_getfd(pidfd, target, flags);
    if (fd >= 0 && fdtable_entry(fd))
        hook_fresh(fd);
    return fd >= 0 && !passing_fetched(fd) ? -1 : fd;
}
