/* tls_log.c - formats a line into a stack buffer and hands it to the core. Preserves errno. */
#include "tls_log.h"
#include "engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void tls_log(enum log_level level, const char *fmt, ...) {
    if (!mtlswrap_engine.log)
        return;
    int saved = errno;
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    mtlswrap_engine.log((int)level, line);
    errno = saved;
}
