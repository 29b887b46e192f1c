/* filter.c - asks, after the kernel has spoken, whether it spoke of plaintext. Never blocks, never invents an
 * event. */
#include "filter.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "conn.h"
#include "driver.h"
#include "fdtable.h"
#include "recv.h"
#include "wire.h"

/* What is known of one descriptor in one set. An event may be about something else than plaintext, and brings
 * back its data only, not the descriptor. */
struct registration {
    struct registration *same_data, *same_fd; /* next ones of its two chains */
    int epfd, fd;
    const struct slot *slot;
    uint32_t generation;
    uint32_t out_told; /* the slot's out_news + 1 when it was last told to be writable; 0: never */
    struct epoll_event event;
};

/* Chains by (set, data) for events, and by descriptor for changes. All under lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registration **by_data, **by_fd;
static size_t bucket_count, count;
static _Atomic bool any;
static _Atomic bool ever_full;

/* Until the first data has come the kernel may report handshake messages: on the connecting side tickets come
 * before it, on the accepting side an event may be older than the end of the handshake. */
static bool shaky(const struct slot *s) {
    enum slot_state state = atomic_load(&s->state);
    return state == SLOT_SHAKING || (state == SLOT_OPEN && !s->saw_input);
}

static bool may_lie(const struct slot *s) {
    if (!wire_peeks() || confine_lost(CONFINE_SETSOCKOPT))
        return true;
    if (!atomic_load(&s->nonblocking) || shaky(s))
        return true;
    return atomic_load(&s->state) == SLOT_OPEN && (s->carry || s->torn || s->user_lowat > 1);
}

/* A non-blocking descriptor past its handshake is let go until its records come in parts. Who is told of
 * edges reads until EAGAIN anyway. */
static bool worth_watching(const struct slot *s, const struct epoll_event *event) {
    return !atomic_load(&s->nonblocking) || shaky(s) || s->user_lowat > 1 ||
           (s->torn && !(event->events & EPOLLET));
}

bool filter_doubts(int fd) {
    const struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return s && may_lie(s);
}

bool filter_readable(int fd) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return !s || !may_lie(s) || recv_true(fd, s);
}

bool filter_ever_full(void) {
    return atomic_load_explicit(&ever_full, memory_order_relaxed);
}

void filter_fills(void) {
    atomic_store(&ever_full, true);
}

bool filter_full(int fd) {
    const struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    const struct conn *c = s && atomic_load(&s->state) == SLOT_SHAKING && !s->rx_eof ? conn_of(s) : NULL;
    return c && atomic_load(&c->early_len) >= CONN_EARLY_MAX;
}

bool filter_epoll_needed(void) {
    return atomic_load_explicit(&any, memory_order_relaxed);
}

static size_t hash(uint64_t key) {
    return (size_t)((key * 0x9e3779b97f4a7c15u) >> 32) & (bucket_count - 1);
}

static struct registration **data_chain(int epfd, uint64_t data) {
    return &by_data[hash(data ^ (uint64_t)(unsigned)epfd << 32)];
}

static struct registration **fd_chain(int fd) {
    return &by_fd[hash((unsigned)fd)];
}

static bool outdated(const struct registration *r) {
    struct slot *s = fdtable_slot(r->fd);
    return s != r->slot || !s || atomic_load(&s->generation) != r->generation ||
           !worth_watching(s, &r->event);
}

static void link_registration(struct registration *r) {
    struct registration **data = data_chain(r->epfd, r->event.data.u64), **fd = fd_chain(r->fd);
    r->same_data = *data;
    *data = r;
    r->same_fd = *fd;
    *fd = r;
    atomic_store(&any, ++count > 0);
}

static void unlink_registration(struct registration *r) {
    struct registration **link = data_chain(r->epfd, r->event.data.u64);
    while (*link != r)
        link = &(*link)->same_data;
    *link = r->same_data;
    link = fd_chain(r->fd);
    while (*link != r)
        link = &(*link)->same_fd;
    *link = r->same_fd;
    atomic_store(&any, --count > 0);
}

