/* driver.c - the thread that attends to unattended connections.
 *
 * Its lock guards only the list and is never held while a slot's lock is taken. A conn it works on is marked
 * busy; whoever wants to drop that conn waits for the mark to go. */
#include "driver.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <time.h>
#include <unistd.h>

#include "core.h"
#include "farewell.h"
#include "fdtable.h"
#include "hello.h"
#include "log.h"
#include "recv.h"
#include "send.h"
#include "shake.h"
#include "wire.h"

enum {
    STACK = 256 * 1024,
    NAP_MIN_MS = 2,
    NAP_MAX_MS = 100, /* while it waits in poll it hears of new work this late at most */
    IDLE_MS = 1000,   /* lives on for a moment, the next connection may be near */
    GOODBYE_MS = 5,   /* how often the kernel is asked whether everything was acknowledged */
    ATTENDED_MS = 20, /* when to look again at what another thread is busy with */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed, let_go = PTHREAD_COND_INITIALIZER;
static struct conn *list; /* all below: under lock */
static size_t length, closing;
static bool running, sleeping, cond_ready;
static bool resting, joinable; /* driver_rest; an ended thread is to be joined */
static bool pausing;           /* driver_pause */
static uint64_t wakes_at;
static pthread_t thread;
static _Atomic bool unmanned;

static void *run(void *arg);

static void link_conn(struct conn *c) {
    c->prev = NULL;
    c->next = list;
    if (list)
        list->prev = c;
    list = c;
    c->listed = true;
    length++;
    closing += c->closing;
}

static void unlink_conn(struct conn *c) {
    if (!c->listed)
        return;
    if (c->prev)
        c->prev->next = c->next;
    else
        list = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->listed = false;
    length--;
    closing -= c->closing;
}

static void cond_init(void) {
    if (cond_ready)
        return;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attr);
    pthread_condattr_destroy(&attr);
    cond_ready = true;
}

