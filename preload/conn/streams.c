/* streams.c - cookie streams on managed descriptors, and the exchange of state with libc's own. Formats
 * nothing; knows no hook. */
#include "streams.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conn.h"
#include "farewell.h"
#include "fdtable.h"
#include "log.h"
#include "real.h"
#include "recv.h"
#include "send.h"

/* libc's own list of streams and its lock; exported, declared nowhere. */
extern FILE *_IO_list_all;
void _IO_list_lock(void);
void _IO_list_unlock(void);

/* Bits of _flags, part of libc's ABI for its macros' sake since ever. */
enum {
    FLAG_USER_BUFFER = 0x1,
    FLAG_UNBUFFERED = 0x2,
    FLAG_NO_READS = 0x4,
    FLAG_NO_WRITES = 0x8,
    FLAG_LINKED = 0x80,
    FLAG_IS_FILE = 0x2000,
    FLAG_USER_LOCK = 0x8000,
    FLAGS_OF_THE_OBJECT = FLAG_LINKED | FLAG_IS_FILE | FLAG_USER_LOCK,
    SOCKET_BLOCK = 4096, /* a socket's st_blksize, which is the size of libc's buffer for it */
};

/* A stream of libc's and ours in its place. */
struct stream {
    FILE *ours, *libcs;
    int fd;
    bool awake; /* ours has the state */
    bool mute;  /* libc's has no descriptor, and ours cannot stand in for it */
    int mode;   /* libc's orientation before */
    bool over;  /* the farewell was said */
    struct stream *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream *streams; /* under lock: all but the standard ones */
static struct stream standard[3];
static char room[3][SOCKET_BLOCK];
_Atomic bool streams_replaced;

/* --- what a cookie stream does ------------------------------------------------------------------- */

static bool is_over(const struct stream *t) {
    if (t->over)
        errno = EPIPE;
    return t->over;
}

static ssize_t stream_read(void *cookie, char *buf, size_t n) {
    struct stream *t = cookie;
    struct iovec iov = {buf, n};
    if (is_over(t))
        return -1;
    struct slot *s = fdtable_slot(t->fd);
    ssize_t got = s ? recv_stream(t->fd, s, &iov, 1, 0) : CONN_PLAIN;
    return got == CONN_PLAIN ? real.read(t->fd, buf, n) : got;
}

static ssize_t write_some(int fd, const char *buf, size_t n) {
    struct iovec iov = {(void *)(uintptr_t)buf, n};
    struct slot *s = fdtable_slot(fd);
    ssize_t sent = s ? send_stream(fd, s, &iov, 1, 0) : CONN_PLAIN;
    return sent == CONN_PLAIN ? real.write(fd, buf, n) : sent;
}

/* A count that is short sets the stream's error flag, as a failed write does on a stream of libc's. */
static ssize_t stream_write(void *cookie, const char *buf, size_t n) {
    struct stream *t = cookie;
    size_t done = 0;
    while (done < n && !is_over(t)) {
        ssize_t sent = write_some(t->fd, buf + done, n - done);
        if (sent < 0)
            break;
        done += (size_t)sent;
    }
    return (ssize_t)done;
}

static int stream_seek(void *cookie, off64_t *offset, int whence) {
    (void)cookie;
    (void)offset;
    (void)whence;
    errno = ESPIPE;
    return -1;
}

static int close_descriptor(int fd) {
    struct slot *s = fdtable_mine() ? fdtable_take(fd) : NULL;
    if (s)
        farewell(fd, s);
    return real.close(fd);
}

static int stream_close(void *cookie) {
    return close_descriptor(((struct stream *)cookie)->fd);
}

/* --- the exchange -------------------------------------------------------------------------------- */

static void swap_pointers(char **a, char **b) {
    char *kept = *a;
    *a = *b;
    *b = kept;
}

/* An unbuffered stream's buffer is one byte inside the object itself. */
static void follow_short_buffer(FILE *to, const FILE *from) {
    char *const was = (char *)(uintptr_t)from->_shortbuf;
    if (to->_IO_buf_base != was)
        return;
    char **const pointers[] = {&to->_IO_read_ptr,  &to->_IO_read_end,   &to->_IO_read_base,
                               &to->_IO_write_ptr, &to->_IO_write_base, &to->_IO_write_end,
                               &to->_IO_buf_end,   &to->_IO_buf_base};
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++)
        if (*pointers[i])
            *pointers[i] = to->_shortbuf + (*pointers[i] - was);
}

