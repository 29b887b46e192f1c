/* dup_steps.c - duplicates of descriptors, within a process and across a Unix socket. */
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* dup NEW OLD */
static void step_dup(struct actor *me, int argc, char **argv) {
    (void)argc;
    int fd = dup(name_fd(argv[2]));
    say_result(me, fd);
    *name_slot(argv[1]) = fd;
}

/* dup2 NEW OLD: onto the number that NEW holds. */
static void step_dup2(struct actor *me, int argc, char **argv) {
    (void)argc;
    say_result(me, dup2(name_fd(argv[2]), name_fd(argv[1])));
}

/* dup3 NEW OLD [c] */
static void step_dup3(struct actor *me, int argc, char **argv) {
    say_result(me, dup3(name_fd(argv[2]), name_fd(argv[1]), argc > 3 ? O_CLOEXEC : 0));
}

/* dupfd NEW OLD MIN [c] */
static void step_dupfd(struct actor *me, int argc, char **argv) {
    int fd = fcntl(name_fd(argv[2]), argc > 4 ? F_DUPFD_CLOEXEC : F_DUPFD, atoi(argv[3]));
    say_result(me, fd);
    *name_slot(argv[1]) = fd;
}

/* closerange FIRST LAST */
static void step_closerange(struct actor *me, int argc, char **argv) {
    (void)argc;
    say_result(me, close_range((unsigned)name_fd(argv[1]), (unsigned)name_fd(argv[2]), 0));
}

/* upair A B: a Unix socket pair. */
static void step_upair(struct actor *me, int argc, char **argv) {
    (void)argc;
    int ends[2] = {-1, -1};
    say_result(me, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    *name_slot(argv[1]) = ends[0];
    *name_slot(argv[2]) = ends[1];
}

union fd_message {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* sendfd CHANNEL NAME */
static void step_sendfd(struct actor *me, int argc, char **argv) {
    (void)argc;
    union fd_message control;
    memset(&control, 0, sizeof control);
    char byte = 'f';
    int fd = name_fd(argv[2]);
    struct iovec vec = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes};
    msg.msg_controllen = sizeof control.bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    say_result(me, sendmsg(name_fd(argv[1]), &msg, MSG_NOSIGNAL));
}

/* recvfd CHANNEL NEW */
static void step_recvfd(struct actor *me, int argc, char **argv) {
    (void)argc;
    union fd_message control;
    char byte = 0;
    struct iovec vec = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &vec, .msg_iovlen = 1, .msg_control = control.bytes};
    msg.msg_controllen = sizeof control.bytes;
    ssize_t n = recvmsg(name_fd(argv[1]), &msg, MSG_CMSG_CLOEXEC);
    say_result(me, n);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    int fd = -1;
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    say(me, " fd=%d flags=%x", fd, (unsigned)(msg.msg_flags & ~MSG_CMSG_CLOEXEC));
    *name_slot(argv[2]) = fd;
}

const struct step dup_steps[] = {
    {"dup", 2, step_dup},
    {"dup2", 2, step_dup2},
    {"dup3", 2, step_dup3},
    {"dupfd", 3, step_dupfd},
    {"closerange", 2, step_closerange},
    {"upair", 2, step_upair},
    {"sendfd", 2, step_sendfd},
    {"recvfd", 2, step_recvfd},
    {NULL, 0, NULL},
};
