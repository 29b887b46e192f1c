/* numbers.c - system calls by number, brought to the hooks that serve them: bytes of connections must not
 * pass beside TLS (I2), and what changes descriptors must not pass beside the tables. */
#include "hook.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *at(long arg) {
    return (void *)arg;
}

static bool served(long value, long *result) {
    *result = value;
    return true;
}

static bool serve_input(long number, const long *a, long *result) {
    int fd = (int)a[0];
    size_t n = (size_t)a[2];
    switch (number) {
    case SYS_read:
        return served(read(fd, at(a[1]), n), result);
    case SYS_readv:
        return served(readv(fd, at(a[1]), (int)a[2]), result);
    case SYS_preadv2: /* the offset comes in two halves; the second one counts on 32 bits only */
        return served(preadv2(fd, at(a[1]), (int)a[2], a[3], (int)a[5]), result);
    case SYS_recvfrom:
        return served(recvfrom(fd, at(a[1]), n, (int)a[3], at(a[4]), at(a[5])), result);
    case SYS_recvmsg:
        return served(recvmsg(fd, at(a[1]), (int)a[2]), result);
    case SYS_recvmmsg:
        return served(recvmmsg(fd, at(a[1]), (unsigned)a[2], (int)a[3], at(a[4])), result);
    default:
        return false;
    }
}

static bool serve_output(long number, const long *a, long *result) {
    int fd = (int)a[0];
    size_t n = (size_t)a[2];
    switch (number) {
    case SYS_write:
        return served(write(fd, at(a[1]), n), result);
    case SYS_writev:
        return served(writev(fd, at(a[1]), (int)a[2]), result);
    case SYS_pwritev2:
        return served(pwritev2(fd, at(a[1]), (int)a[2], a[3], (int)a[5]), result);
    case SYS_sendto:
        return served(sendto(fd, at(a[1]), n, (int)a[3], at(a[4]), (socklen_t)a[5]), result);
    case SYS_sendmsg:
        return served(sendmsg(fd, at(a[1]), (int)a[2]), result);
    case SYS_sendmmsg:
        return served(sendmmsg(fd, at(a[1]), (unsigned)a[2], (int)a[3]), result);
    default:
        return false;
    }
}

static bool serve_mover(long number, const long *a, long *result) {
    switch (number) {
    case SYS_sendfile:
        return served(sendfile((int)a[0], (int)a[1], at(a[2]), (size_t)a[3]), result);
    case SYS_splice:
        return served(splice((int)a[0], at(a[1]), (int)a[2], at(a[3]), (size_t)a[4], (unsigned)a[5]), result);
    case SYS_tee:
        return served(tee((int)a[0], (int)a[1], (size_t)a[2], (unsigned)a[3]), result);
    case SYS_vmsplice:
        return served(vmsplice((int)a[0], at(a[1]), (size_t)a[2], (unsigned)a[3]), result);
    case SYS_copy_file_range:
        return served(copy_file_range((int)a[0], at(a[1]), (int)a[2], at(a[3]), (size_t)a[4], (unsigned)a[5]),
                      result);
    default:
        return false;
    }
}

static bool serve_lifecycle(long number, const long *a, long *result) {
    int fd = (int)a[0];
    switch (number) {
    case SYS_connect:
        return served(connect(fd, at(a[1]), (socklen_t)a[2]), result);
    case SYS_accept:
        return served(accept(fd, at(a[1]), at(a[2])), result);
    case SYS_accept4:
        return served(accept4(fd, at(a[1]), at(a[2]), (int)a[3]), result);
    case SYS_shutdown:
        return served(shutdown(fd, (int)a[1]), result);
    case SYS_getsockopt:
        return served(getsockopt(fd, (int)a[1], (int)a[2], at(a[3]), at(a[4])), result);
    case SYS_setsockopt:
        return served(setsockopt(fd, (int)a[1], (int)a[2], at(a[3]), (socklen_t)a[4]), result);
    case SYS_ioctl:
        return served(ioctl(fd, (unsigned long)a[1], a[2]), result);
    default:
        return false;
    }
}

static bool serve_descriptors(long number, const long *a, long *result) {
    int fd = (int)a[0];
    switch (number) {
    case SYS_close:
        return served(close(fd), result);
    case SYS_close_range:
        return served(close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]), result);
    case SYS_dup:
        return served(dup(fd), result);
#ifdef SYS_dup2
    case SYS_dup2:
        return served(dup2(fd, (int)a[1]), result);
#endif
    case SYS_dup3:
        return served(dup3(fd, (int)a[1], (int)a[2]), result);
    case SYS_fcntl:
        return served(fcntl(fd, (int)a[1], a[2]), result);
    default:
        return false;
    }
}

bool numbers_serve(long number, const long *a, long *result) {
    return serve_input(number, a, result) || serve_output(number, a, result) ||
           serve_mover(number, a, result) || serve_lifecycle(number, a, result) ||
           serve_descriptors(number, a, result);
}
