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

/* An event may be about something else than plaintext, and brings back no descriptor. */
struct registration {
    struct registration *next;
    int epfd, fd;
    uint32_t generation;
    struct epoll_event event;
};

/* Chains by (set, event data), because data is all that an event brings back. All under lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registration **buckets;
static size_t bucket_count, count;
static _Atomic bool any;

/* Until a connection is established, and on the connecting side until the first data has come (tickets come
 * before it), the kernel may report handshake messages. */
static bool may_lie(const struct slot *s) {
    if (!atomic_load(&s->nonblocking))
        return true;
    enum slot_state state = atomic_load(&s->state);
    if (state == SLOT_OPEN)
        return s->carry || s->user_lowat > 1 || (!s->server && !s->saw_input);
    return state == SLOT_SHAKING;
}

bool filter_readable(int fd) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return !s || !may_lie(s) || recv_true(fd, s);
}

bool filter_epoll_needed(void) {
    return atomic_load_explicit(&any, memory_order_relaxed);
}

static struct registration **bucket_of(int epfd, uint64_t data) {
    uint64_t hash = (data ^ (uint64_t)epfd << 32) * 0x9e3779b97f4a7c15u;
    return &buckets[(hash >> 32) & (bucket_count - 1)];
}

static bool outdated(const struct registration *r) {
    struct slot *s = fdtable_slot(r->fd);
    return !s || atomic_load(&s->generation) != r->generation;
}

static void unlink_registration(struct registration **link) {
    struct registration *r = *link;
    *link = r->next;
    free(r);
    atomic_store(&any, --count > 0);
}

/* Doubles the table, leaving behind what is of no use any more. */
static bool grow(void) {
    struct registration **old = buckets;
    size_t n = bucket_count;
    struct registration **bigger = calloc(n ? n * 2 : 64, sizeof(struct registration *));
    if (!bigger)
        return false;
    buckets = bigger;
    bucket_count = n ? n * 2 : 64;
    for (size_t i = 0; i < n; i++)
        while (old[i]) {
            struct registration *r = old[i];
            if (outdated(r)) {
                unlink_registration(&old[i]);
                continue;
            }
            old[i] = r->next;
            struct registration **link = bucket_of(r->epfd, r->event.data.u64);
            r->next = *link;
            *link = r;
        }
    free(old);
    return true;
}

static void forget(int epfd, int fd) {
    for (size_t i = 0; count && i < bucket_count; i++)
        for (struct registration **link = &buckets[i]; *link;) {
            if ((*link)->epfd == epfd && (*link)->fd == fd)
                unlink_registration(link);
            else
                link = &(*link)->next;
        }
}

static void remember(int epfd, int fd, const struct slot *s, const struct epoll_event *event) {
    struct registration *r = count < bucket_count || grow() ? malloc(sizeof *r) : NULL;
    if (!r)
        return; /* the program sees EAGAIN instead */
    struct registration **link = bucket_of(epfd, event->data.u64);
    *r = (struct registration){*link, epfd, fd, atomic_load(&s->generation), *event};
    *link = r;
    count++;
    atomic_store(&any, true);
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
    bool watch = s && event && op != EPOLL_CTL_DEL;
    if (!watch && !filter_epoll_needed())
        return;
    pthread_mutex_lock(&lock);
    if (op != EPOLL_CTL_ADD)
        forget(epfd, fd);
    if (watch)
        remember(epfd, fd, s, event);
    pthread_mutex_unlock(&lock);
}

/* Finds the descriptor behind an event; several may carry the same data, then the event stays. */
static bool match(int epfd, const struct epoll_event *e, struct registration *out) {
    int hits = 0;
    pthread_mutex_lock(&lock);
    for (struct registration **link = count ? bucket_of(epfd, e->data.u64) : NULL; link && *link;) {
        struct registration *r = *link;
        if (outdated(r)) {
            unlink_registration(link);
            continue;
        }
        if (r->epfd == epfd && r->event.data.u64 == e->data.u64) {
            *out = *r;
            hits++;
        }
        link = &r->next;
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
