/* policy_index.c - one hash table over everything that decisions look up.
 *
 * Built once, after the names are complete; then read only. Entries of equal key stand in the order
 * of the file, because sections are entered from the last to the first.
 */
#include "policy_table.h"

#include <string.h>

uint32_t policy_hash(uint32_t seed, const void *data, size_t len) {
    const uint8_t *s = data;
    uint32_t h = 2166136261u ^ (seed * 0x9E3779B1u); /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ s[i]) * 16777619u;
    return h ^ (h >> 15);
}

static uint32_t hash_of(enum index_tag tag, const char *ns, const void *data, size_t len) {
    uint32_t h = policy_hash((uint32_t)tag, data, len);
    return *ns ? policy_hash(h, ns, strlen(ns)) : h;
}

static bool same(const struct index_entry *e, uint32_t hash, enum index_tag tag, const char *ns,
                 const void *data, size_t len) {
    return e->hash == hash && e->tag == tag && e->len == len && memcmp(e->data, data, len) == 0 &&
           strcmp(e->ns, ns) == 0;
}

const struct index_entry *policy_index_find(const struct policy *p, enum index_tag tag, const char *ns,
                                            const void *data, size_t len) {
    if (!p->index.buckets)
        return NULL;
    uint32_t hash = hash_of(tag, ns, data, len);
    const struct index_entry *e = p->index.buckets[hash & p->index.mask];
    while (e && !same(e, hash, tag, ns, data, len))
        e = e->next;
    return e;
}

const struct index_entry *policy_index_next(const struct index_entry *e) {
    const struct index_entry *n = e->next;
    while (n && !same(n, e->hash, e->tag, e->ns, e->data, e->len))
        n = n->next;
    return n;
}

void *policy_index_get(const struct policy *p, enum index_tag tag, const char *ns, const char *name) {
    const struct index_entry *e = policy_index_find(p, tag, ns, name, strlen(name));
    return e ? e->value : NULL;
}

static void put(struct policy *p, enum index_tag tag, const char *ns, const char *data, size_t len,
                void *value) {
    struct index_entry *e = policy_pool_alloc(&p->pool, sizeof *e);
    if (!e || !p->index.buckets)
        return;
    uint32_t hash = hash_of(tag, ns, data, len);
    struct index_entry **bucket = &p->index.buckets[hash & p->index.mask];
    *e = (struct index_entry){*bucket, hash, (uint32_t)len, tag, ns, data, value};
    *bucket = e;
}

static void put_name(struct policy *p, enum index_tag tag, const char *ns, const char *name, void *value) {
    put(p, tag, ns, name, strlen(name), value);
}

size_t policy_index_address_key(const struct policy_address *a, uint16_t port, uint8_t out[19]) {
    memcpy(out, a->byte, 16);
    out[16] = (uint8_t)(port >> 8);
    out[17] = (uint8_t)port;
    out[18] = a->bits;
    return 19;
}

static void put_address(struct policy *p, enum index_tag tag, const char *ns, const struct policy_address *a,
                        uint16_t port, void *value) {
    uint8_t key[19];
    size_t len = policy_index_address_key(a, port, key);
    const char *data = policy_pool_copy(&p->pool, (const char *)key, len);
    if (data)
        put(p, tag, ns, data, len, value);
}

/* Names of kinds share one tag; the kind stands in front. */
static struct policy_object *find_object(const struct policy *p, enum policy_kind kind, const char *ns,
                                         const char *name) {
    for (const struct index_entry *e = policy_index_find(p, INDEX_OBJECT, ns, name, strlen(name)); e;
         e = policy_index_next(e)) {
        struct policy_object *o = e->value;
        if (o->kind == kind)
            return o;
    }
    return NULL;
}

struct policy_service *policy_index_service(const struct policy *p, const char *ns, const char *name) {
    return (struct policy_service *)find_object(p, KIND_SERVICE, ns, name);
}

struct policy_workload *policy_index_workload(const struct policy *p, const char *ns, const char *name) {
    return (struct policy_workload *)find_object(p, KIND_WORKLOAD, ns, name);
}

