/* option_steps.c - socket options, descriptor flags and ioctls. */
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

static const struct {
    const char *name;
    int level, option;
} options[] = {
    {"rcvbuf", SOL_SOCKET, SO_RCVBUF},
    {"sndbuf", SOL_SOCKET, SO_SNDBUF},
    {"rcvlowat", SOL_SOCKET, SO_RCVLOWAT},
    {"sndlowat", SOL_SOCKET, SO_SNDLOWAT},
    {"reuse", SOL_SOCKET, SO_REUSEADDR},
    {"reuseport", SOL_SOCKET, SO_REUSEPORT},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE},
    {"error", SOL_SOCKET, SO_ERROR},
    {"type", SOL_SOCKET, SO_TYPE},
    {"domain", SOL_SOCKET, SO_DOMAIN},
    {"protocol", SOL_SOCKET, SO_PROTOCOL},
    {"acceptconn", SOL_SOCKET, SO_ACCEPTCONN},
    {"oobinline", SOL_SOCKET, SO_OOBINLINE},
    {"nodelay", IPPROTO_TCP, TCP_NODELAY},
    {"cork", IPPROTO_TCP, TCP_CORK},
    {"quickack", IPPROTO_TCP, TCP_QUICKACK},
    {"defer", IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {"user", IPPROTO_TCP, TCP_USER_TIMEOUT},
    {"v6only", IPPROTO_IPV6, IPV6_V6ONLY},
    {"nonsense", SOL_SOCKET, 9999},
};

static size_t find_option(const char *name) {
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strcmp(options[i].name, name) == 0)
            return i;
    return sizeof options / sizeof options[0] - 1;
}

static void set_timeout(struct actor *me, int fd, int option, int ms) {
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000L};
    say_result(me, setsockopt(fd, SOL_SOCKET, option, &t, sizeof t));
}

/* setopt NAME OPTION VALUE [LEN]; rcvtimeo and sndtimeo in ms; linger: seconds, "off". */
static void step_setopt(struct actor *me, int argc, char **argv) {
    int fd = name_fd(argv[1]), value = atoi(argv[3]);
    if (strcmp(argv[2], "rcvtimeo") == 0) {
        set_timeout(me, fd, SO_RCVTIMEO, value);
    } else if (strcmp(argv[2], "sndtimeo") == 0) {
        set_timeout(me, fd, SO_SNDTIMEO, value);
    } else if (strcmp(argv[2], "linger") == 0) {
        struct linger l = {.l_onoff = strcmp(argv[3], "off") != 0, .l_linger = value};
        say_result(me, setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    } else {
        size_t o = find_option(argv[2]);
        socklen_t len = argc > 4 ? (socklen_t)atoi(argv[4]) : sizeof value;
        say_result(me, setsockopt(fd, options[o].level, options[o].option, &value, len));
    }
}

/* getopt NAME OPTION */
static void step_getopt(struct actor *me, int argc, char **argv) {
    (void)argc;
    int fd = name_fd(argv[1]), value[4] = {0};
    socklen_t len = sizeof value;
    if (strcmp(argv[2], "rcvtimeo") == 0 || strcmp(argv[2], "sndtimeo") == 0) {
        struct timeval t = {0};
        len = sizeof t;
        say_result(me, getsockopt(fd, SOL_SOCKET, argv[2][0] == 'r' ? SO_RCVTIMEO : SO_SNDTIMEO, &t, &len));
        say(me, " %ld.%06ld", (long)t.tv_sec, (long)t.tv_usec);
        return;
    }
    if (strcmp(argv[2], "linger") == 0) {
        say_result(me, getsockopt(fd, SOL_SOCKET, SO_LINGER, value, &len));
        say(me, " %d %d", value[0], value[1]);
        return;
    }
    size_t o = find_option(argv[2]);
    int rc = getsockopt(fd, options[o].level, options[o].option, value, &len);
    say_result(me, rc);
    if (rc < 0)
        return;
    if (options[o].option == SO_ERROR && options[o].level == SOL_SOCKET && value[0] != 0)
        say_errno(me, value[0]);
    else
        say(me, " %d", value[0]);
    say(me, " len=%u", (unsigned)len);
}

/* nonblock NAME 0|1 [ioctl] */
static void step_nonblock(struct actor *me, int argc, char **argv) {
    int fd = name_fd(argv[1]), on = atoi(argv[2]);
    if (argc > 3) {
        say_result(me, ioctl(fd, FIONBIO, &on));
        return;
    }
    int flags = fcntl(fd, F_GETFL);
    say_result(me, fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

static void step_getflags(struct actor *me, int argc, char **argv) {
    (void)argc;
    int status = fcntl(name_fd(argv[1]), F_GETFL), own = fcntl(name_fd(argv[1]), F_GETFD);
    say(me, " %x %x", (unsigned)status, (unsigned)own);
}

static void step_fionread(struct actor *me, int argc, char **argv) {
    (void)argc;
    int n = -1;
    int rc = ioctl(name_fd(argv[1]), FIONREAD, &n);
    say_result(me, rc);
    if (rc == 0)
        say(me, " %d", n);
}

static void step_atmark(struct actor *me, int argc, char **argv) {
    (void)argc;
    say_result(me, sockatmark(name_fd(argv[1])));
}

const struct step option_steps[] = {
    {"setopt", 3, step_setopt},
    {"getopt", 2, step_getopt},
    {"nonblock", 2, step_nonblock},
    {"getflags", 1, step_getflags},
    {"fionread", 1, step_fionread},
    {"atmark", 1, step_atmark},
    {NULL, 0, NULL},
};
