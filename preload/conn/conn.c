/* conn.c - this process's part of connections: made, joined, pinned, dropped, declared dead. Sends nothing;
 * policy is asked in conn_decide.c. */
#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "calm.h"
#include "conn_parts.h"
#include "core.h"
#include "driver.h"
#include "embryo.h"
#include "fdtable.h"
#include "forks.h"
#include "log.h"
#include "options.h"
#include "streams.h"
#include "wire.h"

/* Slot index -> conn. Reserved like the arena, touched as needed; an entry is written under the slot's
 * tx_lock or before the slot is published. */
static struct conn *_Atomic *conns;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;
/* Looked at twice a call; the object is never loaded later than the program. */
static __thread struct scratch *scratch __attribute__((tls_model("initial-exec")));

static void scratch_free(void *p) {
    explicit_bzero(p, CONN_SCRATCH_RX);
    munmap(p, sizeof(struct scratch));
    scratch = NULL;
}

static void conn_init(void) {
    pthread_key_create(&scratch_key, scratch_free);
    forks_ready();
    if (!slot_arena_ready())
        return;
    int file = slot_arena_file();
    if (file >= 0)
        fdtable_own_keep(file);
    fdtable_own_stopper();
    log_keep();
    void *p = mmap(NULL, slot_capacity() * sizeof *conns, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    conns = p == MAP_FAILED ? NULL : p;
}

struct scratch *conn_scratch(void) {
    if (scratch)
        return scratch;
    pthread_once(&once, conn_init);
    void *p = confine_lost(CONFINE_MEMORY) ? MAP_FAILED
                                           : mmap(NULL, sizeof(struct scratch), PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        errno = ENOMEM;
        return NULL;
    }
    pthread_setspecific(scratch_key, p);
    return scratch = p;
}

struct scratch *conn_scratch_so_far(void) {
    return scratch;
}

static _Atomic uint64_t asked; /* where there is no clock: each question takes some time */

void conn_now_settle(void) {
    atomic_store(&asked, conn_now());
}

uint64_t conn_now(void) {
    struct timespec t;
    if (confine_lost(CONFINE_CLOCK))
        return atomic_fetch_add(&asked, 1);
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct conn *conn_of(const struct slot *s) {
    if (!conns)
        return NULL;
    struct conn *c = atomic_load(&conns[slot_index(s)]);
    return c && atomic_load(&c->generation) == atomic_load(&s->generation) ? c : NULL;
}

/* --- memory that stays what it is ---------------------------------------------------------------- */

enum { CONN_DROPPED = 1 << 30 };
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static struct conn *spares; /* under spare_lock */

static struct conn *conn_memory(void) {
    pthread_mutex_lock(&spare_lock);
    struct conn *c = spares;
    if (c)
        spares = c->spare;
    pthread_mutex_unlock(&spare_lock);
    return c ? c : calloc(1, sizeof *c);
}

/* All but the pins: a late look may just be counting itself in and out. */
static void give_back(struct conn *c) {
    atomic_store(&c->generation, 0);
    memset((char *)c + offsetof(struct conn, slot), 0, sizeof *c - offsetof(struct conn, slot));
    pthread_mutex_lock(&spare_lock);
    c->spare = spares;
    spares = c;
    pthread_mutex_unlock(&spare_lock);
}

void conn_early_done(struct conn *c) {
    calm_begin();
    if (c->early)
        explicit_bzero(c->early, c->early_room);
    free(c->early);
    calm_end();
    c->early = NULL;
    c->early_at = c->early_len = c->early_room = 0;
}

/* The last one to leave a dropped conn empties it. */
static void empty(struct conn *c) {
    uint32_t alone = CONN_DROPPED;
    if (!atomic_compare_exchange_strong(&c->pins, &alone, 0))
        return;
    calm_begin();
    if (c->shake)
        core_loaded->handshake->free_(c->shake);
    if (c->post)
        core_loaded->handshake->free_(c->post);
    conn_early_done(c);
    give_back(c);
    calm_end();
}

struct conn *conn_pin(const struct slot *s) {
    struct conn *c = conn_of(s);
    if (!c)
        return NULL;
    atomic_fetch_add(&c->pins, 1);
    if (conn_of(s) == c)
        return c;
    conn_unpin(c);
    return NULL;
}

bool conn_dropped(const struct conn *c) {
    return atomic_load(&c->pins) & CONN_DROPPED;
}

void conn_unpin(struct conn *c) {
    if (c && atomic_fetch_sub(&c->pins, 1) == CONN_DROPPED + 1)
        empty(c);
}

bool conn_abandon(struct conn *c) {
    struct conn *expected = c;
    if (!atomic_compare_exchange_strong(&conns[slot_index(c->slot)], &expected, NULL))
        return false; /* another thread was faster */
    /* From now on the driver does not take it any more; until it has let go nobody else may empty it. */
    atomic_fetch_add(&c->pins, CONN_DROPPED + 1);
    driver_forget(c);
    return true;
}

void conn_drop(struct conn *c) {
    if (conn_abandon(c))
        conn_unpin(c);
}

void conn_fork_prepare(void) {
    pthread_mutex_lock(&spare_lock);
}

void conn_fork_done(void) {
    pthread_mutex_unlock(&spare_lock);
}

void conn_forked(void) {
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        struct conn *c = s ? conn_of(s) : NULL;
        if (!c)
            continue;
        /* OpenSSL's objects may be mid-change in a thread that this process does not have. */
        c->shake = c->post = NULL;
        c->listed = c->busy = false;
        if (s->shaker) {
            if (c->early)
                explicit_bzero(c->early, c->early_room);
            c->early = NULL;
            c->early_at = c->early_len = c->early_room = 0;
        }
    }
}

static void attach(struct conn *c, struct slot *s, int fd) {
    struct conn *old = atomic_load(&conns[slot_index(s)]);
    if (old) /* a connection that turned plaintext leaves its conn behind */
        conn_drop(old);
    c->slot = s;
    atomic_store(&c->generation, atomic_load(&s->generation));
    c->fd = fd;
    c->born_ms = conn_now();
    atomic_store(&conns[slot_index(s)], c);
}

bool conn_ready(void) {
    pthread_once(&once, conn_init);
    return conns && fdtable_ready();
}

struct conn *conn_made(int fd) {
    calm_begin();
    bool ready = conn_ready();
    struct slot *shared = embryo_of(fd), *s = shared;
    if (!s && ready && (unsigned)fd < fdtable_size)
        s = slot_new();
    struct conn *c = s && ready ? conn_memory() : NULL;
    calm_end();
    if (!c) {
        if (s && !shared)
            slot_free(s);
        return NULL;
    }
    attach(c, s, fd);
    return c;
}

struct conn *conn_join(struct slot *s, int fd) {
    pthread_once(&once, conn_init);
    struct conn *c = conn_of(s);
    if (c) {
        atomic_fetch_add(&c->fds, 1);
        return c;
    }
    c = conns && fdtable_ready() ? conn_memory() : NULL;
    if (!c)
        return NULL;
    attach(c, s, fd);
    conn_decide_again(c);
    atomic_store(&c->fds, 1);
    return c;
}

uint64_t conn_cookie(int fd) {
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return wire_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

void conn_publish(struct conn *c, int fd) {
    c->fd = fd;
    c->slot->cookie = conn_cookie(fd);
    int saved = errno, mode = wire_fcntl(fd, F_GETFL, 0); /* a sandbox may deny it: -1 has all bits */
    errno = mode < 0 ? saved : errno;
    atomic_store(&c->slot->nonblocking, mode >= 0 && (mode & O_NONBLOCK));
    options_learn(fd, c->slot);
    atomic_store(&c->fds, 1);
    c->deadline_ms = c->born_ms + c->mesh->handshake_timeout_ms;
    if (atomic_load(&c->slot->state) == SLOT_EMBRYO)
        slot_set_state(c->slot, SLOT_SHAKING);
    struct slot *before = fdtable_take(fd); /* an embryo, by a fork in another thread this very moment */
    fdtable_set(fd, c->slot);
    if (before && before != c->slot && !slot_unref(before))
        slot_retire(before);
    streams_std_sync(fd);
}

void conn_fail(int fd, struct slot *s, int error, const char *why) {
    char name[SLOT_NAME_MAX], whom[SLOT_WHOM_MAX];
    if (atomic_load(&s->state) == SLOT_DEAD) /* somebody else was faster; the program hears of the first */
        return;
    bool named = s->peer_name[0] && strstr(why, s->peer_name);
    log_warn("%s: %s; connection%s refused by rule %s", slot_name(s, name), why,
             named ? "" : slot_whom(s, whom), s->rule);
    s->error = error;
    s->error_told = false;
    slot_set_state(s, SLOT_DEAD);
    if (!slot_orphaned(s)) /* else the number may mean something else by now */
        wire_shutdown(fd, SHUT_RDWR);
}

bool stream_total(const struct iovec *iov, int count, size_t *total) {
    *total = 0;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > SSIZE_MAX) {
            errno = EINVAL;
            return false;
        }
        *total += iov[i].iov_len;
        if (*total > INT_MAX) /* the kernel moves no more in one call either */
            *total = INT_MAX;
    }
    return true;
}

ssize_t conn_dead_read(struct slot *s) {
    if (s->error_told && !s->server && !s->shaker) { /* never was connected */
        errno = ENOTCONN;
        return -1;
    }
    if (s->error_told)
        return 0;
    s->error_told = true;
    errno = s->error;
    return -1;
}

ssize_t conn_dead_write(struct slot *s, int flags) {
    if (!s->error_told) {
        s->error_told = true;
        errno = s->error;
        return -1;
    }
    if (!(flags & MSG_NOSIGNAL))
        raise(SIGPIPE);
    errno = EPIPE;
    return -1;
}