static void index_service(struct policy *p, struct policy_service *s) {
    put_name(p, INDEX_HOST_NAME, "", s->fqdn, s);
    for (size_t i = 0; i < s->hosts.count; i++)
        put_name(p, INDEX_HOST_NAME, "", s->hosts.items[i], s);
    for (size_t i = 0; i < s->address_count; i++) {
        put_address(p, INDEX_ADDRESS, "", &s->addresses[i], 0, s);
        for (size_t j = 0; j < s->port_count; j++) {
            put_address(p, INDEX_DIAL, "", &s->addresses[i], s->ports[j].port, s);
            put_address(p, INDEX_LISTEN, "", &s->addresses[i], s->ports[j].target, s);
        }
        if (s->port_count == 0) {
            put_address(p, INDEX_DIAL, "", &s->addresses[i], 0, s);
            put_address(p, INDEX_LISTEN, "", &s->addresses[i], 0, s);
        }
    }
}

static void index_accept(struct policy *p, struct policy_accept *a) {
    bool peer = a->o.kind == KIND_PEER_AUTHENTICATION;
    if (a->ignored)
        return;
    if (a->o.kind == KIND_MESH_POLICY ||
        (peer && !a->o.labels && strcmp(a->o.ns, p->mesh.root_namespace) == 0)) {
        if (peer)
            p->mesh_peer = a; /* from the last to the first, so that the first in the file stays */
        else
            p->mesh_policy = a;
    } else if (peer && a->o.labels) {
        const char *label = policy_pool_join(
            &p->pool, (const char *const[]){a->o.labels->key, "=", a->o.labels->value, NULL});
        if (label)
            put_name(p, INDEX_PEER_LABEL, a->o.ns, label, a);
    } else if (peer || !a->targets.count) {
        put_name(p, peer ? INDEX_PEER_NAMESPACE : INDEX_POLICY_NAMESPACE, "", a->o.ns, a);
    } else {
        for (size_t i = 0; i < a->targets.count; i++)
            put_name(p, INDEX_POLICY_TARGET, a->o.ns, a->targets.items[i], a);
    }
}

static void index_dest(struct policy *p, struct policy_dest *d) {
    if (!d->host)
        return;
    size_t len = strlen(d->host);
    if (d->form == HOST_NAME) {
        put_name(p, INDEX_DEST_NAME, d->o.ns, d->host, d);
    } else if (d->form == HOST_WILDCARD) {
        put(p, INDEX_DEST_WILDCARD, d->o.ns, d->host + 1, len - 1, d);
        p->wildcard_lengths[(len - 1) / 64] |= UINT64_C(1) << ((len - 1) % 64);
    } else {
        put_address(p, INDEX_DEST_ADDRESS, d->o.ns, &d->address, 0, d);
        p->prefix_lengths[d->address.bits / 64] |= UINT64_C(1) << (d->address.bits % 64);
    }
}

static void index_object(struct policy *p, struct policy_object *o) {
    put_name(p, INDEX_OBJECT, o->ns, o->name, o);
    if (o->kind == KIND_SERVICE) {
        index_service(p, (struct policy_service *)o);
    } else if (o->kind == KIND_WORKLOAD) {
        const struct policy_workload *w = (const struct policy_workload *)o;
        for (size_t i = 0; i < w->address_count; i++)
            put_address(p, INDEX_WORKLOAD_ADDRESS, "", &w->addresses[i], 0, o);
    } else if (o->kind == KIND_DESTINATION_RULE) {
        index_dest(p, (struct policy_dest *)o);
    } else {
        index_accept(p, (struct policy_accept *)o);
    }
}

void policy_index_build(struct policy *p) {
    uint32_t size = 16;
    while (size < p->lines && size < 1u << 24)
        size *= 2;
    p->index.buckets = policy_pool_alloc(&p->pool, size * sizeof(struct index_entry *));
    p->index.mask = size - 1;
    for (int kind = KIND_MESH_POLICY; kind < KIND_COUNT; kind++) {
        struct policy_object **all =
            policy_pool_alloc(&p->pool, p->count[kind] * sizeof(struct policy_object *));
        size_t n = 0;
        if (!all)
            return;
        for (struct policy_object *o = p->first[kind]; o; o = o->next)
            if (o->ns && o->name)
                all[n++] = o;
        while (n)
            index_object(p, all[--n]);
    }
}
