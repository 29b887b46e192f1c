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

/* NULL when there is no memory. */
const struct policy_interned *policy_intern(const struct policy *p, const char *host, uint16_t port) {
    uint32_t hash = policy_hash(port, host, strlen(host));
    /* The table is const to everyone else; the intern buckets are atomics made for sharing. */
    policy_intern_bucket *bucket = (policy_intern_bucket *)&p->interned[hash % INTERN_BUCKETS];
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
    for (size_t i = 0; i < INTERN_BUCKETS; i++) {
        struct policy_interned *e = atomic_load(&p->interned[i]);
        while (e) {
            struct policy_interned *next = e->next;
            free(e);
            e = next;
        }
    }
}
