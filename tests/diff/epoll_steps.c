/* epoll_steps.c - epoll: level, edge, one-shot, exclusive, nested.
 *
 * Events are printed in the order of names: which of several ready descriptors comes first is the
 * kernel's choice.
 */
#include "diff.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

static const struct {
    char letter;
    uint32_t bit;
} bits[] = {{'i', EPOLLIN},  {'o', EPOLLOUT}, {'p', EPOLLPRI},     {'r', EPOLLRDHUP},    {'e', EPOLLERR},
            {'h', EPOLLHUP}, {'E', EPOLLET},  {'1', EPOLLONESHOT}, {'x', EPOLLEXCLUSIVE}};

enum { BITS = sizeof bits / sizeof bits[0] };

static void step_epcreate(struct actor *me, int argc, char **argv) {
    int fd = epoll_create1(argc > 2 ? EPOLL_CLOEXEC : 0);
    say_result(me, fd);
    *name_slot(argv[1]) = fd;
}

static void control(struct actor *me, int op, int argc, char **argv) {
    struct epoll_event e = {.events = 0};
    for (const char *c = argc > 3 ? argv[3] : ""; *c; c++)
        for (size_t b = 0; b < BITS; b++)
            if (bits[b].letter == *c)
                e.events |= bits[b].bit;
    memcpy(&e.data.u64, argv[2], strlen(argv[2]) + 1); /* a name has at most two characters */
    say_result(me, epoll_ctl(name_fd(argv[1]), op, name_fd(argv[2]), &e));
}

/* epadd EPOLL NAME EVENTS */
static void step_epadd(struct actor *me, int argc, char **argv) {
    control(me, EPOLL_CTL_ADD, argc, argv);
}

static void step_epmod(struct actor *me, int argc, char **argv) {
    control(me, EPOLL_CTL_MOD, argc, argv);
}

static void step_epdel(struct actor *me, int argc, char **argv) {
    control(me, EPOLL_CTL_DEL, argc, argv);
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

static void say_events(struct actor *me, const struct epoll_event *events, int count) {
    char rows[64][24];
    for (int i = 0; i < count; i++) {
        char name[9] = "";
        memcpy(name, &events[i].data.u64, sizeof events[i].data.u64);
        size_t n = (size_t)snprintf(rows[i], sizeof rows[i], " %.2s:", name);
        for (size_t b = 0; b < BITS; b++)
            if (events[i].events & bits[b].bit)
                rows[i][n++] = bits[b].letter;
        rows[i][n] = '\0';
    }
    qsort(rows, (size_t)count, sizeof rows[0], by_name);
    for (int i = 0; i < count; i++)
        say(me, "%s", rows[i]);
}

/* epwait EPOLL MAX TIMEOUT [open|block] */
static void step_epwait(struct actor *me, int argc, char **argv) {
    struct epoll_event events[64];
    int max = atoi(argv[2]) > 64 ? 64 : atoi(argv[2]), ms = atoi(argv[3]);
    sigset_t mask;
    sigemptyset(&mask);
    if (argc > 4 && strcmp(argv[4], "block") == 0)
        sigaddset(&mask, SIGUSR1);
    int n = argc > 4 ? epoll_pwait(name_fd(argv[1]), events, max, ms, &mask)
                     : epoll_wait(name_fd(argv[1]), events, max, ms);
    say_result(me, n);
    if (n > 0)
        say_events(me, events, n);
}

/* epwait2 EPOLL MAX TIMEOUT: by epoll_pwait2. */
static void step_epwait2(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct epoll_event events[64];
    int max = atoi(argv[2]) > 64 ? 64 : atoi(argv[2]), ms = atoi(argv[3]);
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    int n = epoll_pwait2(name_fd(argv[1]), events, max, ms < 0 ? NULL : &t, NULL);
    say_result(me, n);
    if (n > 0)
        say_events(me, events, n);
}

const struct step epoll_steps[] = {
    {"epcreate", 1, step_epcreate},
    {"epadd", 3, step_epadd},
    {"epmod", 3, step_epmod},
    {"epdel", 2, step_epdel},
    {"epwait", 3, step_epwait},
    {"epwait2", 3, step_epwait2},
    {NULL, 0, NULL},
};