static void swap_state(FILE *a, FILE *b) {
    FILE was = *a;
    swap_pointers(&a->_IO_read_ptr, &b->_IO_read_ptr);
    swap_pointers(&a->_IO_read_end, &b->_IO_read_end);
    swap_pointers(&a->_IO_read_base, &b->_IO_read_base);
    swap_pointers(&a->_IO_write_base, &b->_IO_write_base);
    swap_pointers(&a->_IO_write_ptr, &b->_IO_write_ptr);
    swap_pointers(&a->_IO_write_end, &b->_IO_write_end);
    swap_pointers(&a->_IO_buf_base, &b->_IO_buf_base);
    swap_pointers(&a->_IO_buf_end, &b->_IO_buf_end);
    swap_pointers(&a->_IO_save_base, &b->_IO_save_base);
    swap_pointers(&a->_IO_backup_base, &b->_IO_backup_base);
    swap_pointers(&a->_IO_save_end, &b->_IO_save_end);
    a->_flags = (b->_flags & ~FLAGS_OF_THE_OBJECT) | (was._flags & FLAGS_OF_THE_OBJECT);
    b->_flags = (was._flags & ~FLAGS_OF_THE_OBJECT) | (b->_flags & FLAGS_OF_THE_OBJECT);
    a->_markers = b->_markers, b->_markers = was._markers;
    a->_cur_column = b->_cur_column, b->_cur_column = was._cur_column;
    a->_shortbuf[0] = b->_shortbuf[0], b->_shortbuf[0] = was._shortbuf[0];
    a->_offset = b->_offset, b->_offset = was._offset;
    a->_codecvt = b->_codecvt, b->_codecvt = was._codecvt;
    a->_wide_data = b->_wide_data, b->_wide_data = was._wide_data;
    a->_mode = b->_mode, b->_mode = was._mode;
    follow_short_buffer(a, b);
    follow_short_buffer(b, a);
}

/* Makes the cookie stream of t, asleep: whoever uses it gets EBADF. */
static bool make_ours(struct stream *t) {
    static const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    if (t->ours)
        return true;
    t->ours = fopencookie(t, "r+", functions);
    if (!t->ours)
        return false;
    t->ours->_flags |= FLAG_NO_READS | FLAG_NO_WRITES;
    t->ours->_fileno = -1;
    return true;
}

/* Somebody may be inside one of the streams; what he does there cannot be waited for without a risk of
 * waiting for ever, as dup2(2) never does. */
static void exchange(struct stream *t, bool awake) {
    bool a = !ftrylockfile(t->ours), b = !ftrylockfile(t->libcs);
    t->libcs->_fileno = awake ? -1 : t->fd;
    t->ours->_fileno = awake ? t->fd : -1;
    swap_state(t->ours, t->libcs);
    t->awake = awake;
    if (awake) { /* libc's way of wide characters ends in its own write */
        t->mode = t->ours->_mode;
        t->ours->_mode = -1;
    } else if (!t->libcs->_IO_read_base && !t->libcs->_IO_write_base) {
        t->libcs->_mode = t->mode; /* never used */
    }
    if (b)
        funlockfile(t->libcs);
    if (a)
        funlockfile(t->ours);
    atomic_store(&streams_replaced, true);
}

/* libc would take a larger buffer for a stream whose file it cannot look at. */
static void give_buffer(FILE *f, char *buffer, bool borrowed) {
    if (!buffer || f->_IO_buf_base || (f->_flags & FLAG_UNBUFFERED))
        return;
    f->_IO_buf_base = buffer;
    f->_IO_buf_end = buffer + SOCKET_BLOCK;
    if (borrowed)
        f->_flags |= FLAG_USER_BUFFER;
}

/* A buffer that was never used is none: libc makes one that suits the new file. */
static void take_buffer(FILE *f, const char *buffer) {
    if (f->_IO_buf_base != buffer || f->_IO_read_base || f->_IO_write_base)
        return;
    f->_IO_buf_base = f->_IO_buf_end = NULL;
    f->_flags &= ~FLAG_USER_BUFFER;
}

/* --- standard streams ---------------------------------------------------------------------------- */

static FILE **variable(int fd) {
    return fd == 0 ? &stdin : fd == 1 ? &stdout : &stderr;
}

/* The program may have put a stream of its own there, which may be on any descriptor. */
static bool std_prepare(int fd) {
    struct stream *t = &standard[fd];
    if (t->libcs)
        return true;
    FILE *f = *variable(fd);
    if (!f || f->_fileno != fd || streams_ours(f))
        return false;
    t->fd = fd;
    t->libcs = make_ours(t) ? f : NULL;
    return t->libcs != NULL;
}

static void std_wake(int fd) {
    struct stream *t = &standard[fd];
    if (!std_prepare(fd) || t->awake || t->libcs->_fileno != fd)
        return;
    if (t->libcs->_mode > 0) {
        log_warn("a standard stream with wide characters becomes a protected connection; it fails");
        t->mute = true;
        t->libcs->_fileno = -1;
        return;
    }
    t->over = false;
    exchange(t, true);
    give_buffer(t->ours, room[fd], true);
    if (*variable(fd) == t->libcs)
        *variable(fd) = t->ours;
}

static void std_sleep(int fd) {
    struct stream *t = &standard[fd];
    if (t->mute) {
        t->libcs->_fileno = fd;
        t->mute = false;
    }
    if (!t->awake)
        return;
    take_buffer(t->ours, room[fd]);
    exchange(t, false);
    if (*variable(fd) == t->ours)
        *variable(fd) = t->libcs;
}

