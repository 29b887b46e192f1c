/* forks.c - a forked child holds every managed connection of its parent. Its references are counted before
 * the fork, so that a parent that closes at once is never mistaken for the last holder; what other threads
 * opened and closed in between is set right in the child. No lock of ours is held by a thread that the child
 * lacks. */
#include "forks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conn.h"
#include "driver.h"
#include "fallback.h"
#include "fdtable.h"
#include "filter.h"
#include "names.h"
#include "streams.h"

/* One counted descriptor. The list belongs to the thread that forks, in the child as well. */
struct share {
    struct slot *slot;
    uint64_t entry;
    int fd;
};
static __thread struct share *shares;
static __thread size_t count, room;

static bool note(const struct share *share) {
    if (count == room) {
        size_t more = room ? room * 2 : 64;
        struct share *bigger = realloc(shares, more * sizeof *shares);
        if (!bigger)
            return false;
        shares = bigger;
        room = more;
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
    struct share share = {fdtable_slot(fd), fdtable_entry(fd), fd};
    if (!share.slot || !slot_ref_used(share.slot))
        return;
    atomic_fetch_add(&share.slot->forking, 1);
    if (fdtable_entry(fd) != share.entry || !note(&share))
        take_back(share.slot);
}

void forks_prepare(void) {
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

/* What was counted and is gone, and what came after the count. Both lists go up with the descriptor. */
static void sign_in(void) {
    size_t i = 0;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        for (; i < count && shares[i].fd < fd; i++)
            take_back(shares[i].slot);
        bool counted = i < count && shares[i].fd == fd;
        if (counted && s && shares[i].entry == fdtable_entry(fd)) {
            slot_hold(s);
            atomic_fetch_sub(&s->forking, 1);
        } else {
            if (counted)
                take_back(shares[i].slot);
            if (s) {
                slot_ref(s);
                slot_hold(s);
            }
        }
        i += counted;
    }
    for (; i < count; i++)
        take_back(shares[i].slot);
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
    pthread_atfork(forks_prepare, forks_parent, forks_child);
}

void forks_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_handlers);
}