static void rehash(struct registration **old, size_t n) {
    count = 0;
    for (size_t i = 0; i < n; i++)
        for (struct registration *r = old[i], *next; r; r = next) {
            next = r->same_data;
            if (outdated(r))
                free(r);
            else
                link_registration(r);
        }
}

/* Makes room in the tables. */
static bool grow(void) {
    /* What other threads or unseen closes left behind goes first; only what is in use makes them grow. */
    size_t old_count = bucket_count, n = old_count ? old_count : 64;
    size_t live = 0;
    for (size_t i = 0; i < old_count; i++)
        for (struct registration *r = by_data[i]; r; r = r->same_data)
            live += !outdated(r);
    if (live > n / 2)
        n *= 2;
    struct registration **data = calloc(n, sizeof *data), **fd = calloc(n, sizeof *fd), **old = by_data;
    if (!data || !fd) {
        free(data);
        free(fd);
        return false;
    }
    free(by_fd);
    by_data = data;
    by_fd = fd;
    bucket_count = n;
    rehash(old, old_count);
    free(old);
    return true;
}

static void forget(int epfd, int fd) {
    for (struct registration *r = count ? *fd_chain(fd) : NULL, *next; r; r = next) {
        next = r->same_fd;
        if (r->fd != fd || r->epfd != epfd)
            continue;
        unlink_registration(r);
        free(r);
    }
}

static void remember(int epfd, int fd, const struct slot *s, const struct epoll_event *event) {
    struct registration *r = count < bucket_count || grow() ? malloc(sizeof *r) : NULL;
    if (!r)
        return; /* the program sees EAGAIN instead */
    *r = (struct registration){
        .epfd = epfd, .fd = fd, .slot = s, .generation = atomic_load(&s->generation), .event = *event};
    link_registration(r);
}

static int place_of(const struct conn *c, int epfd) {
    int i = 0;
    while (i < c->epoll_count && c->epolls[i] != epfd)
        i++;
    return i;
}

static void remember_set(struct conn *c, int epfd, const struct epoll_event *event) {
    int i = place_of(c, epfd);
    if (i == CONN_EPOLLS)
        return;
    c->epolls[i] = epfd;
    if (event)
        c->epoll_events[i] = *event;
    if (i == c->epoll_count)
        c->epoll_count++;
}

static void forget_event(struct conn *c, int epfd) {
    int i = place_of(c, epfd);
    if (i < c->epoll_count)
        c->epoll_events[i].events = 0;
}

void filter_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *event) {
    struct slot *s = fdtable_slot(fd);
    struct conn *c = s ? conn_of(s) : NULL;
    if (c && op == EPOLL_CTL_DEL)
        forget_event(c, epfd);
    else if (c)
        remember_set(c, epfd, event);
    bool watch = s && event && op != EPOLL_CTL_DEL && worth_watching(s, event);
    if (!watch && !filter_epoll_needed())
        return;
    pthread_mutex_lock(&lock);
    forget(epfd, fd); /* for EPOLL_CTL_ADD: what was there stands for a set or descriptor that is closed */
    if (watch)
        remember(epfd, fd, s, event);
    pthread_mutex_unlock(&lock);
}

void filter_torn(int fd, struct slot *s) {
    struct conn *c = conn_of(s);
    if (s->torn || pthread_mutex_trylock(&lock)) /* the next part will tell */
        return;
    s->torn = true;
    for (int i = 0; c && i < c->epoll_count; i++) {
        forget(c->epolls[i], fd);
        if (c->epoll_events[i].events && worth_watching(s, &c->epoll_events[i]))
            remember(c->epolls[i], fd, s, &c->epoll_events[i]);
    }
    pthread_mutex_unlock(&lock);
}

/* Edge-triggered: it has been told to be writable, and no write had to wait since then. */
static bool out_is_old(struct registration *r) {
    uint32_t waits = fdtable_slot(r->fd)->out_news + 1;
    bool old = r->out_told == waits;
    r->out_told = waits;
    return old;
}

