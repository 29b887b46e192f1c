/* closing.c - hooks: the close family. Descriptors of our own are invisible: closing them is refused as if
 * they were not open. */
#include "hook.h"

#include <unistd.h>

#include "farewell.h"
#include "streams.h"

void hook_fresh(int fd) {
    struct slot *s = fdtable_mine() ? fdtable_take(fd) : NULL;
    if (s) /* closed behind our back: nothing can be said any more */
        farewell_lost(s);
}

void hook_release(int fd) {
    struct slot *s;
    if (fdtable_mine() && fdtable_seal(fd, &s) && s)
        farewell(fd, s);
}

static int close_managed(int fd) {
    int r = farewell_close(fd);
    streams_std_sync(fd);
    return r;
}

EXPORT int close(int fd) {
    if (fdtable_entry(fd))
        return close_managed(fd);
    if (fdtable_is_own(fd) && fdtable_mine()) {
        errno = EBADF;
        return -1;
    }
    return real.close(fd);
}

EXPORT int __close(int fd) {
    return close(fd);
}

/* Closes [first, last] around the descriptors of our own. */
static int close_span(unsigned first, unsigned last, int flags) {
    for (int own = fdtable_next_own((int)first); own >= 0 && (unsigned)own <= last;
         own = fdtable_next_own((int)first)) {
        if ((unsigned)own > first && real.close_range(first, (unsigned)own - 1, flags))
            return -1;
        first = (unsigned)own + 1;
    }
    return first <= last ? real.close_range(first, last, flags) : 0;
}

static void release_span(unsigned first, unsigned last) {
    for (int fd = fdtable_next((int)first); fd >= 0 && (unsigned)fd <= last; fd = fdtable_next(fd + 1))
        farewell_close(fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags) {
    if (first > last || first > INT32_MAX || !core.active || !fdtable_mine())
        return real.close_range(first, last, flags);
    if ((unsigned)flags & CLOSE_RANGE_CLOEXEC)
        return real.close_range(first, last, flags);
    release_span(first, last);
    int r = close_span(first, last, flags);
    streams_std_ready();
    return r;
}

EXPORT void closefrom(int first) {
    if (first < 0)
        first = 0;
    if (!core.active || !fdtable_mine()) {
        real.closefrom(first);
        return;
    }
    release_span((unsigned)first, UINT32_MAX);
    if (fdtable_next_own(first) < 0 || close_span((unsigned)first, UINT32_MAX, 0))
        real.closefrom(first);
    streams_std_ready();
}