void streams_std_sync(int fd) {
    if ((unsigned)fd > 2 || (!standard[fd].awake && !standard[fd].mute && !fdtable_entry(fd)) ||
        !fdtable_mine())
        return;
    int saved = errno;
    if (fdtable_slot(fd))
        std_wake(fd);
    else
        std_sleep(fd);
    errno = saved;
}

void streams_std_ready(void) {
    for (int fd = 0; fd <= 2; fd++)
        streams_std_sync(fd);
}

/* A stream of libc's that the program opened on another file: it has no way to us, so it fails. */
static void silence(int fd) {
    _IO_list_lock();
    for (FILE *f = _IO_list_all; f; f = f->_chain)
        if (f->_fileno == fd && !streams_ours(f)) {
            f->_fileno = -1;
            log_warn("descriptor %d becomes a protected connection while a stdio stream is on it; the stream "
                     "can write no more",
                     fd);
        }
    _IO_list_unlock();
}

void streams_expect(int fd) {
    int saved = errno;
    if (!fdtable_mine())
        return;
    if ((unsigned)fd <= 2)
        std_wake(fd);
    silence(fd);
    errno = saved;
}

FILE *streams_now(FILE *f) {
    for (int fd = 0; fd <= 2; fd++)
        if (f && (f == standard[fd].ours || f == standard[fd].libcs))
            return standard[fd].awake ? standard[fd].ours : standard[fd].libcs;
    return f;
}

/* --- other streams ------------------------------------------------------------------------------- */

static bool may_yet_be(int fd) {
    int protocol = 0;
    socklen_t len = sizeof protocol;
    struct sockaddr_storage peer;
    if (real.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) ||
        (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP))
        return false;
    len = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &len) != 0;
}

bool streams_wanted(int fd) {
    int saved = errno;
    bool wanted = fdtable_slot(fd) || may_yet_be(fd);
    errno = saved;
    return wanted;
}

/* Our stream borrows libc's for its room for wide characters, so that one lives on, asleep. */
static void discard(FILE *f) {
    f->_fileno = -1;
    real.fclose(f);
}

FILE *streams_cover(FILE *f, int fd) {
    struct stream *t = calloc(1, sizeof *t);
    if (!t || !make_ours(t)) {
        free(t);
        discard(f);
        errno = ENOMEM;
        return NULL;
    }
    t->fd = fd;
    t->libcs = f;
    exchange(t, true);
    give_buffer(t->ours, malloc(SOCKET_BLOCK), false);
    pthread_mutex_lock(&lock);
    t->next = streams;
    streams = t;
    pthread_mutex_unlock(&lock);
    return t->ours;
}

static struct stream *unlink_stream(FILE *f) {
    struct stream *found = NULL;
    pthread_mutex_lock(&lock);
    for (struct stream **p = &streams; *p && !found; p = &(*p)->next)
        if ((*p)->ours == f) {
            found = *p;
            *p = found->next;
            break;
        }
    pthread_mutex_unlock(&lock);
    return found;
}

static struct stream *std_of(const FILE *f) {
    for (int fd = 0; fd <= 2; fd++)
        if (standard[fd].libcs && (f == standard[fd].ours || f == standard[fd].libcs))
            return &standard[fd];
    return NULL;
}

bool streams_ours(FILE *f) {
    struct stream *found;
    if (std_of(f))
        return true;
    pthread_mutex_lock(&lock);
    for (found = streams; found && found->ours != f; found = found->next)
        ;
    pthread_mutex_unlock(&lock);
    return found;
}

/* The object stays, as libc's does: programs go on naming it. */
static int std_close(struct stream *t) {
    bool awake = t->awake;
    int r = 0;
    if (awake) {
        r = real.fflush(t->ours);
        if (close_descriptor(t->fd))
            r = EOF;
        std_sleep(t->fd);
        t->libcs->_fileno = -1;
    }
    int saved = errno, closed = real.fclose(t->libcs);
    if (awake)
        errno = saved;
    return awake ? r : closed;
}

int streams_close(FILE *f) {
    struct stream *t = std_of(f);
    if (t)
        return std_close(t);
    t = unlink_stream(f);
    if (!t)
        return real.fclose(f);
    int r = real.fclose(f), saved = errno;
    discard(t->libcs);
    free(t);
    errno = saved;
    return r;
}

/* Its room for wide characters lies in the sleeping stream, which therefore stays. */
void streams_uncover(FILE *f) {
    free(unlink_stream(f));
}

static void flush_one(struct stream *t) {
    if (t->awake && !ftrylockfile(t->ours)) {
        real.fflush(t->ours);
        funlockfile(t->ours);
    }
    t->over = fdtable_slot(t->fd) != NULL;
}

void streams_finish(void) {
    if (!atomic_load(&streams_replaced) || !fdtable_mine())
        return;
    for (int fd = 0; fd <= 2; fd++)
        flush_one(&standard[fd]);
    pthread_mutex_lock(&lock);
    for (struct stream *t = streams; t; t = t->next)
        flush_one(t);
    pthread_mutex_unlock(&lock);
}

void streams_forked(void) {
    pthread_mutex_init(&lock, NULL);
}
