/* streams_swap.c - what a cookie stream on a managed descriptor does, and the exchange of state between it
 * and a stream of libc's. Keeps no list. */
#include "streams_swap.h"

#include <errno.h>
#include <stdatomic.h>

#include "conn.h"
#include "farewell.h"
#include "fdtable.h"
#include "real.h"
#include "recv.h"
#include "send.h"
#include "streams.h"

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
};

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

int streams_swap_close(int fd) {
    return farewell_close(fd);
}

static int stream_close(void *cookie) {
    return streams_swap_close(((struct stream *)cookie)->fd);
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
bool streams_swap_make(struct stream *t) {
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
void streams_swap(struct stream *t, bool awake) {
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
void streams_swap_give_buffer(FILE *f, char *buffer, bool borrowed) {
    if (!buffer || f->_IO_buf_base || (f->_flags & FLAG_UNBUFFERED))
        return;
    f->_IO_buf_base = buffer;
    f->_IO_buf_end = buffer + SOCKET_BLOCK;
    if (borrowed)
        f->_flags |= FLAG_USER_BUFFER;
}

/* A buffer that was never used is none: libc makes one that suits the new file. */
void streams_swap_take_buffer(FILE *f, const char *buffer) {
    if (f->_IO_buf_base != buffer || f->_IO_read_base || f->_IO_write_base)
        return;
    f->_IO_buf_base = f->_IO_buf_end = NULL;
    f->_flags &= ~FLAG_USER_BUFFER;
}
