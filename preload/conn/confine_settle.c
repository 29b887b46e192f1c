/* confine_settle.c - the last things before a program confines itself. Waits for peers, within bounds; takes
 * nothing away and remembers nothing. */
#include "confine_settle.h"

#include <errno.h>

#include "conn.h"
#include "core.h"
#include "driver.h"
#include "fallback.h"
#include "fdtable.h"
#include "log.h"
#include "options.h"
#include "receiver.h"
#include "wire.h"

enum {
    /* Calls without which a handshake, a tail or a thread of ours cannot go on as before. */
    SHAKING_NEEDS = CONFINE_RECV | CONFINE_SEND | CONFINE_SETSOCKOPT | CONFINE_GETSOCKOPT | CONFINE_NAMES |
                    CONFINE_POLL | CONFINE_MEMORY | CONFINE_FUTEX | CONFINE_PID | CONFINE_KILL |
                    CONFINE_FILES | CONFINE_STAT | CONFINE_RANDOM | CONFINE_THREAD,
    NAP_MS = 1,
};

static uint64_t longest_wait(void) {
    uint64_t longest = 0;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        struct conn *c = s ? conn_of(s) : NULL;
        if (c && c->mesh->handshake_timeout_ms > longest)
            longest = c->mesh->handshake_timeout_ms;
    }
    return longest;
}

/* PERMISSIVE: a client that has said nothing for this long may have nothing to say. */
static bool undecided(const struct slot *s, const struct conn *c) {
    return s->server && s->permissive && !c->sniffed && !c->going_plain && !s->carry && !c->shake;
}

static bool unsettled(struct slot *s, const struct conn *c) {
    switch (atomic_load(&s->state)) {
    case SLOT_SHAKING:
        return !c || !undecided(s, c) || conn_now() < c->born_ms + c->mesh->permissive_wait_ms;
    case SLOT_OPEN:
        return s->early_left || (s->tail && !s->tail_rides);
    default:
        return false;
    }
}

/* Has everything moved on by somebody; true when something is still to be done. */
static bool push(void) {
    bool more = false;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        struct conn *c = s ? conn_pin(s) : NULL;
        if (s && unsettled(s, c)) {
            more = true;
            if (c)
                driver_attend(c, 0);
        }
        conn_unpin(c);
    }
    driver_step();
    return more;
}

/* A client whose first bytes we shall not be able to look at without taking them. */
static void decide(int fd, struct slot *s) {
    struct conn *c = conn_pin(s);
    if (c && slot_lock(&s->tx_lock)) {
        if (atomic_load(&s->state) == SLOT_SHAKING && undecided(s, c))
            fallback_plain(fd, s, c,
                           "the client is silent, and the program's seccomp filter forbids to wait for it");
        slot_unlock(&s->tx_lock);
    }
    conn_unpin(c);
}

/* The kernel's mark must not stay where nobody can take it away again. */
static void lower_mark(int fd, struct slot *s) {
    if (slot_lock_rx(s, false)) {
        options_lowat_exactly(fd, s, s->user_lowat > 1 ? s->user_lowat : 1);
        slot_unlock(&s->rx_lock);
        slot_reap(s);
    }
}

static void settle_each(unsigned lost) {
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        if (s && (lost & CONFINE_RECV) && (lost & CONFINE_RECVMSG))
            decide(fd, s);
        s = s ? fdtable_slot(fd) : NULL;
        if (s && (lost & CONFINE_SETSOCKOPT))
            lower_mark(fd, s);
    }
}

static void settle_connections(unsigned lost) {
    uint64_t end = conn_now() + longest_wait();
    driver_rest(true);
    while (push() && conn_now() < end)
        wire_poll(NULL, 0, NAP_MS);
    driver_rest(false);
    settle_each(lost);
}

void confine_settle(unsigned lost, unsigned deadly) {
    int saved = errno;
    if (lost & CONFINE_CLOCK)
        conn_now_settle();
    bool managed = atomic_load(&fdtable_size) && fdtable_mine() && fdtable_next(0) >= 0;
    bool later = core.active && !(lost & CONFINE_CONNECT) && (lost & (CONFINE_FILES | CONFINE_STAT));
    if (managed || core_loaded || later) {
        core_settle();
        (void)conn_scratch();
        log_settle();
        receiver_settle();
    }
    if (core_loaded && (deadly & (CONFINE_FILES | CONFINE_STAT)))
        core_loaded->freeze();
    if (managed && (lost & SHAKING_NEEDS))
        settle_connections(lost);
    errno = saved;
}
