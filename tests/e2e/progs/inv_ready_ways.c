/* inv_ready_ways.c - the readiness calls, each as a program would use it. Judges nothing. */
#include "inv_ready.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

static struct timespec span(int ms) {
    return (struct timespec){ms / 1000, (ms % 1000) * 1000000L};
}

static int left_of(const struct timespec *begin, int ms) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long gone = (now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / 1000000;
    return gone < ms ? ms - (int)gone : 0;
}

/* --- the ways ------------------------------------------------------------------------------------ */

static bool by_poll(struct link *l, int ms) {
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

static bool by_ppoll(struct link *l, int ms) {
    struct pollfd p[2] = {{.fd = -1}, {.fd = l->fd, .events = POLLIN | POLLRDNORM | POLLRDHUP}};
    struct timespec t = span(ms);
    return ppoll(p, 2, &t, NULL) == 1;
}

static bool by_select(struct link *l, int ms) {
    fd_set in;
    struct timeval t = {ms / 1000, (ms % 1000) * 1000L};
    FD_ZERO(&in);
    FD_SET(l->fd, &in);
    return select(l->fd + 1, &in, NULL, NULL, &t) == 1;
}

static bool by_pselect(struct link *l, int ms) {
    fd_set in;
    struct timespec t = span(ms);
    FD_ZERO(&in);
    FD_SET(l->fd, &in);
    return pselect(l->fd + 1, &in, NULL, NULL, &t, NULL) == 1 && FD_ISSET(l->fd, &in);
}

static bool by_epoll(struct link *l, int ms) {
    struct epoll_event e[4];
    return epoll_wait(l->set, e, 4, ms) == 1;
}

static bool by_epoll_pwait(struct link *l, int ms) {
    struct epoll_event e[4];
    return epoll_pwait(l->set, e, 4, ms, NULL) == 1;
}

static bool by_epoll_pwait2(struct link *l, int ms) {
    struct epoll_event e[4];
    struct timespec t = span(ms);
    return epoll_pwait2(l->set, e, 4, &t, NULL) == 1;
}

static void arm(struct link *l, int op) {
    struct epoll_event e = {.events = l->way->events, .data.ptr = l};
    if (epoll_ctl(l->set, op, l->fd, &e))
        die("epoll_ctl");
}

/* A registration that has fired is silent until it is armed again; one that has not must still be armed. */
static bool by_oneshot(struct link *l, int ms) {
    struct epoll_event e[4];
    if (epoll_wait(l->set, e, 4, ms) != 1)
        return false;
    if (epoll_wait(l->set, e, 4, 0))
        lie("a one-shot registration fires twice");
    arm(l, EPOLL_CTL_MOD);
    return true;
}

/* The outer call speaks of the inner set, whose own answer is the one about the connection. */
static bool nested(struct link *l, int ms, bool polling) {
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int left = ms;; left = left_of(&begin, ms)) {
        struct epoll_event e[4];
        struct pollfd p = {.fd = l->set, .events = POLLIN};
        int n = polling ? poll(&p, 1, left) : epoll_wait(l->outer, e, 4, left);
        if (n == 1 && epoll_wait(l->set, e, 4, 0) == 1)
            return true;
        if (!left)
            return false;
    }
}

static bool by_nested_epoll(struct link *l, int ms) {
    return nested(l, ms, false);
}

static bool by_polled_epoll(struct link *l, int ms) {
    return nested(l, ms, true);
}

const struct way ways[] = {
    {"poll", by_poll, 0},
    {"ppoll", by_ppoll, 0},
    {"select", by_select, 0},
    {"pselect", by_pselect, 0},
    {"epoll_wait", by_epoll, EPOLLIN},
    {"epoll_pwait", by_epoll_pwait, EPOLLIN | EPOLLRDHUP},
    {"epoll_pwait2", by_epoll_pwait2, EPOLLIN},
    {"edge", by_epoll, EPOLLIN | EPOLLET},
    {"oneshot", by_oneshot, EPOLLIN | EPOLLONESHOT},
    {"nested", by_nested_epoll, EPOLLIN},
    {"epoll in poll", by_polled_epoll, EPOLLIN},
    {NULL, NULL, 0},
};

void ways_watch(struct link *l) {
    if (!l->way->events)
        return;
    struct epoll_event e = {.events = EPOLLIN};
    l->set = epoll_create1(0);
    l->outer = epoll_create1(0);
    arm(l, EPOLL_CTL_ADD);
    if (epoll_ctl(l->outer, EPOLL_CTL_ADD, l->set, &e))
        die("epoll_ctl");
}

void ways_forget(struct link *l) {
    if (l->set < 0)
        return;
    close(l->set);
    close(l->outer);
}
