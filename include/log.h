/* log.h - one line per refusal and per fallback (I7). Preserves errno; safe in any thread,
 * also in a signal handler: formats into a stack buffer and makes one raw write. */
#ifndef MTLSWRAP_LOG_H
#define MTLSWRAP_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

extern enum log_level log_threshold; /* set once by log_init, hence no lock */

/* Reads MTLSWRAP_LOG and MTLSWRAP_LOG_FILE; opens nothing before the first line is written. */
void log_init(void);
/* Looks at standard error once more: later the kernel cannot be asked. */
void log_settle(void);
/* A line never holds more than 1023 bytes; a longer one is cut. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) (log_threshold >= LOG_LEVEL_INFO ? log_write(LOG_LEVEL_INFO, __VA_ARGS__) : (void)0)
#define log_debug(...) (log_threshold >= LOG_LEVEL_DEBUG ? log_write(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

#endif