/* If there is no thread to be had, the program's own calls move what they touch. */
static void start_thread(void) {
    sigset_t all, old;
    pthread_attr_t attr;
    if (resting || pausing || !fdtable_mine())
        return;
    atomic_store(&unmanned, confine_lost(CONFINE_THREAD));
    if (confine_lost(CONFINE_THREAD))
        return;
    cond_init();
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    running = !pthread_create(&thread, &attr, run, NULL);
    atomic_store(&unmanned, !running);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

void driver_attend(struct conn *c, unsigned patience) {
    int saved = errno;
    uint64_t due = conn_now() + patience;
    pthread_mutex_lock(&lock);
    if (conn_dropped(c)) {
        pthread_mutex_unlock(&lock);
        errno = saved;
        return;
    }
    if (!c->listed) {
        c->due_ms = due;
        c->awaits = 0;
        link_conn(c);
    } else if (c->busy) {
        c->again = true; /* what is being done to it now may have missed this */
    } else if (due < c->due_ms) {
        c->due_ms = due;
    }
    if (!running)
        start_thread();
    else if (sleeping && c->due_ms < wakes_at)
        pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

void driver_forget(struct conn *c) {
    pthread_mutex_lock(&lock);
    bool self = running && pthread_equal(thread, pthread_self());
    while (c->busy && !self)
        pthread_cond_wait(&let_go, &lock);
    unlink_conn(c);
    pthread_mutex_unlock(&lock);
}

/* --- work on one connection ---------------------------------------------------------------------- */

/* What a connection needs next. */
enum need { NEED_NOTHING, NEED_INPUT, NEED_OUTPUT, NEED_TIME, NEED_FREE };

static enum need after_goodbye(struct conn *c) {
    struct slot *s = c->slot;
    int unacknowledged = 0;
    if (recv_unread(c->fd, s)) { /* data for a program that is gone: TCP resets */
        farewell_reset(c->fd, s);
        return NEED_FREE;
    }
    if (atomic_load(&s->state) != SLOT_OPEN || wire_ioctl(c->fd, SIOCOUTQ, &unacknowledged) ||
        !unacknowledged)
        return NEED_FREE; /* all is in the peer's kernel: a late ticket can do no harm any more */
    return NEED_TIME;     /* nothing tells when it is */
}

/* This process has closed it in the middle of the handshake that it had begun; relatives go on using it. */
static bool others_use(const struct slot *s) {
    return atomic_load(&s->refs) > 1 && !slot_others_dead(s);
}

/* The program has closed this one: deliver, say goodbye, read the rest away. */
static enum need linger(struct conn *c) {
    struct slot *s = c->slot;
    if (c->said_goodbye)
        return after_goodbye(c);
    if (atomic_load(&s->state) != SLOT_OPEN)
        return NEED_FREE;
    c->deadline_ms = conn_now() + DRIVER_DELIVERY_MS;
    if (!slot_lock_soon(&s->tx_lock, &s->tx_waits))
        return NEED_OUTPUT; /* a relative is writing */
    bool flushed = send_flush(c->fd, s, MSG_DONTWAIT | MSG_NOSIGNAL), last = !others_use(s);
    if (flushed && last) {
        send_goodbye(c->fd, s);
        flushed = send_flush(c->fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    slot_unlock(&s->tx_lock);
    if (!flushed)
        return NEED_OUTPUT;
    if (!last)
        return NEED_FREE;
    c->said_goodbye = true;
    wire_shutdown(c->fd, SHUT_WR);
    return after_goodbye(c);
}

static enum need tend_open(struct conn *c) {
    struct slot *s = c->slot;
    if (c->closing)
        return linger(c);
    if (!slot_trylock(&s->tx_lock))
        return NEED_TIME; /* the program is writing */
    bool flushed = send_flush(c->fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (flushed && s->half_closed) {
        send_goodbye(c->fd, s);
        flushed = send_flush(c->fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (flushed)
            wire_shutdown(c->fd, SHUT_WR);
    }
    slot_unlock(&s->tx_lock);
    return flushed ? NEED_NOTHING : NEED_OUTPUT;
}

static bool too_late(struct conn *c) {
    if (conn_now() < c->deadline_ms)
        return false;
    if (c->slot->server && c->slot->permissive && !c->sniffed && !c->closing) {
        c->deadline_ms = UINT64_MAX; /* a plaintext client may be silent for as long as it likes */
        return false;
    }
    if (c->closing)
        return true;
    if (!slot_lock_soon(&c->slot->tx_lock, &c->slot->tx_waits))
        return true;
    if (atomic_load(&c->slot->state) == SLOT_SHAKING && !c->going_plain)
        conn_fail(c->fd, c->slot, ECONNRESET, "the TLS handshake was not finished in time");
    slot_unlock(&c->slot->tx_lock);
    return true;
}

static enum need tend_shaking(struct conn *c) {
    struct slot *s = c->slot;
    if (s->shaker && s->shaker != wire_getpid())
        return c->closing ? NEED_FREE : NEED_NOTHING;
    if (!s->server && !c->reconnecting && !shake_connected(c->fd)) {
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        bool refused = wire_poll(&p, 1, 0) == 1;
        return refused && c->closing ? NEED_FREE : refused ? NEED_NOTHING : NEED_OUTPUT;
    }
    if (!slot_trylock(&s->rx_lock))
        return too_late(c) ? NEED_NOTHING : NEED_TIME; /* a blocked reader attends */
    enum shake_result r = shake_advance(c->fd, s, false);
    if (atomic_load(&s->state) == SLOT_DEAD)
        s->error_told = false; /* the program has yet to hear of it */
    slot_unlock(&s->rx_lock);
    if (atomic_load(&s->state) == SLOT_OPEN)
        return tend_open(c);
    if (r == SHAKE_NOTHING || atomic_load(&s->state) != SLOT_SHAKING || too_late(c))
        return c->closing ? NEED_FREE : NEED_NOTHING;
    return c->reconnecting || (c->going_plain && c->early_len) ? NEED_OUTPUT : NEED_INPUT;
}

static enum need tend(struct conn *c) {
    struct slot *s = c->slot;
    if (atomic_load(&s->generation) != c->generation || slot_orphaned(s))
        return NEED_NOTHING;
    if (!confine_lost(CONFINE_GETSOCKOPT) &&
        conn_cookie(c->fd) != s->cookie) /* closed where no hook saw it; the number may be anything now */
        return c->closing ? NEED_FREE : NEED_NOTHING;
    enum slot_state state = atomic_load(&s->state);
    enum need need = state == SLOT_SHAKING ? tend_shaking(c)
                     : state == SLOT_OPEN  ? tend_open(c)
                     : c->closing          ? NEED_FREE
                                           : NEED_NOTHING;
    if (c->closing && need != NEED_FREE && too_late(c))
        return NEED_FREE;
    return need;
}

/* When the permissive wait is over the silence has to be noticed, input or not. */
static uint64_t next_look(const struct conn *c) {
    uint64_t patience_ends = c->born_ms + c->mesh->permissive_wait_ms;
    bool undecided = c->slot->permissive && !c->sniffed && atomic_load(&c->slot->state) == SLOT_SHAKING &&
                     conn_now() <= patience_ends;
    uint64_t next = undecided && patience_ends < c->deadline_ms ? patience_ends + 1 : c->deadline_ms;
    uint64_t held = hello_wait_ends(c);
    return held < next ? held : next;
}

static void end_closing(struct conn *c) {
    struct slot *s = c->slot;
    int fd = c->fd;
    bool shared = others_use(s);
    conn_drop(c);
    fdtable_own_close(fd);
    if (shared && slot_unref(s))
        slot_unhold(s);
    else
        farewell_free(s);
}

/* --- the loop ------------------------------------------------------------------------------------ */

struct round {
    struct pollfd *fds;
    size_t count, room;
    uint64_t next; /* when something is due without input */
};

static void round_add(struct round *r, struct conn *c) {
    if (c->due_ms < r->next)
        r->next = c->due_ms;
    if (!c->awaits)
        return;
    if (r->count == r->room) {
        size_t room = r->room ? r->room * 2 : 16;
        struct pollfd *more = realloc(r->fds, room * sizeof *more);
        if (!more)
            return; /* looked at again at its next due time */
        r->fds = more;
        r->room = room;
    }
    r->fds[r->count++] = (struct pollfd){.fd = c->fd, .events = c->awaits};
    c->polled = (unsigned)r->count;
}

/* lock is held, and released while c is worked on. */
static void attend_one(struct round *r, struct conn *c) {
    c->busy = true;
    pthread_mutex_unlock(&lock);
    enum need need = tend(c);
    pthread_mutex_lock(&lock);
    c->busy = false;
    c->awaits = need == NEED_OUTPUT ? POLLOUT : need == NEED_INPUT ? POLLIN : 0;
    c->due_ms = need == NEED_TIME ? conn_now() + (c->said_goodbye ? GOODBYE_MS : ATTENDED_MS) : next_look(c);
    if (c->again && need == NEED_NOTHING)
        need = NEED_TIME;
    if (c->again)
        c->due_ms = conn_now() + DRIVER_PATIENCE_MS;
    c->again = false;
    if (need == NEED_INPUT || need == NEED_OUTPUT || need == NEED_TIME)
        round_add(r, c);
    else
        unlink_conn(c);
    pthread_cond_broadcast(&let_go);
    if (need == NEED_FREE) {
        pthread_mutex_unlock(&lock);
        end_closing(c);
        pthread_mutex_lock(&lock);
    }
}

static bool is_due(const struct conn *c, uint64_t now, const struct round *r, size_t polled) {
    if (c->due_ms <= now)
        return true;
    return c->awaits && c->polled && c->polled <= polled && r->fds[c->polled - 1].fd == c->fd &&
           r->fds[c->polled - 1].revents;
}

/* One look at everything that is due. lock is held. */
static void attend_due(struct round *r) {
    uint64_t now = conn_now();
    size_t polled = r->count;
    struct conn *next;
    for (struct conn *c = list; c; c = c->next)
        if (!c->busy && is_due(c, now, r, polled))
            c->due_ms = 0;
    r->count = 0;
    r->next = UINT64_MAX;
    for (struct conn *c = list; c; c = next) {
        if (c->due_ms || c->busy) {
            round_add(r, c);
            next = c->next;
            continue;
        }
        /* While the lock is away the neighbours may leave: a mark of our own holds the place. */
        struct conn mark = {.listed = true, .due_ms = UINT64_MAX, .prev = c, .next = c->next};
        if (c->next)
            c->next->prev = &mark;
        c->next = &mark;
        attend_one(r, c);
        next = mark.next;
        if (mark.prev)
            mark.prev->next = mark.next;
        else
            list = mark.next;
        if (mark.next)
            mark.next->prev = mark.prev;
    }
}

static void nap_in_poll(struct round *r, int *nap) {
    uint64_t now = conn_now();
    int limit = *nap;
    if (r->next > now && r->next - now < (uint64_t)limit)
        limit = (int)(r->next - now);
    pthread_mutex_unlock(&lock);
    int n = wire_poll(r->fds, (nfds_t)r->count, r->next <= now ? 0 : limit);
    pthread_mutex_lock(&lock);
    *nap = n ? NAP_MIN_MS : *nap * 2 > NAP_MAX_MS ? NAP_MAX_MS : *nap * 2;
}

static void sleep_until(uint64_t when) {
    if (when > conn_now() + IDLE_MS)
        when = conn_now() + IDLE_MS;
    struct timespec t = {(time_t)(when / 1000), (long)(when % 1000) * 1000000};
    wakes_at = when;
    sleeping = true;
    pthread_cond_timedwait(&changed, &lock, &t);
    sleeping = false;
}

static void *run(void *arg) {
    struct round r = {0};
    int nap = NAP_MIN_MS;
    bool idled = false;
    pthread_mutex_lock(&lock);
    for (;;) {
        pthread_mutex_unlock(&lock);
        core_look();
        pthread_mutex_lock(&lock);
        attend_due(&r);
        if (pausing || (resting && !length)) {
            break;
        } else if (r.count) {
            nap_in_poll(&r, &nap);
        } else if (length) {
            sleep_until(r.next);
        } else if (!idled) {
            idled = true;
            sleep_until(conn_now() + IDLE_MS);
            continue;
        } else {
            break;
        }
        idled = false;
    }
    running = false;
    joinable = resting || pausing;
    if (!joinable)
        pthread_detach(pthread_self());
    pthread_mutex_unlock(&lock);
    free(r.fds);
    return arg;
}

static void work_off(unsigned ms) {
    uint64_t end = conn_now() + ms;
    struct round r = {0};
    int nap = NAP_MIN_MS;
    pthread_mutex_lock(&lock);
    while (closing && conn_now() < end) {
        if (!running)
            attend_due(&r);
        if (!r.count) { /* nothing to wait for but the time, or a thread that does the work */
            pthread_mutex_unlock(&lock);
            wire_poll(NULL, 0, 1);
            pthread_mutex_lock(&lock);
            continue;
        }
        nap_in_poll(&r, &nap);
    }
    pthread_mutex_unlock(&lock);
    free(r.fds);
}

void driver_finish(unsigned ms) {
    work_off(ms);
}

bool driver_unmanned(void) {
    return __builtin_expect(atomic_load_explicit(&unmanned, memory_order_relaxed), 0);
}

void driver_see_off(unsigned ms) {
    if (driver_unmanned())
        work_off(ms);
}

bool driver_stand_in(int fd, short events) {
    enum { MOMENT_MS = 10 };
    int n = 0;
    while (driver_unmanned() && !n && driver_step()) {
        struct pollfd p = {.fd = fd, .events = events};
        n = wire_poll(&p, 1, MOMENT_MS);
        if (n < 0 && errno == EPERM) /* not even that can be asked */
            n = 1;
    }
    return n >= 0;
}

bool driver_step(void) {
    struct round r = {0};
    pthread_mutex_lock(&lock);
    if (!running)
        attend_due(&r);
    bool more = length > 0;
    pthread_mutex_unlock(&lock);
    free(r.fds);
    return more;
}

void driver_rest(bool on) {
    uint64_t end = conn_now() + NAP_MAX_MS;
    pthread_mutex_lock(&lock);
    if (on)
        resting = true;
    while (!on && running && !length && conn_now() < end) {
        if (sleeping)
            pthread_cond_signal(&changed);
        pthread_mutex_unlock(&lock);
        wire_poll(NULL, 0, 1);
        pthread_mutex_lock(&lock);
    }
    bool ended = !on && joinable;
    if (!on)
        resting = joinable = false;
    pthread_t last = thread;
    pthread_mutex_unlock(&lock);
    if (ended)
        pthread_join(last, NULL);
}

/* --- fork ---------------------------------------------------------------------------------------- */

void driver_pause(void) {
    uint64_t end = conn_now() + 2 * NAP_MAX_MS;
    pthread_mutex_lock(&lock);
    bool other = running && !resting && !pthread_equal(thread, pthread_self());
    pausing = other;
    while (other && running && conn_now() < end) {
        if (sleeping)
            pthread_cond_signal(&changed);
        pthread_mutex_unlock(&lock);
        wire_poll(NULL, 0, 1);
        pthread_mutex_lock(&lock);
    }
    bool ended = other && !running && joinable;
    pthread_t last = thread;
    if (other)
        joinable = pausing = false;
    pthread_mutex_unlock(&lock);
    if (ended)
        pthread_join(last, NULL);
}

void driver_resume(void) {
    pthread_mutex_lock(&lock);
    if (length && !running)
        start_thread();
    pthread_mutex_unlock(&lock);
}

void driver_fork_prepare(void) {
    pthread_mutex_lock(&lock);
}

void driver_fork_parent(void) {
    pthread_mutex_unlock(&lock);
}

/* The thread and its work stay with the parent. */
void driver_fork_child(void) {
    for (struct conn *c = list, *next; c; c = next) {
        next = c->next;
        c->listed = c->busy = false;
        c->prev = c->next = NULL;
    }
    list = NULL;
    length = closing = 0;
    atomic_store(&unmanned, false);
    running = sleeping = cond_ready = resting = joinable = pausing = false;
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&let_go, NULL);
}
