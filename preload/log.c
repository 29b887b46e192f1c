/* log.c - writes the log lines. Holds no descriptor between lines (I6) and never writes into a
 * descriptor 2 that has become something else than a place for messages. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdtable.h"
#include "keep.h"
#include "wire.h"

/* All four are set once by log_init, hence no lock. */
enum log_level log_threshold = LOG_LEVEL_WARN;
static const char *log_file;
static bool settled; /* what log_settle found */
static dev_t first_device;
static ino_t first_inode;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(void) {
    const char *level = getenv("MTLSWRAP_LOG");
    for (size_t i = 0; level && i < sizeof level_names / sizeof *level_names; i++)
        if (!strcmp(level, level_names[i]))
            log_threshold = (enum log_level)i;
    log_file = getenv("MTLSWRAP_LOG_FILE");
    if (log_file && *log_file)
        log_file = keep(log_file);
    struct stat st;
    if (!fstat(STDERR_FILENO, &st)) {
        first_device = st.st_dev;
        first_inode = st.st_ino;
    }
}

/* The journal listens on an AF_UNIX socket. Under inetd 2 is the connection itself, and a line in the clear
 * on it would be the end of it. */
static bool is_connection(void) {
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    return !getsockname(STDERR_FILENO, (struct sockaddr *)&name, &len) && name.ss_family != AF_UNIX;
}

/* A daemon may have closed 2 and got the number back for a data file or a connection. */
static bool stderr_takes_messages(void) {
    struct stat st;
    if (confine_lost(CONFINE_STAT | CONFINE_NAMES | CONFINE_FCNTL))
        return settled && !fdtable_entry(STDERR_FILENO);
    if (fstat(STDERR_FILENO, &st) || (S_ISSOCK(st.st_mode) && is_connection()))
        return false;
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
        return true;
    if (st.st_dev == first_device && st.st_ino == first_inode)
        return true;
    return S_ISREG(st.st_mode) && (real.fcntl(STDERR_FILENO, F_GETFL) & O_APPEND);
}

void log_settle(void) {
    settled = stderr_takes_messages();
}

static void emit(const char *line, size_t len) {
    if (log_file && *log_file && !confine_lost(CONFINE_FILES)) {
        int fd = open(log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd >= 0) {
            bool written = real.write(fd, line, len) == (ssize_t)len;
            real.close(fd);
            if (written) /* else the disk is full: a refusal must not go untold (I7) */
                return;
        }
    }
    if (stderr_takes_messages())
        (void)!real.write(STDERR_FILENO, line, len);
}

void log_write(enum log_level level, const char *fmt, ...) {
    if (level > log_threshold)
        return;
    int saved = errno;
    char line[1024];
    int n = snprintf(line, sizeof line, "mtlswrap[%d]: %s: ", (int)wire_getpid(), level_names[level]);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)n + (m > 0 ? (size_t)m : 0);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    emit(line, len);
    errno = saved;
}
