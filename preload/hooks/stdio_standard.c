/* stdio_standard.c - hooks: what programs and the C++ library do with the addresses of the standard streams
 * that they noted earlier. While a standard stream sleeps, its calls go to the one that is awake; calls that
 * are not listed here fail on the sleeping one. */
#include "hook.h"

#include <stdarg.h>
#include <stdio.h>
#include <wchar.h>

#include "streams.h"

/* Macros of the header that these names may be, and symbols that it does not declare. */
#undef putc
#undef getc
int _IO_putc(int, FILE *);
int _IO_getc(FILE *);
int __fprintf_chk(FILE *, int, const char *, ...);
int __vfprintf_chk(FILE *, int, const char *, va_list);

static inline FILE *now(FILE *f) {
    return __builtin_expect(atomic_load_explicit(&streams_replaced, memory_order_relaxed), 0) ? streams_now(f)
                                                                                              : f;
}

EXPORT int fflush(FILE *f) {
    f = now(f);
    return real.fflush(f);
}

EXPORT int fileno(FILE *f) {
    f = now(f);
    return real.fileno(f);
}

EXPORT int fileno_unlocked(FILE *f) {
    return fileno(f);
}

/* --- output -------------------------------------------------------------------------------------- */

EXPORT int fputc(int c, FILE *f) {
    f = now(f);
    return real.fputc(c, f);
}

EXPORT int putc(int c, FILE *f) {
    return fputc(c, f);
}

EXPORT int _IO_putc(int c, FILE *f) {
    return fputc(c, f);
}

EXPORT int fputs(const char *text, FILE *f) {
    f = now(f);
    return real.fputs(text, f);
}

EXPORT size_t fwrite(const void *from, size_t size, size_t n, FILE *f) {
    f = now(f);
    return real.fwrite(from, size, n, f);
}

EXPORT int vfprintf(FILE *f, const char *format, va_list ap) {
    f = now(f);
    return real.vfprintf(f, format, ap);
}

EXPORT int __vfprintf_chk(FILE *f, int flag, const char *format, va_list ap) {
    f = now(f);
    return real.__vfprintf_chk(f, flag, format, ap);
}

EXPORT int fprintf(FILE *f, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = vfprintf(f, format, ap);
    va_end(ap);
    return n;
}

EXPORT int __fprintf_chk(FILE *f, int flag, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = __vfprintf_chk(f, flag, format, ap);
    va_end(ap);
    return n;
}

/* What the macros for unlocked output call when there is no room. */
EXPORT int __overflow(FILE *f, int c) {
    FILE *awake = now(f);
    return awake == f ? real.__overflow(f, c) : real.fputc(c, awake);
}

EXPORT wint_t fputwc(wchar_t c, FILE *f) {
    f = now(f);
    return real.fputwc(c, f);
}

EXPORT wint_t putwc(wchar_t c, FILE *f) {
    return fputwc(c, f);
}

/* --- input --------------------------------------------------------------------------------------- */

EXPORT int fgetc(FILE *f) {
    f = now(f);
    return real.fgetc(f);
}

EXPORT int getc(FILE *f) {
    return fgetc(f);
}

EXPORT int _IO_getc(FILE *f) {
    return fgetc(f);
}

EXPORT char *fgets(char *to, int n, FILE *f) {
    f = now(f);
    return real.fgets(to, n, f);
}

EXPORT size_t fread(void *to, size_t size, size_t n, FILE *f) {
    f = now(f);
    return real.fread(to, size, n, f);
}

EXPORT int ungetc(int c, FILE *f) {
    f = now(f);
    return real.ungetc(c, f);
}

/* What the macros for unlocked input call when nothing is there. */
EXPORT int __uflow(FILE *f) {
    FILE *awake = now(f);
    return awake == f ? real.__uflow(f) : real.fgetc(awake);
}

EXPORT wint_t fgetwc(FILE *f) {
    f = now(f);
    return real.fgetwc(f);
}

EXPORT wint_t getwc(FILE *f) {
    return fgetwc(f);
}

EXPORT wint_t ungetwc(wint_t c, FILE *f) {
    f = now(f);
    return real.ungetwc(c, f);
}