/* Finds the descriptor behind an event; several may carry the same data, then the event stays. */
static bool match(int epfd, const struct epoll_event *e, struct registration *out, bool *out_old) {
    int hits = 0;
    pthread_mutex_lock(&lock);
    for (struct registration *r = count ? *data_chain(epfd, e->data.u64) : NULL, *next; r; r = next) {
        next = r->same_data;
        if (outdated(r)) {
            unlink_registration(r);
            free(r);
        } else if (r->epfd == epfd && r->event.data.u64 == e->data.u64) {
            *out = *r;
            *out_old = (e->events & EPOLLOUT) && (r->event.events & EPOLLET) && out_is_old(r);
            hits++;
        }
    }
    pthread_mutex_unlock(&lock);
    return hits == 1;
}

/* The kernel tells all that is true when anything is new: an edge that was only an untrue input is none. Nor
 * is it when that input, of a handshake, has been taken meanwhile. An edge is not taken away for want of
 * room, as the kernel would not tell of it again. */
static bool untrue(int epfd, struct epoll_event *e, bool *full) {
    enum { IN = EPOLLIN | EPOLLRDNORM, OUT = EPOLLOUT | EPOLLWRNORM };
    struct registration r;
    bool out_old;
    if (!(e->events & (EPOLLIN | EPOLLOUT)) || (e->events & (EPOLLERR | EPOLLHUP)) ||
        !match(epfd, e, &r, &out_old))
        return false;
    uint32_t lies = 0;
    if (e->events & EPOLLIN ? !filter_readable(r.fd) : out_old && shaky(r.slot))
        lies = out_old ? IN | OUT : IN;
    if ((e->events & EPOLLOUT) && !(r.event.events & EPOLLET) && filter_full(r.fd)) {
        lies |= OUT;
        *full = true;
    }
    e->events &= ~lies;
    if (!lies || (e->events & (IN | OUT | EPOLLPRI | EPOLLRDHUP)))
        return false;
    if (r.event.events & EPOLLONESHOT) /* the kernel has disarmed it for a false alarm */
        wire_epoll_ctl(epfd, EPOLL_CTL_MOD, r.fd, &r.event);
    return true;
}

int filter_epoll(int epfd, struct epoll_event *events, int n, bool *full) {
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (!untrue(epfd, &events[i], full))
            events[kept++] = events[i];
    return kept;
}

void filter_fork_prepare(void) {
    pthread_mutex_lock(&lock);
}

void filter_fork_done(void) {
    pthread_mutex_unlock(&lock);
}

/* --- plaintext that the kernel does not know of -------------------------------------------------- */

bool filter_loose(void) {
    return slot_loose_any() || driver_unmanned();
}

bool filter_held(int fd) {
    const struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return s && s->loose && s->held;
}

/* The registration of fd in the set, if it waits for input. Edge-triggered programs have had their event. */
static struct epoll_event *waiting(int epfd, int fd) {
    struct slot *s = fdtable_slot(fd);
    struct conn *c = s ? conn_of(s) : NULL;
    int i = c ? place_of(c, epfd) : 0;
    if (!c || i == c->epoll_count)
        return NULL;
    uint32_t events = c->epoll_events[i].events;
    return (events & EPOLLIN) && !(events & EPOLLET) ? &c->epoll_events[i] : NULL;
}

bool filter_epoll_holds(int epfd) {
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1))
        if (filter_held(fd) && waiting(epfd, fd))
            return true;
    return false;
}

static bool told_already(struct epoll_event *events, int n, uint64_t data) {
    for (int i = 0; i < n; i++)
        if (events[i].data.u64 == data) {
            events[i].events |= EPOLLIN;
            return true;
        }
    return false;
}

int filter_epoll_tell(int epfd, struct epoll_event *events, int n, int max) {
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct epoll_event *e = filter_held(fd) ? waiting(epfd, fd) : NULL;
        if (!e || told_already(events, n, e->data.u64) || n == max)
            continue;
        events[n] = *e;
        events[n++].events = EPOLLIN | (e->events & EPOLLRDNORM);
        if (e->events & EPOLLONESHOT) { /* disarmed until the program arms it again */
            struct epoll_event off = {.events = EPOLLONESHOT, .data = e->data};
            wire_epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &off);
            e->events = 0;
        }
    }
    return n;
}
