/* forks.c - a forked child holds every managed connection of its parent. Its references are counted before
 * the fork, so that a parent that closes at once is never mistaken for the last holder; what other threads
 * opened and closed in between is set right in the child. No lock of ours is held by a thread that the child
 * lacks. */
#include "forks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conn.h"
#include "core.h"
#include "driver.h"
#include "embryo.h"
#include "fallback.h"
#include "fdtable.h"
#include "filter.h"
#include "names.h"
#include "real.h"
#include "streams.h"
#include "wire.h"

/* One counted descriptor. The list belongs to the thread that forks, in the child as well. */
struct share {
    struct slot *slot;
    uint64_t entry, cookie; /* which socket it was */
    int fd;
};
static __thread struct share *shares;
static __thread size_t count, room;
static pthread_key_t at_end; /* of the thread */

static void free_shares(void *list) {
    free(list);
    shares = NULL;
    count = room = 0;
}

static bool note(const struct share *share) {
    if (count == room) {
        size_t more = room ? room * 2 : 64;
        struct share *bigger = realloc(shares, more * sizeof *shares);
        if (!bigger)
            return false;
        shares = bigger;
        room = more;
        pthread_setspecific(at_end, shares);
    }
    shares[count++] = *share;
    return true;
}

static void take_back(struct slot *s) {
    atomic_fetch_sub(&s->forking, 1);
    if (!slot_unref(s))
        slot_retire(s);
}

/* Another thread may be closing it: a reference counts only when the entry is still there after it was taken.
 */
static void expect_child(int fd) {
    struct share share = {fdtable_slot(fd), fdtable_entry(fd), 0, fd};
    if (!share.slot || !slot_ref_used(share.slot))
        return;
    share.cookie = share.slot->cookie;
    atomic_fetch_add(&share.slot->forking, 1);
    if (fdtable_entry(fd) != share.entry || !note(&share))
        take_back(share.slot);
}

void forks_prepare(void) {
    embryo_share();
    if (!core_loaded && fdtable_next(0) >= 0)
        core_engine(); /* one process may shake hands for the other, which then needs the engine too */
    driver_fork_prepare();
    count = 0;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1))
        expect_child(fd);
    conn_fork_prepare();
    fallback_fork_prepare();
    names_fork_prepare();
    filter_fork_prepare();
    fdtable_fork_prepare();
    slot_fork_prepare();
}

static void unlock_all(void) {
    slot_fork_done();
    fdtable_fork_done();
    filter_fork_done();
    names_fork_done();
    fallback_fork_done();
    conn_fork_done();
}

void forks_parent(void) {
    unlock_all();
    driver_fork_parent();
}

/* The kernel copies descriptors before it copies memory: where another thread closed one in between, the
 * child has a socket that nothing speaks for any more. */
static void gone(const struct share *share) {
    bool turned_plain = atomic_load(&share->slot->state) == SLOT_PLAIN;
    if (!turned_plain && share->cookie && conn_cookie(share->fd) == share->cookie)
        real.close(share->fd);
    take_back(share->slot);
}

/* The entry was made after the count. Does the child have its socket too? */
static bool has_socket(int fd, const struct slot *s) {
    return !s->cookie || confine_lost(CONFINE_GETSOCKOPT) || conn_cookie(fd) == s->cookie;
}

/* Another thread was closing it. */
static void end_close(int fd) {
    real.close(fd);
    fdtable_unseal(fd);
}

/* What was counted and is gone, and what came after the count. Both lists go up with the descriptor. */
static void sign_in(void) {
    size_t i = 0;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        uint64_t entry = fdtable_entry(fd);
        struct slot *s = fdtable_slot(fd);
        for (; i < count && shares[i].fd < fd; i++)
            gone(&shares[i]);
        bool counted = i < count && shares[i].fd == fd;
        if (counted && shares[i].entry == entry) {
            if (s) /* else it has turned plaintext, and the entry took its reference along */
                slot_hold(s);
            atomic_fetch_sub(&shares[i].slot->forking, 1);
        } else {
            if (counted)
                gone(&shares[i]);
            if (s && has_socket(fd, s) && slot_ref_used(s))
                slot_hold(s);
            else
                (void)!fdtable_take(fd);
        }
        if (fdtable_sealed(fd))
            end_close(fd);
        i += counted;
    }
    for (; i < count; i++)
        gone(&shares[i]);
    count = 0;
}

void forks_child(void) {
    unlock_all();
    driver_fork_child();
    fdtable_forked();
    sign_in();
    conn_forked();
    streams_forked();
}

void forks_failed(void) {
    for (size_t i = 0; i < count; i++)
        take_back(shares[i].slot);
    count = 0;
}

static void register_handlers(void) {
    pthread_key_create(&at_end, free_shares);
    pthread_atfork(forks_prepare, forks_parent, forks_child);
}

void forks_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_handlers);
}
