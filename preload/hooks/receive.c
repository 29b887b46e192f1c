/* receive.c - hooks: the read family. */
#include "hook.h"

#include <limits.h>
#include <string.h>

#include "passing.h"
#include "recv.h"

static ssize_t receive(int fd, struct slot *s, void *buf, size_t n, int flags) {
    struct iovec iov = {buf, n > INT_MAX ? INT_MAX : n};
    return recv_stream(fd, s, &iov, 1, flags);
}

EXPORT ssize_t read(int fd, void *buf, size_t n) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s) {
        if (!n)
            return 0; /* what the kernel says for sockets */
        ssize_t got = receive(fd, s, buf, n, 0);
        if (got != CONN_PLAIN)
            return got;
    }
    return real.read(fd, buf, n);
}

EXPORT ssize_t __read(int fd, void *buf, size_t n) {
    return read(fd, buf, n);
}

/* The compiler's checked calls: more than the buffer holds is the program's own overflow. */
static void check_room(size_t n, size_t room) {
    if (n > room)
        __builtin_trap();
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room) {
    check_room(n, room);
    return read(fd, buf, n);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int count) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && count >= 0 && count <= IOV_MAX) {
        if (!hook_any_bytes(iov, count))
            return 0;
        ssize_t got = recv_stream(fd, s, iov, count, 0);
        if (got != CONN_PLAIN)
            return got;
    }
    return real.readv(fd, iov, count);
}

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && offset == -1 && count >= 0 && count <= IOV_MAX && !(flags & ~(RWF_NOWAIT | RWF_HIPRI))) {
        if (!hook_any_bytes(iov, count))
            return 0;
        ssize_t got = recv_stream(fd, s, iov, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
        if (got != CONN_PLAIN)
            return got;
    }
    return real.preadv2(fd, iov, count, offset, flags);
}

EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) {
    return preadv2(fd, iov, count, offset, flags);
}

/* Urgent data and the error queue have no meaning under TLS. */
static bool refused(int flags) {
    if (flags & MSG_OOB)
        errno = EINVAL;
    else if (flags & MSG_ERRQUEUE)
        errno = EAGAIN;
    return flags & (MSG_OOB | MSG_ERRQUEUE);
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s) {
        if (refused(flags))
            return -1;
        ssize_t got = receive(fd, s, buf, n, flags);
        if (got >= 0 && addr && len)
            *len = 0; /* TCP gives no address here */
        if (got != CONN_PLAIN)
            return got;
    }
    return real.recvfrom(fd, buf, n, flags, addr, len);
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s) {
        if (refused(flags))
            return -1;
        ssize_t got = receive(fd, s, buf, n, flags);
        if (got != CONN_PLAIN)
            return got;
    }
    return real.recv(fd, buf, n, flags);
}

EXPORT ssize_t __recv(int fd, void *buf, size_t n, int flags) {
    return recv(fd, buf, n, flags);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags) {
    check_room(n, room);
    return recv(fd, buf, n, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *addr,
                              socklen_t *len) {
    check_room(n, room);
    return recvfrom(fd, buf, n, flags, addr, len);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && msg && msg->msg_iovlen <= IOV_MAX) {
        if (refused(flags))
            return -1;
        ssize_t got = recv_stream(fd, s, msg->msg_iov, (int)msg->msg_iovlen, flags);
        if (got >= 0) {
            msg->msg_namelen = 0;
            msg->msg_controllen = 0;
            msg->msg_flags = 0;
        }
        if (got != CONN_PLAIN)
            return got;
    }
    return passing_receives(msg) ? passing_receive(fd, msg, flags) : real.recvmsg(fd, msg, flags);
}

static bool expired(const struct timespec *end) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

static int receive_many(int fd, struct mmsghdr *msgs, unsigned n, int flags, const struct timespec *timeout) {
    struct timespec end = {0};
    if (timeout) {
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += timeout->tv_sec + (end.tv_nsec + timeout->tv_nsec) / 1000000000;
        end.tv_nsec = (end.tv_nsec + timeout->tv_nsec) % 1000000000;
    }
    int saved = errno;
    unsigned done = 0;
    for (; done < n; done++) {
        ssize_t got = recvmsg(fd, &msgs[done].msg_hdr, flags & ~MSG_WAITFORONE);
        if (got < 0)
            break;
        msgs[done].msg_len = (unsigned)got;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (timeout && expired(&end))
            return (int)done + 1;
    }
    if (!done && n)
        return -1;
    errno = saved;
    return (int)done;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout) {
    bool passing = false;
    for (unsigned i = 0; msgs && core.active && i < n && !passing; i++)
        passing = passing_receives(&msgs[i].msg_hdr);
    if (msgs && (passing || (fdtable_entry(fd) && fdtable_slot(fd))))
        return receive_many(fd, msgs, n, flags, timeout);
    return real.recvmmsg(fd, msgs, n, flags, timeout);
}
