/* policy_intern.c - strings of answers that the table's text does not hold: the host a program
 * resolved, the SNI made from host and port. They must live as long as the table.
 *
 * The only part of a table that grows after loading: entries are pushed by compare-and-swap, never
 * changed and never removed before policy_free, so that readers need no lock.
 */
#include "policy_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNI_MAX = 255 }; /* RFC 6066 3: a host name */

static const struct policy_interned *find(const struct policy_interned *e, const char *host, uint16_t port,
                                          uint32_t hash) {
    for (; e; e = e->next)
        if (e->hash == hash && e->port == port && strcmp(e->host, host) == 0)
            return e;
    return NULL;
}

static struct policy_interned *make(const char *host, uint16_t port, uint32_t hash) {
    size_t len = strlen(host) + 1;
    size_t room = len + sizeof "outbound_.65535_._." + len;
    struct policy_interned *e = malloc(sizeof *e + room);
    if (!e)
        return NULL;
    memcpy(e->host, host, len);
    int n = snprintf(e->host + len, room - len, "outbound_.%u_._.%s", port, host);
    e->sni = n > SNI_MAX ? NULL : e->host + len;
    e->names[0] = e->host;
    e->hash = hash;
    e->port = port;
    return e;
}

/* Made by the first answer, because most programs never ask. NULL when there is no memory. */
static policy_intern_bucket *buckets_of(const struct policy *p) {
    /* The table is const to everyone else; what belongs to this file is atomic and made for sharing. */
    policy_intern_bucket *_Atomic *place = (policy_intern_bucket * _Atomic *)&p->interned;
    policy_intern_bucket *known = atomic_load(place);
    if (known)
        return known;
    policy_intern_bucket *fresh = calloc(INTERN_BUCKETS, sizeof *fresh);
    if (atomic_compare_exchange_strong(place, &known, fresh))
        return fresh;
    free(fresh);
    return known;
}

/* NULL when there is no memory. */
const struct policy_interned *policy_intern(const struct policy *p, const char *host, uint16_t port) {
    uint32_t hash = policy_hash(port, host, strlen(host));
    policy_intern_bucket *all = buckets_of(p);
    if (!all)
        return NULL;
    policy_intern_bucket *bucket = &all[hash % INTERN_BUCKETS];
    struct policy_interned *head = atomic_load_explicit(bucket, memory_order_acquire), *fresh = NULL;
    for (;;) {
        const struct policy_interned *known = find(head, host, port, hash);
        if (known) {
            free(fresh);
            return known;
        }
        if (!fresh && !(fresh = make(host, port, hash)))
            return NULL;
        fresh->next = head;
        if (atomic_compare_exchange_weak_explicit(bucket, &head, fresh, memory_order_acq_rel,
                                                  memory_order_acquire))
            return fresh;
    }
}

void policy_intern_free(struct policy *p) {
    policy_intern_bucket *all = atomic_load(&p->interned);
    for (size_t i = 0; all && i < INTERN_BUCKETS; i++) {
        struct policy_interned *e = atomic_load(&all[i]);
        while (e) {
            struct policy_interned *next = e->next;
            free(e);
            e = next;
        }
    }
    free(all);
}
