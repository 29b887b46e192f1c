/* driver.c - the thread that attends to unattended connections.
 *
 * What is done for one of them is in driver_tend.c. The driver's lock guards only the list and is never held
 * while a slot's lock is taken. A conn it works on is marked busy; whoever wants to drop that conn waits for
 * the mark to go. */
#include "driver.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "calm.h"
#include "core.h"
#include "driver_set.h"
#include "driver_tend.h"
#include "fdtable.h"
#include "log.h"
#include "real.h"
#include "wire.h"

enum {
    STACK = 256 * 1024,
    NAP_MIN_MS = 2,
    NAP_MAX_MS = 100, /* while it waits in its set it hears of new work this late at most */
    IDLE_MS = 100,    /* lives on for a moment, not longer: beside it the program's own calls cost more */
    GOODBYE_MS = 5,   /* how often the kernel is asked whether everything was acknowledged */
    ATTENDED_MS = 20, /* when to look again at what another thread is busy with */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed, let_go = PTHREAD_COND_INITIALIZER;
static struct conn *list; /* all below: under lock */
static size_t length;
static _Atomic size_t closing; /* read without the lock too */
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
    driver_set_disarm(c);
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
    running = !real.pthread_create(&thread, &attr, run, NULL);
    atomic_store(&unmanned, !running);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

static void enlist(struct conn *c, uint64_t due) {
    if (conn_dropped(c))
        return;
    if (!c->listed) {
        c->due_ms = due;
        link_conn(c);
    } else if (c->busy) {
        c->again = true; /* what is being done to it now may have missed this */
    } else if (due < c->due_ms) {
        c->due_ms = due;
    }
    driver_set_ready();
    if (!running)
        start_thread();
    else if (sleeping && c->due_ms < wakes_at)
        pthread_cond_signal(&changed);
}

void driver_attend(struct conn *c, unsigned patience) {
    int saved = errno;
    uint64_t due = conn_now() + patience;
    calm_begin();
    pthread_mutex_lock(&lock);
    enlist(c, due);
    pthread_mutex_unlock(&lock);
    calm_end();
    errno = saved;
}

void driver_forget(struct conn *c) {
    calm_begin();
    pthread_mutex_lock(&lock);
    bool self = running && pthread_equal(thread, pthread_self());
    while (c->busy && !self)
        pthread_cond_wait(&let_go, &lock);
    unlink_conn(c);
    pthread_mutex_unlock(&lock);
    calm_end();
}

/* --- the loop ------------------------------------------------------------------------------------ */

/* What one look at the list found. */
struct round {
    size_t awaiting; /* conns that the set will tell of */
    uint64_t next;   /* when something is due without news */
};

static void round_add(struct round *r, const struct conn *c) {
    if (c->due_ms < r->next)
        r->next = c->due_ms;
    r->awaiting += c->armed != 0;
}

static void await(struct conn *c, enum need need) {
    uint32_t events = need == NEED_OUTPUT ? EPOLLOUT : need == NEED_INPUT ? EPOLLIN : 0;
    unsigned pause = c->said_goodbye || c->slot->rx_shut ? GOODBYE_MS : ATTENDED_MS;
    bool told = events && driver_set_arm(c, events);
    c->due_ms = told ? driver_tend_next(c) : conn_now() + pause;
    if (c->again)
        c->due_ms = conn_now() + DRIVER_PATIENCE_MS;
}

/* lock is held, and released while c is worked on. */
static void attend_one(struct round *r, struct conn *c) {
    c->busy = true;
    pthread_mutex_unlock(&lock);
    enum need need = driver_tend(c);
    pthread_mutex_lock(&lock);
    c->busy = false;
    if (c->again && need == NEED_NOTHING)
        need = NEED_TIME;
    if (need == NEED_INPUT || need == NEED_OUTPUT || need == NEED_TIME) {
        await(c, need);
        round_add(r, c);
    } else {
        unlink_conn(c);
    }
    c->again = false;
    pthread_cond_broadcast(&let_go);
    if (need == NEED_FREE && !c->lent) {
        pthread_mutex_unlock(&lock);
        driver_tend_end(c);
        pthread_mutex_lock(&lock);
    }
}

/* One look at everything that is due. lock is held. */
static void attend_due(struct round *r) {
    uint64_t now = conn_now();
    struct conn *next;
    for (struct conn *c = list; c; c = c->next)
        if (!c->busy && c->due_ms <= now)
            c->due_ms = 0;
    *r = (struct round){.next = UINT64_MAX};
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

/* No set is to be had any more: everything is looked at from time to time. */
static void look_at_all(void) {
    for (struct conn *c = list; c; c = c->next)
        if (c->armed)
            driver_set_told(c);
}

/* lock is held, and released for the wait. */
static void nap_in_set(const struct round *r, int *nap) {
    struct conn *news[DRIVER_SET_NEWS];
    uint64_t now = conn_now();
    int limit = *nap;
    if (r->next > now && r->next - now < (uint64_t)limit)
        limit = (int)(r->next - now);
    pthread_mutex_unlock(&lock);
    unsigned depth = calm_pause();
    int n = driver_set_wait(news, r->next <= now ? 0 : limit);
    if (n < 0 && *nap)
        wire_poll(NULL, 0, NAP_MIN_MS);
    calm_resume(depth);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n; i++)
        if (news[i]->listed)
            driver_set_told(news[i]);
    if (n < 0)
        look_at_all();
    *nap = n ? NAP_MIN_MS : *nap * 2 > NAP_MAX_MS ? NAP_MAX_MS : *nap * 2;
}

static void nap_here(void) {
    pthread_mutex_unlock(&lock);
    unsigned depth = calm_pause();
    wire_poll(NULL, 0, 1);
    calm_resume(depth);
    pthread_mutex_lock(&lock);
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
    log_aside();
    pthread_mutex_lock(&lock);
    for (;;) {
        pthread_mutex_unlock(&lock);
        core_look();
        pthread_mutex_lock(&lock);
        attend_due(&r);
        if (pausing || (resting && !length)) {
            break;
        } else if (r.awaiting) {
            nap_in_set(&r, &nap);
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
    return arg;
}

/* Until c, or every conn that the program closed, is done with; at most ms. */
static void work_off(const struct conn *c, unsigned ms) {
    uint64_t end = conn_now() + ms;
    struct round r = {0};
    int nap = NAP_MIN_MS;
    calm_begin();
    pthread_mutex_lock(&lock);
    while ((c ? c->listed : closing > 0) && conn_now() < end) {
        if (!running)
            attend_due(&r);
        if (r.awaiting && !running)
            nap_in_set(&r, &nap);
        else /* nothing to wait for but the time, or a thread that does the work */
            nap_here();
    }
    pthread_mutex_unlock(&lock);
    calm_end();
}

void driver_finish(unsigned ms) {
    work_off(NULL, ms);
}

bool driver_seeing_off(void) {
    return atomic_load(&closing) > 0;
}

bool driver_running(void) {
    pthread_mutex_lock(&lock);
    bool is = running;
    pthread_mutex_unlock(&lock);
    return is;
}

bool driver_unmanned(void) {
    return __builtin_expect(atomic_load_explicit(&unmanned, memory_order_relaxed), 0);
}

void driver_see_off(unsigned ms) {
    if (driver_unmanned())
        work_off(NULL, ms);
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

void driver_see_through(struct conn *c, unsigned ms) {
    work_off(c, ms);
}

bool driver_step(void) {
    struct round r = {.next = UINT64_MAX};
    int nap = 0;
    calm_begin();
    pthread_mutex_lock(&lock);
    if (!running) {
        nap_in_set(&r, &nap);
        attend_due(&r);
    }
    bool more = length > 0;
    pthread_mutex_unlock(&lock);
    calm_end();
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
        c->listed = c->busy = c->in_set = false;
        c->armed = 0;
        c->prev = c->next = NULL;
    }
    driver_set_forked();
    list = NULL;
    length = closing = 0;
    atomic_store(&unmanned, false);
    running = sleeping = cond_ready = resting = joinable = pausing = false;
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&let_go, NULL);
}
