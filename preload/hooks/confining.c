/* confining.c - hooks: how a program puts itself behind a seccomp filter. The filter is the program's own and
 * is installed as it is; we only look at it first, so that nobody makes a call that it forbids. */
#include "hook.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "confine.h"

static long finished(long result, struct confine_before before, int saved) {
    if (result)
        confine_undo(before);
    else
        errno = saved;
    return result;
}

EXPORT int prctl(int option, ...) {
    unsigned long a[4];
    va_list ap;
    va_start(ap, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(ap, unsigned long);
    va_end(ap);
    bool filter = a[0] == SECCOMP_MODE_FILTER;
    if (option != PR_SET_SECCOMP || !core.active || (!filter && a[0] != SECCOMP_MODE_STRICT) ||
        (filter && !a[1]))
        return real.prctl(option, a[0], a[1], a[2], a[3]);
    int saved = errno;
    struct confine_before before = confine_install(filter ? (const struct sock_fprog *)a[1] : NULL);
    return (int)finished(real.prctl(option, a[0], a[1], a[2], a[3]), before, saved);
}

bool confining_serve(long number, const long *a, long *result) {
    bool filter = a[0] == SECCOMP_SET_MODE_FILTER;
    if (number == SYS_prctl && a[0] == PR_SET_SECCOMP) {
        *result = prctl((int)a[0], a[1], a[2], a[3], a[4]);
        return true;
    }
    if (number != SYS_seccomp || (!filter && a[0] != SECCOMP_SET_MODE_STRICT) || (filter && !a[2]))
        return false;
    int saved = errno;
    struct confine_before before = confine_install(filter ? (const struct sock_fprog *)a[2] : NULL);
    long r = real.syscall(SYS_seccomp, a[0], a[1], a[2], 0, 0, 0);
    if (r > 0 || (r == 0 && filter)) { /* a listener's descriptor is a success too */
        errno = saved;
        *result = r;
        return true;
    }
    *result = finished(r, before, saved);
    return true;
}
