/* record_cache.c - per-thread, direct-mapped cache of expanded key schedules, found by key_id.
 *
 * Holds nothing that cannot be rebuilt from struct record_keys. No locks: a cache belongs to its thread,
 * and after fork the child's copy is as good as the parent's. Grows on conflict up to SLOTS_MAX, so the
 * memory follows the keys a thread really uses (about 1.2 KB each), and not the connections. */
#include "record_cache.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { SLOTS_MIN = 8, SLOTS_MAX = 256 }; /* powers of two */

struct cache {
    volatile sig_atomic_t busy; /* an entry is in use further up this thread's stack */
    size_t slots;
    struct record_cache_entry *entries;
};

static _Thread_local struct cache *mine;
/* Immutable once `once` has run, hence no lock. */
static pthread_key_t at_thread_exit;
static bool has_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void entry_clear(struct record_cache_entry *e) {
    if (e->schedule)
        e->aead->schedule_free(e->schedule);
    *e = (struct record_cache_entry){0};
}

/* Into an empty entry, or in place of another key. On failure the entry is empty. */
static int entry_fill(struct record_cache_entry *e, const struct record_keys *k) {
    const struct aead *aead = aead_for(k->cipher);
    if (e->schedule && (e->aead != aead || aead->schedule_rekey(e->schedule, k->cipher, k->key)))
        entry_clear(e);
    if (!e->schedule)
        e->schedule = aead->schedule_new(k->cipher, k->key);
    if (!e->schedule) {
        entry_clear(e);
        return RECORD_INTERNAL;
    }
    e->aead = aead;
    e->key_id = k->key_id;
    return 0;
}

static void cache_free(void *arg) {
    struct cache *c = arg;
    mine = NULL; /* a later destructor of this thread that still writes starts a new one */
    for (size_t i = 0; i < c->slots; i++)
        entry_clear(&c->entries[i]);
    free(c->entries);
    free(c);
}

static void key_create(void) {
    has_key = pthread_key_create(&at_thread_exit, cache_free) == 0;
}

static struct cache *cache_new(void) {
    (void)pthread_once(&once, key_create);
    struct cache *c = calloc(1, sizeof *c);
    struct record_cache_entry *entries = calloc(SLOTS_MIN, sizeof *entries);
    /* Without a key nobody would free it: better no cache than a leak per thread. */
    if (!c || !entries || !has_key || pthread_setspecific(at_thread_exit, c) != 0) {
        free(entries);
        free(c);
        return NULL;
    }
    c->slots = SLOTS_MIN;
    c->entries = entries;
    return mine = c;
}

static struct record_cache_entry *slot_of(const struct cache *c, uint64_t key_id) {
    return &c->entries[key_id & (c->slots - 1)];
}

/* Twice the slots. One more bit of the id decides, so no two entries can meet in a slot. */
static int cache_grow(struct cache *c) {
    struct cache bigger = {.slots = c->slots * 2};
    bigger.entries = calloc(bigger.slots, sizeof *bigger.entries);
    if (!bigger.entries)
        return RECORD_INTERNAL;
    for (size_t i = 0; i < c->slots; i++)
        if (c->entries[i].key_id)
            *slot_of(&bigger, c->entries[i].key_id) = c->entries[i];
    free(c->entries);
    c->entries = bigger.entries;
    c->slots = bigger.slots;
    return 0;
}

/* A copy that is used once: for a thread without a cache, and for a signal handler that interrupted
 * its own thread between acquire and release. */
static struct record_cache_entry *single_use(const struct record_keys *k) {
    struct record_cache_entry *e = calloc(1, sizeof *e);
    if (e && entry_fill(e, k)) {
        free(e);
        return NULL;
    }
    if (e)
        e->key_id = 0; /* tells release that it is not in a table */
    return e;
}

static struct record_cache_entry *miss(struct cache *c, const struct record_keys *k) {
    struct record_cache_entry *e = slot_of(c, k->key_id);
    while (e->key_id && c->slots < SLOTS_MAX && cache_grow(c) == 0)
        e = slot_of(c, k->key_id);
    if (entry_fill(e, k)) {
        c->busy = 0;
        return NULL;
    }
    return e;
}

struct record_cache_entry *record_cache_acquire(const struct record_keys *k) {
    struct cache *c = mine;
    if (!c && !(c = cache_new()))
        return single_use(k);
    if (c->busy || !k->key_id)
        return single_use(k);
    c->busy = 1;
    struct record_cache_entry *e = slot_of(c, k->key_id);
    return e->key_id == k->key_id ? e : miss(c, k);
}

void record_cache_release(struct record_cache_entry *e) {
    if (e->key_id) {
        mine->busy = 0;
        return;
    }
    entry_clear(e);
    free(e);
}

void record_cache_forget(uint64_t key_id) {
    struct cache *c = mine;
    if (!c || c->busy || !key_id)
        return;
    struct record_cache_entry *e = slot_of(c, key_id);
    if (e->key_id == key_id)
        entry_clear(e);
}
