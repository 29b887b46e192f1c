/* driver_set.c - the epoll set of the driver. Not poll: that holds every socket it waits for, so a close by
 * the program meanwhile would neither end the connection nor leave the program's own sets. */
#include "driver_set.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fdtable.h"
#include "wire.h"

static _Atomic int set = -1;

void driver_set_ready(void) {
    if (atomic_load(&set) >= 0 || confine_lost(CONFINE_EPOLL | CONFINE_EPOLL_SET))
        return;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return;
    atomic_store(&set, fdtable_own_move(fd));
    real.close(fd);
}

/* A copy of this process that libc does not know of has the same set, which is not its own to change. */
bool driver_set_arm(struct conn *c, uint32_t events) {
    struct epoll_event e = {.events = events | EPOLLONESHOT, .data.ptr = c};
    int in = atomic_load(&set);
    if (in < 0 || confine_lost(CONFINE_EPOLL | CONFINE_EPOLL_SET) || !fdtable_mine())
        return false;
    if (c->armed == events)
        return true;
    if (wire_epoll_ctl(in, c->in_set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e) &&
        (errno != ENOENT || wire_epoll_ctl(in, EPOLL_CTL_ADD, c->fd, &e)) &&
        (errno != EEXIST || wire_epoll_ctl(in, EPOLL_CTL_MOD, c->fd, &e)))
        return false;
    c->in_set = true;
    c->armed = events;
    return true;
}

void driver_set_disarm(struct conn *c) {
    if (c->in_set && fdtable_mine())
        wire_epoll_ctl(atomic_load(&set), EPOLL_CTL_DEL, c->fd, NULL);
    c->in_set = false;
    c->armed = 0;
}

int driver_set_wait(struct conn *news[DRIVER_SET_NEWS], int ms) {
    struct epoll_event events[DRIVER_SET_NEWS];
    int n = wire_epoll_wait(atomic_load(&set), events, DRIVER_SET_NEWS, ms);
    for (int i = 0; i < n; i++)
        news[i] = events[i].data.ptr;
    return n;
}

void driver_set_told(struct conn *c) {
    c->armed = 0;
    c->due_ms = 0;
}

void driver_set_forked(void) {
    atomic_store(&set, -1);
}
