/* log.h - one line per refusal and per fallback (I7). Preserves errno; safe in any thread,
 * also in a signal handler: formats into a stack buffer and makes one raw write.
 *
 * Where there is a file to log to, each line opens it, until log_keep. From then on it stays open, because
 * the program may put it out of its own reach (chroot, another user), and a thread of our own must not take a
 * number that the program is about to get (I6). */
#ifndef MTLSWRAP_LOG_H
#define MTLSWRAP_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

extern enum log_level log_threshold; /* set once by log_init, hence no lock */

/* Reads MTLSWRAP_LOG and MTLSWRAP_LOG_FILE; opens nothing before the first line is written. */
void log_init(void);
/* Looks at standard error once more: later the kernel cannot be asked. */
void log_settle(void);
/* In a call of the program: the log's file stays open from now on, under a number of our own. Where that
 * cannot be done each line goes on opening it. */
void log_keep(void);
/* The same before the first connection, when our numbers are not told from the program's yet: it may close
 * it. Does nothing in a child that may share its parent's memory, because the parent would not have the file.
 */
void log_keep_early(void);
/* This thread is none of the program's: it opens nothing. */
void log_aside(void);
/* The path means another place from now on (chroot; from the start when it is relative): a file that is kept
 * open is not looked for any more. */
void log_stay(void);
/* A line never holds more than 1023 bytes; a longer one is cut. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) (log_threshold >= LOG_LEVEL_INFO ? log_write(LOG_LEVEL_INFO, __VA_ARGS__) : (void)0)
#define log_debug(...) (log_threshold >= LOG_LEVEL_DEBUG ? log_write(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

#endif
