/* forks.c - a forked child holds every managed connection of its parent. Its references are counted before
 * the fork, so that a parent that closes at once is never mistaken for the last holder. */
#include "forks.h"

#include <pthread.h>
#include <stdatomic.h>

#include "conn.h"
#include "driver.h"
#include "fdtable.h"
#include "streams.h"

static void each(void (*what)(struct slot *s)) {
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        if (s)
            what(s);
    }
}

static void expect_child(struct slot *s) {
    atomic_fetch_add(&s->forking, 1);
    slot_ref(s);
}

static void forget_child(struct slot *s) {
    atomic_fetch_sub(&s->forking, 1);
    slot_unref(s);
}

static void sign_in(struct slot *s) {
    slot_hold(s);
    atomic_fetch_sub(&s->forking, 1);
}

void forks_prepare(void) {
    driver_fork_prepare();
    each(expect_child);
}

void forks_parent(void) {
    driver_fork_parent();
}

void forks_child(void) {
    driver_fork_child();
    fdtable_forked();
    each(sign_in);
    conn_forked();
    streams_forked();
}

void forks_failed(void) {
    each(forget_child);
}

static void register_handlers(void) {
    pthread_atfork(forks_prepare, forks_parent, forks_child);
}

void forks_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_handlers);
}
