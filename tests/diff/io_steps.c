/* io_steps.c - the simple reads and writes, and the same with bad arguments. */
#include "diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MARK = 0xee, MARKED = 4096 };

static size_t prepare(struct actor *me, const char *amount) {
    size_t n = strtoul(amount, NULL, 10);
    if (n > DIFF_BUFFER)
        n = DIFF_BUFFER;
    data_make(me->buf, n, 0, (unsigned)me->line);
    errno = EXDEV;
    return n;
}

static size_t room(struct actor *me, const char *amount) {
    size_t n = strtoul(amount, NULL, 10);
    if (n > DIFF_BUFFER)
        n = DIFF_BUFFER;
    memset(me->buf, MARK, n < MARKED ? n : MARKED);
    return n;
}

/* Whatever a call returns, it has no business behind that in a buffer of size bytes. */
static void show_read(struct actor *me, ssize_t n, size_t size, bool truncated) {
    say_result(me, n);
    if (n > 0 && !truncated)
        say_data(me, me->buf, (size_t)n);
    for (size_t i = n > 0 ? (size_t)n : 0; i < size && i < MARKED; i++)
        if (me->buf[i] != MARK) {
            say(me, " written behind");
            return;
        }
}

static void step_write(struct actor *me, int argc, char **argv) {
    (void)argc;
    size_t n = prepare(me, argv[2]);
    say_result(me, write(name_fd(argv[1]), me->buf, n));
}

static void step_send(struct actor *me, int argc, char **argv) {
    int flags = argc > 3 ? data_flags(argv[3]) : 0;
    size_t n = prepare(me, argv[2]);
    say_result(me, send(name_fd(argv[1]), me->buf, n, flags));
}

/* sendto NAME N FLAGS [addr]: with an address TCP ignores it. */
static void step_sendto(struct actor *me, int argc, char **argv) {
    int flags = argc > 3 ? data_flags(argv[3]) : 0;
    struct sockaddr_storage a = {.ss_family = AF_INET};
    bool address = argc > 4;
    size_t n = prepare(me, argv[2]);
    say_result(me, sendto(name_fd(argv[1]), me->buf, n, flags, address ? (struct sockaddr *)&a : NULL,
                          address ? sizeof a : 0));
}

static void step_read(struct actor *me, int argc, char **argv) {
    (void)argc;
    size_t n = room(me, argv[2]);
    show_read(me, read(name_fd(argv[1]), me->buf, n), n, false);
}

/* With MSG_TRUNC TCP discards: the buffer must stay as it was. */
static void step_recv(struct actor *me, int argc, char **argv) {
    int flags = argc > 3 ? data_flags(argv[3]) : 0;
    size_t n = room(me, argv[2]);
    ssize_t got = recv(name_fd(argv[1]), me->buf, n, flags);
    show_read(me, got, n, flags & MSG_TRUNC);
    if (flags & MSG_TRUNC && got > 0)
        say(me, " buffer %s", me->buf[0] == MARK ? "untouched" : "written");
}

static void step_recvfrom(struct actor *me, int argc, char **argv) {
    int flags = argc > 3 ? data_flags(argv[3]) : 0;
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    size_t n = room(me, argv[2]);
    ssize_t got = recvfrom(name_fd(argv[1]), me->buf, n, flags, (struct sockaddr *)&a, &len);
    show_read(me, got, n, flags & MSG_TRUNC);
    if (got >= 0)
        say(me, " addrlen=%u", (unsigned)len);
}

/* bad read|recv|write|send|readv|writev|recvmsg|sendmsg NAME N: the memory does not exist. */
static void step_bad(struct actor *me, int argc, char **argv) {
    (void)argc;
    const char *verb = argv[1];
    int fd = name_fd(argv[2]);
    size_t n = strtoul(argv[3], NULL, 10);
    uintptr_t nowhere = 16;
    void *p;
    memcpy(&p, &nowhere, sizeof p);
    struct iovec vec = {.iov_base = p, .iov_len = n};
    struct msghdr msg = {.msg_iov = &vec, .msg_iovlen = 1};
    if (strcmp(verb, "read") == 0)
        say_result(me, read(fd, p, n));
    else if (strcmp(verb, "recv") == 0)
        say_result(me, recv(fd, p, n, MSG_DONTWAIT));
    else if (strcmp(verb, "write") == 0)
        say_result(me, write(fd, p, n));
    else if (strcmp(verb, "send") == 0)
        say_result(me, send(fd, p, n, MSG_NOSIGNAL));
    else if (strcmp(verb, "readv") == 0)
        say_result(me, readv(fd, &vec, 1));
    else if (strcmp(verb, "writev") == 0)
        say_result(me, writev(fd, &vec, 1));
    else if (strcmp(verb, "recvmsg") == 0)
        say_result(me, recvmsg(fd, &msg, MSG_DONTWAIT));
    else
        say_result(me, sendmsg(fd, &msg, MSG_NOSIGNAL));
}

/* odd VERB NAME: arguments that the kernel refuses with EINVAL, EMSGSIZE or the like. */
static void step_odd(struct actor *me, int argc, char **argv) {
    (void)argc;
    const char *verb = argv[1];
    int fd = name_fd(argv[2]);
    struct iovec vec = {.iov_base = me->buf, .iov_len = SIZE_MAX};
    static struct iovec many[2000];
    const struct iovec wraps[2] = {{me->buf, SIZE_MAX / 2 + 1}, {me->buf, SIZE_MAX / 2 + 1}};
    struct msghdr msg = {.msg_iov = many, .msg_iovlen = 2000};
    if (strcmp(verb, "readv") == 0)
        say_result(me, readv(fd, &vec, 1));
    else if (strcmp(verb, "writev") == 0)
        say_result(me, writev(fd, &vec, 1));
    else if (strcmp(verb, "readvcount") == 0)
        say_result(me, readv(fd, many, 2000));
    else if (strcmp(verb, "writevnone") == 0)
        say_result(me, writev(fd, &vec, 0));
    else if (strcmp(verb, "readvnone") == 0)
        say_result(me, readv(fd, &vec, 0));
    else if (strcmp(verb, "readvwrap") == 0)
        say_result(me, readv(fd, wraps, 2));
    else if (strcmp(verb, "recvmsg") == 0)
        say_result(me, recvmsg(fd, &msg, MSG_DONTWAIT));
    else if (strcmp(verb, "sendmsg") == 0)
        say_result(me, sendmsg(fd, &msg, MSG_NOSIGNAL));
    else if (strcmp(verb, "pread") == 0)
        say_result(me, pread(fd, me->buf, 1, 0));
    else if (strcmp(verb, "pwrite") == 0)
        say_result(me, pwrite(fd, me->buf, 1, 0));
    else if (strcmp(verb, "lseek") == 0)
        say_result(me, lseek(fd, 0, SEEK_CUR));
    else
        say(me, " not a step");
}

const struct step io_steps[] = {
    {"write", 2, step_write}, {"send", 2, step_send}, {"sendto", 2, step_sendto},
    {"read", 2, step_read},   {"recv", 2, step_recv}, {"recvfrom", 2, step_recvfrom},
    {"bad", 3, step_bad},     {"odd", 2, step_odd},   {NULL, 0, NULL},
};
