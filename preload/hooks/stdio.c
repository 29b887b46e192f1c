/* stdio.c - hooks: streams on descriptors. Decides whether a stream has to come through us; what it does then
 * lives in streams.c. */
#include "hook.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "streams.h"

/* Symbols that no header declares, or only under _FORTIFY_SOURCE. */
FILE *_IO_fdopen(int, const char *);
int _IO_fclose(FILE *);
int __dprintf_chk(int, int, const char *, ...);
int __vdprintf_chk(int, int, const char *, va_list);
int __vasprintf_chk(char **, int, const char *, va_list);

EXPORT FILE *fdopen(int fd, const char *mode) {
    core_init();
    FILE *f = real.fdopen(fd, mode);
    return f && core.active && streams_wanted(fd) ? streams_cover(f, fd) : f;
}

EXPORT FILE *_IO_fdopen(int fd, const char *mode) {
    return fdopen(fd, mode);
}

EXPORT int fclose(FILE *f) {
    return atomic_load(&streams_replaced) ? streams_close(f) : real.fclose(f);
}

EXPORT int _IO_fclose(FILE *f) {
    return fclose(f);
}

/* libc would put the new file over the connection's number from inside, so something harmless is put there
 * first, by ways that we see. */
static FILE *reopen(const char *path, const char *mode, FILE *f, int fd) {
    fflush(f);
    int null = path ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    if (null < 0) { /* without a path: a socket cannot be opened again */
        fclose(f);
        errno = ENXIO;
        return NULL;
    }
    dup2(null, fd);
    close(null);
    FILE *awake = streams_now(f), *r = real.freopen(path, mode, awake);
    if (r)
        streams_uncover(r);
    return r;
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *f) {
    if (!atomic_load(&streams_replaced))
        return real.freopen(path, mode, f);
    streams_std_sync(streams_now(f)->_fileno); /* it may have turned out to be plaintext */
    f = streams_now(f);
    int fd = f->_fileno;
    if (fdtable_entry(fd) && fdtable_slot(fd))
        return reopen(path, mode, f, fd);
    if (!streams_ours(f))
        return real.freopen(path, mode, f);
    FILE *r = real.freopen(path, mode, f);
    streams_uncover(f);
    return r;
}

EXPORT FILE *freopen64(const char *path, const char *mode, FILE *f) {
    return freopen(path, mode, f);
}

/* --- dprintf ------------------------------------------------------------------------------------- */

/* Takes text over; n < 0: it could not be made. */
static int write_text(int fd, char *text, int n) {
    if (n < 0)
        return -1;
    int done = 0;
    while (done < n) {
        ssize_t sent = write(fd, text + done, (size_t)(n - done));
        if (sent < 0)
            break;
        done += (int)sent;
    }
    free(text);
    return done == n ? n : -1;
}

EXPORT int vdprintf(int fd, const char *format, va_list ap) {
    if (!(fdtable_entry(fd) && fdtable_slot(fd)))
        return real.vdprintf(fd, format, ap);
    char *text = NULL;
    int n = vasprintf(&text, format, ap);
    return write_text(fd, text, n);
}

EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list ap) {
    if (!(fdtable_entry(fd) && fdtable_slot(fd)))
        return real.__vdprintf_chk(fd, flag, format, ap);
    char *text = NULL;
    int n = __vasprintf_chk(&text, flag, format, ap);
    return write_text(fd, text, n);
}

EXPORT int dprintf(int fd, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = vdprintf(fd, format, ap);
    va_end(ap);
    return n;
}

EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = __vdprintf_chk(fd, flag, format, ap);
    va_end(ap);
    return n;
}
