/* record_cache.c - per-thread, set-associative cache of expanded key schedules, found by key_id.
 *
 * Holds nothing that cannot be rebuilt from struct record_keys. No locks: a cache belongs to its thread,
 * and after fork the child's copy is as good as the parent's. Grows on conflict up to SETS_MAX, so the
 * memory follows the keys a thread really uses (about 1.2 KB each), and not the connections. */
#include "record_cache.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { WAYS = 4, SETS_MIN = 2, SETS_MAX = 256 }; /* the sets: powers of two */

struct record_cache {
    volatile sig_atomic_t busy; /* an entry is in use further up this thread's stack */
    size_t sets;
    struct record_cache_entry *entries; /* WAYS of each set */
    size_t turn;                        /* which way makes room next */
};

/* Under which each thread has its own: several times faster than a variable of the thread in an object that
 * is loaded late. Immutable once has_key says so. */
static pthread_key_t key;
static _Atomic bool has_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct record_cache *mine(void) {
    return atomic_load_explicit(&has_key, memory_order_acquire) ? pthread_getspecific(key) : NULL;
}

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

/* A later destructor of this thread that still writes starts a new one. */
static void cache_free(void *arg) {
    struct record_cache *c = arg;
    for (size_t i = 0; i < c->sets * WAYS; i++)
        entry_clear(&c->entries[i]);
    free(c->entries);
    free(c);
}

static void key_create(void) {
    atomic_store(&has_key, pthread_key_create(&key, cache_free) == 0);
}

static struct record_cache *cache_new(void) {
    (void)pthread_once(&once, key_create);
    struct record_cache *c = calloc(1, sizeof *c);
    struct record_cache_entry *entries = calloc(SETS_MIN * WAYS, sizeof *entries);
    /* Without a key nobody would free it: better no cache than a leak per thread. */
    if (!c || !entries || !atomic_load(&has_key) || pthread_setspecific(key, c) != 0) {
        free(entries);
        free(c);
        return NULL;
    }
    c->sets = SETS_MIN;
    c->entries = entries;
    return c;
}

static struct record_cache_entry *set_of(const struct record_cache *c, uint64_t key_id) {
    return &c->entries[(key_id & (c->sets - 1)) * WAYS];
}

/* The entry of this key, or of none with 0; NULL: not in its set. */
static struct record_cache_entry *find(const struct record_cache *c, uint64_t key_id, uint64_t wanted) {
    struct record_cache_entry *set = set_of(c, key_id);
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].key_id == wanted)
            return &set[i];
    return NULL;
}

/* Twice the sets. One more bit of the id decides, so what shared a set fits into two. */
static int cache_grow(struct record_cache *c) {
    struct record_cache bigger = {.sets = c->sets * 2};
    bigger.entries = calloc(bigger.sets * WAYS, sizeof *bigger.entries);
    if (!bigger.entries)
        return RECORD_INTERNAL;
    for (size_t i = 0; i < c->sets * WAYS; i++)
        if (c->entries[i].key_id)
            *find(&bigger, c->entries[i].key_id, 0) = c->entries[i];
    free(c->entries);
    c->entries = bigger.entries;
    c->sets = bigger.sets;
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
    return e;
}

static struct record_cache_entry *miss(struct record_cache *c, const struct record_keys *k) {
    struct record_cache_entry *e = find(c, k->key_id, 0);
    while (!e && c->sets < SETS_MAX && cache_grow(c) == 0)
        e = find(c, k->key_id, 0);
    if (!e)
        e = set_of(c, k->key_id) + c->turn++ % WAYS;
    if (entry_fill(e, k)) {
        c->busy = 0;
        return NULL;
    }
    e->home = c;
    return e;
}

struct record_cache_entry *record_cache_acquire(const struct record_keys *k) {
    struct record_cache *c = mine();
    if (!c && !(c = cache_new()))
        return single_use(k);
    if (c->busy || !k->key_id)
        return single_use(k);
    c->busy = 1;
    struct record_cache_entry *e = find(c, k->key_id, k->key_id);
    return e ? e : miss(c, k);
}

void record_cache_release(struct record_cache_entry *e) {
    if (e->home) {
        e->home->busy = 0;
        return;
    }
    entry_clear(e);
    free(e);
}

void record_cache_forget(uint64_t key_id) {
    struct record_cache *c = mine();
    if (!c || c->busy || !key_id)
        return;
    struct record_cache_entry *e = find(c, key_id, key_id);
    if (e)
        entry_clear(e);
}
