/* msg_steps.c - vectors, message headers and their arrays. */
#include "diff.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

enum { MESSAGES = 4 };

static void step_writev(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct iovec vec[DIFF_VECS];
    size_t total;
    int count = data_vectors(argv[2], me->buf, vec, &total);
    data_make(me->buf, total, 0, (unsigned)me->line);
    errno = EXDEV;
    say_result(me, writev(name_fd(argv[1]), vec, count));
}

static void step_readv(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct iovec vec[DIFF_VECS];
    size_t total;
    int count = data_vectors(argv[2], me->buf, vec, &total);
    ssize_t n = readv(name_fd(argv[1]), vec, count);
    say_result(me, n);
    if (n > 0)
        say_data(me, me->buf, (size_t)n);
}

/* preadv2/pwritev2 NAME VEC [OFFSET]: offset -1 is the stream; any other is refused. */
static void step_preadv2(struct actor *me, int argc, char **argv) {
    struct iovec vec[DIFF_VECS];
    size_t total;
    int count = data_vectors(argv[2], me->buf, vec, &total);
    ssize_t n = preadv2(name_fd(argv[1]), vec, count, argc > 3 ? atoi(argv[3]) : -1, 0);
    say_result(me, n);
    if (n > 0)
        say_data(me, me->buf, (size_t)n);
}

static void step_pwritev2(struct actor *me, int argc, char **argv) {
    struct iovec vec[DIFF_VECS];
    size_t total;
    int count = data_vectors(argv[2], me->buf, vec, &total);
    data_make(me->buf, total, 0, (unsigned)me->line);
    errno = EXDEV;
    say_result(me, pwritev2(name_fd(argv[1]), vec, count, argc > 3 ? atoi(argv[3]) : -1, 0));
}

static void step_sendmsg(struct actor *me, int argc, char **argv) {
    struct iovec vec[DIFF_VECS];
    size_t total;
    int count = data_vectors(argv[2], me->buf, vec, &total);
    struct msghdr msg = {.msg_iov = vec, .msg_iovlen = (size_t)count};
    data_make(me->buf, total, 0, (unsigned)me->line);
    errno = EXDEV;
    say_result(me, sendmsg(name_fd(argv[1]), &msg, argc > 3 ? data_flags(argv[3]) : 0));
}

static void step_recvmsg(struct actor *me, int argc, char **argv) {
    struct iovec vec[DIFF_VECS];
    size_t total;
    struct sockaddr_storage a;
    char control[128];
    int count = data_vectors(argv[2], me->buf, vec, &total);
    int flags = argc > 3 ? data_flags(argv[3]) : 0;
    struct msghdr msg = {.msg_iov = vec, .msg_iovlen = (size_t)count, .msg_name = &a};
    msg.msg_namelen = sizeof a;
    msg.msg_control = control;
    msg.msg_controllen = sizeof control;
    ssize_t n = recvmsg(name_fd(argv[1]), &msg, flags);
    say_result(me, n);
    if (n < 0)
        return;
    if (n > 0 && !(flags & MSG_TRUNC))
        say_data(me, me->buf, (size_t)n);
    say(me, " name=%u control=%zu flags=%x", (unsigned)msg.msg_namelen, (size_t)msg.msg_controllen,
        (unsigned)msg.msg_flags);
}

/* "1,2;3;0" -> messages. */
static unsigned messages(char *spec, uint8_t *buf, struct mmsghdr *to, struct iovec (*vecs)[DIFF_VECS],
                         size_t *total) {
    unsigned count = 0;
    *total = 0;
    char *state = NULL;
    for (char *one = strtok_r(spec, ";", &state); one && count < MESSAGES;
         one = strtok_r(NULL, ";", &state)) {
        size_t size;
        int n = data_vectors(one, buf + *total, vecs[count], &size);
        to[count] = (struct mmsghdr){.msg_hdr = {.msg_iov = vecs[count], .msg_iovlen = (size_t)n}};
        *total += size;
        count++;
    }
    return count;
}

static void step_sendmmsg(struct actor *me, int argc, char **argv) {
    struct mmsghdr hdr[MESSAGES];
    struct iovec vecs[MESSAGES][DIFF_VECS];
    size_t total;
    int flags = argc > 3 ? data_flags(argv[3]) : 0;
    unsigned count = messages(argv[2], me->buf, hdr, vecs, &total);
    data_make(me->buf, total, 0, (unsigned)me->line);
    errno = EXDEV;
    int n = sendmmsg(name_fd(argv[1]), hdr, count, flags);
    say_result(me, n);
    for (int i = 0; i < n; i++)
        say(me, " %u", hdr[i].msg_len);
}

/* recvmmsg NAME MSGS FLAGS [TIMEOUT]: flag "1" is MSG_WAITFORONE. */
static void step_recvmmsg(struct actor *me, int argc, char **argv) {
    struct mmsghdr hdr[MESSAGES];
    struct iovec vecs[MESSAGES][DIFF_VECS];
    size_t total;
    const char *letters = argc > 3 ? argv[3] : "";
    int flags = data_flags(letters) | (strchr(letters, '1') ? MSG_WAITFORONE : 0);
    struct timespec timeout = {.tv_nsec = (argc > 4 ? atoi(argv[4]) : 0) * 1000000L};
    unsigned count = messages(argv[2], me->buf, hdr, vecs, &total);
    int n = recvmmsg(name_fd(argv[1]), hdr, count, flags, argc > 4 ? &timeout : NULL);
    say_result(me, n);
    for (int i = 0; i < n; i++) {
        say(me, " %u", hdr[i].msg_len);
        if (hdr[i].msg_len)
            say_data(me, vecs[i][0].iov_base, hdr[i].msg_len);
        say(me, " flags=%x", (unsigned)hdr[i].msg_hdr.msg_flags);
    }
}

const struct step msg_steps[] = {
    {"writev", 2, step_writev},     {"readv", 2, step_readv},       {"preadv2", 2, step_preadv2},
    {"pwritev2", 2, step_pwritev2}, {"sendmsg", 2, step_sendmsg},   {"recvmsg", 2, step_recvmsg},
    {"sendmmsg", 2, step_sendmmsg}, {"recvmmsg", 2, step_recvmmsg}, {NULL, 0, NULL},
};
