/* record_cache.h - expanded key schedules, private to the record engine and to each thread. */
#ifndef MTLSWRAP_RECORD_CACHE_H
#define MTLSWRAP_RECORD_CACHE_H

#include "aead.h"
#include "record.h"

struct record_cache;
struct record_cache_entry {
    uint64_t key_id;           /* 0: empty */
    struct record_cache *home; /* NULL: a copy that is used once */
    const struct aead *aead;
    void *schedule;
};

/* The schedule of k, made if it is not there. NULL: out of memory. Must be given back before the calling
 * thread asks for another; a signal handler that asks in between gets a copy of its own. */
__attribute__((warn_unused_result)) struct record_cache_entry *
record_cache_acquire(const struct record_keys *k);
void record_cache_release(struct record_cache_entry *e);

#endif
