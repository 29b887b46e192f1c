/* tls_log.h - one line to the core's log; silent until the core has set the way there. */
#ifndef MTLSWRAP_TLS_LOG_H
#define MTLSWRAP_TLS_LOG_H

#include "log.h"

void tls_log(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
