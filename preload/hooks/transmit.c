/* transmit.c - hooks: the write family. */
#include "hook.h"

#include <limits.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "options.h"
#include "passing.h"
#include "recv.h"
#include "send.h"

static ssize_t transmit(int fd, struct slot *s, const void *buf, size_t n, int flags) {
    struct iovec iov = {(void *)(uintptr_t)buf, n > INT_MAX ? INT_MAX : n};
    return send_stream(fd, s, &iov, 1, flags);
}

EXPORT ssize_t write(int fd, const void *buf, size_t n) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s) {
        ssize_t sent = transmit(fd, s, buf, n, 0);
        if (sent != CONN_PLAIN)
            return sent;
    }
    return real.write(fd, buf, n);
}

EXPORT ssize_t __write(int fd, const void *buf, size_t n) {
    return write(fd, buf, n);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && count >= 0 && count <= IOV_MAX && hook_any_bytes(iov, count)) {
        ssize_t sent = send_stream(fd, s, iov, count, 0);
        if (sent != CONN_PLAIN)
            return sent;
    }
    return real.writev(fd, iov, count);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && offset == -1 && count >= 0 && count <= IOV_MAX && hook_any_bytes(iov, count) &&
        !(flags & ~(RWF_NOWAIT | RWF_HIPRI))) {
        ssize_t sent = send_stream(fd, s, iov, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
        if (sent != CONN_PLAIN)
            return sent;
    }
    return real.pwritev2(fd, iov, count, offset, flags);
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) {
    return pwritev2(fd, iov, count, offset, flags);
}

static bool refused(const struct slot *s, int flags) {
    return (flags & MSG_OOB) && options_refuse(s, "MSG_OOB", EOPNOTSUPP) < 0;
}

/* Flags that mean something for a byte stream; the rest is for the kernel alone. */
enum { STREAM_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE };

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s) {
        if (refused(s, flags))
            return -1;
        ssize_t sent = transmit(fd, s, buf, n, flags & STREAM_FLAGS);
        if (sent != CONN_PLAIN)
            return sent;
    }
    return real.send(fd, buf, n, flags);
}

EXPORT ssize_t __send(int fd, const void *buf, size_t n, int flags) {
    return send(fd, buf, n, flags);
}

/* Bytes in the SYN would leave before the peer is known: connect as usual, then send. */
static ssize_t fast_open(int fd, const struct iovec *iov, int count, int flags, const struct sockaddr *addr,
                         socklen_t len) {
    int r = connect(fd, addr, len);
    if (r && errno != EINPROGRESS && errno != EISCONN)
        return -1;
    struct slot *s = fdtable_slot(fd);
    flags &= ~MSG_FASTOPEN;
    if (s)
        return send_stream(fd, s, iov, count, flags & STREAM_FLAGS);
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    return real.sendmsg(fd, &msg, flags);
}

static bool wants_fast_open(int flags, const struct sockaddr *addr) {
    return core.active && (flags & MSG_FASTOPEN) && addr;
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
                      socklen_t len) {
    if (wants_fast_open(flags, addr)) {
        struct iovec iov = {(void *)(uintptr_t)buf, n};
        return fast_open(fd, &iov, 1, flags, addr, len);
    }
    if (fdtable_entry(fd) && fdtable_slot(fd))
        return send(fd, buf, n, flags); /* a connected stream ignores the address */
    return real.sendto(fd, buf, n, flags, addr, len);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags) {
    if (msg && wants_fast_open(flags, msg->msg_name))
        return fast_open(fd, msg->msg_iov, (int)msg->msg_iovlen, flags, msg->msg_name, msg->msg_namelen);
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && msg && msg->msg_iovlen <= IOV_MAX) {
        if (refused(s, flags))
            return -1;
        ssize_t sent = send_stream(fd, s, msg->msg_iov, (int)msg->msg_iovlen, flags & STREAM_FLAGS);
        if (sent != CONN_PLAIN)
            return sent;
    }
    return passing_sends(msg) ? passing_send(fd, msg, flags) : real.sendmsg(fd, msg, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags) {
    bool passing = false;
    for (unsigned i = 0; msgs && i < n && !passing; i++)
        passing = passing_sends(&msgs[i].msg_hdr);
    if (!passing && !(fdtable_entry(fd) && fdtable_slot(fd)))
        return real.sendmmsg(fd, msgs, n, flags);
    unsigned done = 0;
    for (; done < n; done++) {
        ssize_t sent = sendmsg(fd, &msgs[done].msg_hdr, flags);
        if (sent < 0)
            return done ? (int)done : -1;
        msgs[done].msg_len = (unsigned)sent;
    }
    return (int)done;
}

EXPORT int __sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags) {
    return sendmmsg(fd, msgs, n, flags);
}

/* --- from file to socket ------------------------------------------------------------------------- */

/* One piece from in (at *offset, or where it stands) to the managed out. What out does not take stays in the
 * file. */
