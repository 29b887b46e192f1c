/* test_record_cache.c - many keys, many threads, fork, thread exit, re-entry: always the right key. */
#include "test_record.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../preload/engine/record_cache.h"

enum { KEYS = 1000, ROUNDS = 3 };

/* Far more keys than slots, in an order that hits, misses and evicts. 0 when each record came through. */
static int use_many(unsigned seed) {
    struct record_keys *tx = malloc(KEYS * sizeof *tx), *rx = malloc(KEYS * sizeof *rx);
    int bad = !tx || !rx;
    for (unsigned i = 0; i < KEYS && !bad; i++) {
        tx[i] = rx[i] = test_keys(test_suites[i % TEST_SUITES], seed * KEYS + i + 1);
        rx[i].key_id = ~tx[i].key_id;
    }
    for (unsigned i = 0; i < KEYS * ROUNDS && !bad; i++) {
        unsigned which = i % 7 ? i % KEYS : i % 5;
        uint8_t rec[64], out[8], type;
        long len = test_seal(&tx[which], RECORD_DATA, (const uint8_t *)&i, sizeof i, rec);
        bad = record_engine_user.open(&rx[which], rec, (size_t)len, out, 8, &type) != (long)sizeof i ||
              memcmp(out, &i, sizeof i) != 0;
        if (i % 11 == 0)
            record_cache_forget(tx[which].key_id);
    }
    free(tx);
    free(rx);
    return bad;
}

static void *in_thread(void *arg) {
    int *bad = arg;
    *bad = use_many((unsigned)*bad);
    return NULL;
}

static void threads(void) {
    enum { THREADS = 4 };
    pthread_t id[THREADS];
    int bad[THREADS];
    for (int i = 0; i < THREADS; i++) {
        bad[i] = i + 1;
        cr_assert_eq(pthread_create(&id[i], NULL, in_thread, &bad[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(id[i], NULL), 0);
        cr_assert_eq(bad[i], 0);
    }
}

Test(record_cache, many_keys_in_many_threads_evp) {
    test_backend("evp");
    threads();
}

Test(record_cache, many_keys_in_many_threads_ipsecmb) {
    test_backend("ipsecmb");
    threads();
}

Test(record_cache, entry_is_kept_until_forgotten) {
    struct record_keys k = test_keys(test_suites[0], 1);
    struct record_cache_entry *e = record_cache_acquire(&k);
    cr_assert_not_null(e);
    void *schedule = e->schedule;
    record_cache_release(e);
    e = record_cache_acquire(&k);
    cr_assert_eq(e->schedule, schedule, "a hit must not expand the key again");
    record_cache_release(e);
    record_cache_forget(k.key_id + 8); /* another key of the same slot */
    cr_assert_eq(e->key_id, k.key_id);
    record_cache_forget(k.key_id);
    cr_assert_eq(e->key_id, 0);
    cr_assert_null(e->schedule);
    record_cache_forget(k.key_id);
    record_cache_forget(0);
}

static void *schedule_of(const struct record_keys *k) {
    struct record_cache_entry *e = record_cache_acquire(k);
    cr_assert_not_null(e);
    cr_assert_eq(e->key_id, k->key_id);
    void *schedule = e->schedule;
    record_cache_release(e);
    return schedule;
}

Test(record_cache, keys_that_share_every_bit_replace_each_other) {
    struct record_keys k = test_keys(test_suites[0], 1);
    uint64_t first = k.key_id;
    for (int round = 0; round < 3; round++)
        for (uint64_t i = 0; i < 20; i++) {
            k.key_id = first + (i << 40); /* equal in every bit that a set is found by */
            schedule_of(&k);
        }
}

/* What a server with some 100 connections has. Their ids are random, so some agree in many bits. */
Test(record_cache, keys_of_many_connections_stay_expanded) {
    enum { MANY = 200 };
    struct record_keys k = test_keys(test_suites[0], 1);
    void *schedules[MANY];
    for (int round = 0; round < 2; round++) {
        uint64_t id = 88172645463325252u; /* xorshift */
        for (int i = 0; i < MANY; i++) {
            id ^= id << 13;
            id ^= id >> 7;
            id ^= id << 17;
            k.key_id = id;
            if (!round)
                schedules[i] = schedule_of(&k);
            else
                cr_assert_eq(schedule_of(&k), schedules[i], "key %d was expanded anew", i);
        }
    }
}

/* What a signal handler does that interrupts a seal: it must neither see nor evict the entry in use. */
Test(record_cache, reentry_gets_its_own_copy) {
    struct record_keys a = test_keys(test_suites[0], 1), b = test_keys(test_suites[0], 2);
    b.key_id = a.key_id + (UINT64_C(1) << 40);
    struct record_cache_entry *outer = record_cache_acquire(&a);
    struct record_cache_entry *same = record_cache_acquire(&a), *other = record_cache_acquire(&b);
    cr_assert(outer && same && other);
    cr_assert_neq(same->schedule, outer->schedule);
    cr_assert_eq(outer->key_id, a.key_id);
    record_cache_release(other);
    record_cache_release(same);
    cr_assert_eq(outer->key_id, a.key_id);
    record_cache_forget(a.key_id); /* in use: stays */
    cr_assert_eq(outer->key_id, a.key_id);
    record_cache_release(outer);
    outer = record_cache_acquire(&a);
    cr_assert_eq(outer->key_id, a.key_id);
    record_cache_release(outer);
}

Test(record_cache, child_uses_what_the_parent_expanded) {
    struct record_keys k = test_keys(test_suites[0], 3), rx = k;
    uint8_t rec[64], out[8], type = 0;
    cr_assert_gt(test_seal(&k, RECORD_DATA, (const uint8_t *)"a", 1, rec), 0);
    rx.seq = k.seq;
    int fds[2], status;
    cr_assert_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        long len = test_seal(&k, RECORD_DATA, (const uint8_t *)"child", 5, rec);
        _exit(len != 27 || use_many(9) || write(fds[1], rec, 27) != 27);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(read(fds[0], rec, 27), 27);
    cr_assert_eq(record_engine_user.open(&rx, rec, 27, out, 8, &type), 5);
    cr_assert_arr_eq(out, "child", 5);
    close(fds[0]);
    close(fds[1]);
}

/* A destructor of the program's own that still talks after ours has run: works, and leaks nothing (ASan). */
static pthread_key_t late;
static int late_result = -1;

static void late_destructor(void *arg) {
    (void)arg;
    late_result = use_many(5);
}

static void *with_late_use(void *arg) {
    cr_assert_eq(use_many(4), 0);
    cr_assert_eq(pthread_setspecific(late, arg), 0);
    return NULL;
}

Test(record_cache, works_in_destructors_of_a_thread) {
    pthread_t id;
    static int value;
    struct record_keys k = test_keys(test_suites[0], 6);
    cr_assert_gt(test_seal(&k, RECORD_DATA, (const uint8_t *)"a", 1, (uint8_t[64]){0}),
                 0); /* our key is first */
    cr_assert_eq(pthread_key_create(&late, late_destructor), 0);
    cr_assert_eq(pthread_create(&id, NULL, with_late_use, &value), 0);
    cr_assert_eq(pthread_join(id, NULL), 0);
    cr_assert_eq(late_result, 0);
}
