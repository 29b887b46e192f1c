/* log.c - writes the log lines: into the log's file, which is kept open once there are protected connections,
 * or into standard error. Never into a descriptor that has become something else than a place for messages.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdtable.h"
#include "keep.h"
#include "wire.h"

/* These are set once by log_init, hence no lock. */
enum log_level log_threshold = LOG_LEVEL_WARN;
static const char *log_file;
static bool settled; /* what log_settle found */
static dev_t first_device;
static ino_t first_inode;

static _Atomic int kept = -1;     /* the log's file; its number stays the same when the file is another one */
static _Atomic uint64_t marks[2]; /* which file that is; while it is changed, also which one it will be */
static _Atomic pid_t changing;    /* the process that is at it: a child of a fork in between is another one */
static _Atomic bool staying;      /* see log_stay */
static __thread bool aside;       /* see log_aside */
static _Atomic pid_t home;        /* whose memory this is */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static void move_in(void) {
    atomic_store(&home, wire_getpid());
}

void log_init(void) {
    const char *level = getenv("MTLSWRAP_LOG");
    for (size_t i = 0; level && i < sizeof level_names / sizeof *level_names; i++)
        if (!strcmp(level, level_names[i]))
            log_threshold = (enum log_level)i;
    const char *file = getenv("MTLSWRAP_LOG_FILE");
    log_file = file && *file ? keep(file) : NULL;
    staying = log_file && *log_file != '/';
    if (log_file) {
        move_in();
        pthread_atfork(NULL, NULL, move_in);
    }
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

static int open_file(void) {
    if (confine_lost(CONFINE_LOG))
        return -1;
    return open(log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
}

static uint64_t mark_of(const struct stat *st) {
    return ((uint64_t)st->st_ino * 0x9e3779b97f4a7c15u) ^ (uint64_t)st->st_dev;
}

/* fd is still the log's file, which *st describes then: the program may have closed the number where no hook
 * saw it, and got it for a file of its own. */
static bool is_kept(int fd, struct stat *st) {
    return !fstat(fd, st) && (mark_of(st) == atomic_load(&marks[0]) || mark_of(st) == atomic_load(&marks[1]));
}

/* A pipe or a terminal that we held open would be missed by whoever waits for its end. */
static void keep_file(void) {
    struct stat st;
    if (confine_lost(CONFINE_STAT) || is_kept(atomic_load(&kept), &st))
        return;
    atomic_store(&kept, -1);
    if (!stat(log_file, &st) && !S_ISREG(st.st_mode))
        return;
    int fd = open_file();
    if (fd < 0)
        return;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode)) {
        atomic_store(&marks[0], mark_of(&st));
        atomic_store(&marks[1], mark_of(&st));
        atomic_store(&kept, fdtable_high(fd));
    }
    real.close(fd);
}

static void keep_once(bool for_good) {
    static atomic_flag at_it = ATOMIC_FLAG_INIT; /* two threads that listen would each keep one */
    static bool ours;
    if (!log_file || atomic_flag_test_and_set(&at_it))
        return;
    if (!ours)
        keep_file();
    if (!ours && for_good && atomic_load(&kept) >= 0) {
        fdtable_own_log(atomic_load(&kept));
        ours = true;
    }
    atomic_flag_clear(&at_it);
}

void log_keep(void) {
    keep_once(true);
}

void log_keep_early(void) {
    if (atomic_load(&home) == wire_getpid())
        keep_once(false);
}

void log_aside(void) {
    aside = true;
}

void log_stay(void) {
    if (fdtable_mine() || !atomic_load(&fdtable_size)) /* a server may do it before its first connection */
        atomic_store(&staying, true);
}

/* The path names another file, or none: the log has been moved away. The new file takes the old one's number,
 * in which another thread may be writing. */
static void follow(int fd) {
    struct stat st;
    pid_t self = wire_getpid(), other = atomic_load(&changing);
    if (confine_lost(CONFINE_DUP) || !fdtable_mine() || other == self ||
        !atomic_compare_exchange_strong(&changing, &other, self))
        return;
    int fresh = open_file();
    if (fresh >= 0 && !fstat(fresh, &st) && S_ISREG(st.st_mode)) {
        atomic_store(&marks[1], mark_of(&st));
        int r = real.dup3(fresh, fd, O_CLOEXEC);
        atomic_store(&marks[r == fd ? 0 : 1], atomic_load(&marks[r == fd ? 1 : 0]));
    }
    if (fresh >= 0)
        real.close(fresh);
    atomic_store(&changing, 0);
}

/* The kept file, or -1. */
static int kept_file(void) {
    struct stat here, there;
    int fd = atomic_load(&kept);
    if (fd < 0 || confine_lost(CONFINE_STAT)) /* the filter was looked at while it was still ours */
        return fd;
    if (!is_kept(fd, &here))
        return -1;
    if (aside)
        return here.st_nlink ? fd : -1; /* nobody would find it there */
    if (!atomic_load(&staying) && (stat(log_file, &there) || mark_of(&there) != mark_of(&here)))
        follow(fd);
    return fd;
}

/* False: the disk is full, for one. A refusal must not go untold (I7). */
static bool into_file(const char *line, size_t len) {
    int fd = kept_file();
    if (fd >= 0)
        return real.write(fd, line, len) == (ssize_t)len;
    fd = aside && atomic_load(&kept) >= 0 ? -1 : open_file();
    if (fd < 0)
        return false;
    bool written = real.write(fd, line, len) == (ssize_t)len;
    real.close(fd);
    return written;
}

static void emit(const char *line, size_t len) {
    if (log_file && into_file(line, len))
        return;
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
