/* filter.c - asks, after the kernel has spoken, whether it spoke of plaintext. Never blocks, never invents an
 * event. */
#include "filter.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "conn.h"
#include "fdtable.h"
#include "real.h"
#include "recv.h"

struct registration {
    int epfd, fd;
    uint32_t generation;
    struct epoll_event event;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registration *registrations; /* under lock */
static size_t count, room;
static _Atomic bool any;

bool filter_readable(int fd) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return !s || atomic_load(&s->nonblocking) || recv_true(fd, s);
}

bool filter_epoll_needed(void) {
    return atomic_load_explicit(&any, memory_order_relaxed);
}

static struct registration *find(int epfd, int fd) {
    for (size_t i = 0; i < count; i++)
        if (registrations[i].epfd == epfd && registrations[i].fd == fd)
            return &registrations[i];
    return NULL;
}

static struct registration *append(void) {
    if (count == room) {
        size_t more = room ? room * 2 : 16;
        struct registration *bigger = realloc(registrations, more * sizeof *bigger);
        if (!bigger)
            return NULL;
        registrations = bigger;
        room = more;
    }
    return &registrations[count++];
}

/* Entries of connections that have ended are reused, so that the list stays as long as what is alive. */
static void sweep(void) {
    for (size_t i = 0; i < count; i++) {
        struct slot *s = fdtable_slot(registrations[i].fd);
        if (!s || atomic_load(&s->generation) != registrations[i].generation)
            registrations[i--] = registrations[--count];
    }
}

static void remember_set(struct conn *c, int epfd) {
    for (int i = 0; i < c->epoll_count; i++)
        if (c->epolls[i] == epfd)
            return;
    if (c->epoll_count < CONN_EPOLLS)
        c->epolls[c->epoll_count++] = epfd;
}

void filter_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *event) {
    struct slot *s = fdtable_slot(fd);
    struct conn *c = s ? conn_of(s) : NULL;
    if (c && op == EPOLL_CTL_ADD)
        remember_set(c, epfd);
    if (!s || (!atomic_load(&s->nonblocking) && op != EPOLL_CTL_DEL && event)) {
        if (!s)
            return;
        pthread_mutex_lock(&lock);
        if (count == room)
            sweep();
        struct registration *r = find(epfd, fd);
        if (!r)
            r = append();
        if (r)
            *r = (struct registration){epfd, fd, atomic_load(&s->generation), *event};
        atomic_store(&any, true);
        pthread_mutex_unlock(&lock);
    } else if (filter_epoll_needed()) {
        pthread_mutex_lock(&lock);
        struct registration *r = find(epfd, fd);
        if (r)
            *r = registrations[--count];
        pthread_mutex_unlock(&lock);
    }
}

/* Finds the descriptor behind an event; several may carry the same data, then the event stays. */
static bool match(int epfd, const struct epoll_event *e, struct registration *out) {
    int hits = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++)
        if (registrations[i].epfd == epfd && registrations[i].event.data.u64 == e->data.u64) {
            *out = registrations[i];
            hits++;
        }
    pthread_mutex_unlock(&lock);
    return hits == 1;
}

int filter_epoll(int epfd, struct epoll_event *events, int n) {
    int kept = 0;
    for (int i = 0; i < n; i++) {
        struct registration r;
        if ((events[i].events & EPOLLIN) && match(epfd, &events[i], &r) && !filter_readable(r.fd)) {
            events[i].events &= ~(uint32_t)(EPOLLIN | EPOLLRDNORM);
            if (r.event.events & EPOLLONESHOT) /* the kernel has disarmed it for a false alarm */
                real.epoll_ctl(epfd, EPOLL_CTL_MOD, r.fd, &r.event);
            if (!(events[i].events & (EPOLLOUT | EPOLLWRNORM | EPOLLPRI | EPOLLERR | EPOLLHUP | EPOLLRDHUP)))
                continue;
        }
        events[kept++] = events[i];
    }
    return kept;
}