static ssize_t copy_piece(int out, struct slot *s, int in, off_t *offset, size_t n, int flags) {
    struct scratch *scratch = conn_scratch();
    if (!scratch)
        return -1;
    off_t at = offset ? *offset : lseek(in, 0, SEEK_CUR);
    if (at < 0) {
        errno = EINVAL; /* also what does not seek */
        return -1;
    }
    ssize_t got = pread(in, scratch->file, n < sizeof scratch->file ? n : sizeof scratch->file, at);
    if (got <= 0)
        return got;
    ssize_t sent = transmit(out, s, scratch->file, (size_t)got, flags);
    if (sent <= 0)
        return sent;
    if (offset)
        *offset += sent;
    else if (lseek(in, at + sent, SEEK_SET) < 0)
        return -1;
    return sent;
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t n) {
    struct slot *s = fdtable_entry(out) ? fdtable_slot(out) : NULL;
    if (fdtable_entry(in) && fdtable_slot(in)) {
        errno = EINVAL; /* a socket cannot be the source */
        return -1;
    }
    if (!s)
        return real.sendfile(out, in, offset, n);
    size_t done = 0;
    while (done < n) {
        int more = n - done > SLOT_BATCH ? MSG_MORE : 0;
        ssize_t sent = copy_piece(out, s, in, offset, n - done, more);
        if (sent == CONN_PLAIN)
            return done ? (ssize_t)done : real.sendfile(out, in, offset, n);
        if (sent < 0 && !done)
            return -1;
        if (sent <= 0)
            break;
        done += (size_t)sent;
    }
    return (ssize_t)done;
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t n) {
    return sendfile(out, in, offset, n);
}

/* --- splice -------------------------------------------------------------------------------------- */

static ssize_t read_pipe(int in, size_t n, unsigned flags, struct scratch *scratch) {
    if (flags & SPLICE_F_NONBLOCK) {
        struct pollfd p = {.fd = in, .events = POLLIN};
        if (real.poll(&p, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
    }
    return real.read(in, scratch->file, n < sizeof scratch->file ? n : sizeof scratch->file);
}

/* Bytes read from a pipe cannot be put back, so the send has to take them all. */
static ssize_t splice_out(int in, int out, struct slot *s, size_t n, unsigned flags) {
    struct scratch *scratch = conn_scratch();
    if (!scratch)
        return -1;
    struct pollfd p = {.fd = out, .events = POLLOUT};
    bool patient = !(flags & SPLICE_F_NONBLOCK) && !atomic_load(&s->nonblocking);
    if (real.poll(&p, 1, patient ? -1 : 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t got = read_pipe(in, n, flags, scratch);
    for (ssize_t done = 0; got > 0 && done < got;) {
        ssize_t sent = transmit(out, s, scratch->file + done, (size_t)(got - done),
                                flags & SPLICE_F_MORE ? MSG_MORE : 0);
        if (sent == CONN_PLAIN)
            sent = real.write(out, scratch->file + done, (size_t)(got - done));
        if (sent < 0 && errno != EAGAIN)
            return done ? done : -1;
        if (sent < 0)
            real.poll(&p, 1, -1);
        else
            done += sent;
    }
    return got;
}

/* No more is taken from the connection than the pipe has room for. */
static ssize_t splice_in(int in, struct slot *s, int out, size_t n, unsigned flags) {
    struct scratch *scratch = conn_scratch();
    int queued = 0, room = real.fcntl(out, F_GETPIPE_SZ);
    if (!scratch || room < 0 || real.ioctl(out, FIONREAD, &queued)) {
        errno = EINVAL;
        return -1;
    }
    if (room - queued < 4096) {
        struct pollfd p = {.fd = out, .events = POLLOUT};
        if (real.poll(&p, 1, flags & SPLICE_F_NONBLOCK ? 0 : -1) <= 0) {
            errno = EAGAIN;
            return -1;
        }
        queued = room - 4096;
    }
    size_t most = (size_t)(room - queued);
    if (most > sizeof scratch->file)
        most = sizeof scratch->file;
    struct iovec iov = {scratch->file, n < most ? n : most};
    ssize_t got = recv_stream(in, s, &iov, 1, flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0);
    return got > 0 ? real.write(out, scratch->file, (size_t)got) : got;
}

EXPORT ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags) {
    struct slot *from = fdtable_entry(in) ? fdtable_slot(in) : NULL;
    struct slot *to = fdtable_entry(out) ? fdtable_slot(out) : NULL;
    if (from || to) {
        bool seek = in_at || out_at;
        ssize_t moved = CONN_PLAIN;
        if (from && to)
            errno = EINVAL;
        else if (seek)
            errno = ESPIPE;
        if (seek || (from && to))
            return -1;
        moved = to ? splice_out(in, out, to, n, flags) : splice_in(in, from, out, n, flags);
        if (moved != CONN_PLAIN)
            return moved;
    }
    return real.splice(in, in_at, out, out_at, n, flags);
}

/* The kernel refuses sockets here; a managed one must not be given to it all the same. */
static bool any_managed(int a, int b) {
    if ((fdtable_entry(a) && fdtable_slot(a)) || (fdtable_entry(b) && fdtable_slot(b))) {
        errno = EINVAL;
        return true;
    }
    return false;
}

EXPORT ssize_t tee(int in, int out, size_t n, unsigned flags) {
    return any_managed(in, out) ? -1 : real.tee(in, out, n, flags);
}

EXPORT ssize_t vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags) {
    return any_managed(fd, -1) ? -1 : real.vmsplice(fd, iov, count, flags);
}

EXPORT ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags) {
    return any_managed(in, out) ? -1 : real.copy_file_range(in, in_at, out, out_at, n, flags);
}
