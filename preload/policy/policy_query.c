/* policy_query.c - which DestinationRule speaks for a destination.
 *
 * Namespaces in order: the program's own, the service's, the root; the first with a hit ends the
 * search. Within one: exact name, exact address, longer wildcard before shorter, longer prefix before
 * shorter, "*" last.
 */
#include "policy_table.h"

#include <string.h>

enum { NAMES_MAX = 2 };

void policy_query_normalise(const char *name, char out[POLICY_NAME_MAX + 1]) {
    struct policy_address ignored;
    size_t len = name ? strlen(name) : 0;
    if (len && name[len - 1] == '.')
        len--;
    out[0] = '\0';
    if (len == 0 || len > POLICY_NAME_MAX)
        return;
    for (size_t i = 0; i < len; i++)
        out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    out[len] = '\0';
    if (policy_value_address(out, false, &ignored))
        out[0] = '\0';
}

static bool ends_with(const char *s, size_t len, const char *end) {
    size_t n = strlen(end);
    return len >= n && memcmp(s + len - n, end, n) == 0;
}

/* A name as a full one: "a" in the asking namespace, "a.b" where such a service is known, "a.b.svc". */
const struct policy_service *policy_query_complete(const struct policy *p, const char *ns, const char *raw,
                                                   char *out, size_t size) {
    const char *domain = p->mesh.cluster_domain, *dot = strchr(raw, '.');
    const struct policy_service *s = policy_index_get(p, INDEX_HOST_NAME, "", raw);
    bool two_labels = dot && !strchr(dot + 1, '.');
    out[0] = '\0';
    if (s || strlen(raw) + strlen(ns) + strlen(domain) + sizeof "..svc." > size)
        return s;
    if (!dot)
        stpcpy(stpcpy(stpcpy(stpcpy(stpcpy(out, raw), "."), ns), ".svc."), domain);
    else if (two_labels)
        stpcpy(stpcpy(stpcpy(out, raw), ".svc."), domain);
    else if (ends_with(raw, strlen(raw), ".svc"))
        stpcpy(stpcpy(stpcpy(out, raw), "."), domain);
    else
        return NULL;
    s = policy_index_get(p, INDEX_HOST_NAME, "", out);
    if (two_labels && !s)
        out[0] = '\0';
    return s;
}

static bool goes_by(const struct policy_service *s, const char *name) {
    return *name && (strcmp(s->fqdn, name) == 0 || policy_list_has(&s->hosts, name));
}

/* Several services may share an address and a port: the one whose name was asked for comes first. */
static const struct policy_service *pick(const struct index_entry *first, const struct policy_query *q) {
    for (const struct index_entry *e = first; e && (q->raw[0] || q->complete[0]); e = policy_index_next(e))
        if (goes_by(e->value, q->raw) || goes_by(e->value, q->complete))
            return e->value;
    return first ? first->value : NULL;
}

static bool has_port(const struct policy_service *s, uint16_t port) {
    for (size_t i = 0; i < s->port_count; i++)
        if (s->ports[i].port == port)
            return true;
    return s->port_count == 0;
}

static const struct policy_service *service_of_workload(const struct policy *p,
                                                        const struct policy_workload *w, uint16_t port) {
    const struct policy_service *first = NULL;
    for (size_t i = 0; i < w->services.count; i++) {
        const struct policy_service *s = policy_index_service(p, w->o.ns, w->services.items[i]);
        if (s && has_port(s, port))
            return s;
        if (!first)
            first = s;
    }
    return first;
}

const struct policy_service *policy_query_service(const struct policy *p, const struct policy_query *q) {
    uint8_t key[19];
    size_t len = policy_index_address_key(&q->address, q->port, key);
    const struct index_entry *e = policy_index_find(p, INDEX_DIAL, "", key, len);
    if (e)
        return pick(e, q);
    policy_index_address_key(&q->address, 0, key);
    if ((e = policy_index_find(p, INDEX_DIAL, "", key, len)))
        return pick(e, q);
    if ((e = policy_index_find(p, INDEX_ADDRESS, "", key, len)) && !policy_index_next(e))
        return e->value;
    e = policy_index_find(p, INDEX_WORKLOAD_ADDRESS, "", key, len);
    return e ? service_of_workload(p, e->value, q->port) : NULL;
}

/* The namespace inside NAME.NAMESPACE.svc.DOMAIN, kept in q->name_ns. */
static const char *namespace_in(const struct policy *p, const char *name, char out[POLICY_NAME_MAX + 1]) {
    size_t len = strlen(name), domain = strlen(p->mesh.cluster_domain);
    const char *dot = strchr(name, '.');
    if (!dot || !ends_with(name, len, p->mesh.cluster_domain) || len < domain + 6)
        return NULL;
    size_t stop = len - domain - 5; /* ".svc." */
    if (memcmp(name + stop, ".svc.", 5) != 0 || dot >= name + stop)
        return NULL;
    size_t n = (size_t)(name + stop - dot) - 1;
    memcpy(out, dot + 1, n);
    out[n] = '\0';
    return out;
}

void policy_query_init(const struct policy *p, const struct policy_self *self, const struct sockaddr *dest,
                       const char *name, struct policy_query *q) {
    q->own_ns = self && self->namespace_ ? self->namespace_ : p->mesh.mesh.namespace_;
    q->service = NULL;
    q->service_ns = NULL;
    q->complete[0] = '\0';
    q->has_address = policy_address_of(dest, &q->address, &q->port);
    policy_query_normalise(name, q->raw);
    const struct policy_service *named =
        q->raw[0] ? policy_query_complete(p, q->own_ns, q->raw, q->complete, sizeof q->complete) : NULL;
    if (q->has_address)
        q->service = policy_query_service(p, q);
    if (!q->service)
        q->service = named;
    if (q->service)
        q->service_ns = q->service->o.ns;
    else if (q->raw[0])
        q->service_ns = namespace_in(p, q->complete[0] ? q->complete : q->raw, q->name_ns);
}

bool policy_dest_visible(const struct policy_dest *d, const char *ns) {
    if (!d->export_to.count || policy_list_has(&d->export_to, "*") || policy_list_has(&d->export_to, ns))
        return true;
    return policy_list_has(&d->export_to, ".") && strcmp(d->o.ns, ns) == 0;
}

static const struct policy_dest *visible(const struct index_entry *e, const struct policy_query *q) {
    while (e && !policy_dest_visible(e->value, q->own_ns))
        e = policy_index_next(e);
    return e ? e->value : NULL;
}

/* The i-th name of the destination, NULL behind the last. guessed: completed without evidence. */
static const char *name_at(const struct policy_query *q, size_t i, bool *guessed) {
    size_t known = q->service ? 1 + q->service->hosts.count : 0;
    *guessed = false;
    if (i < known)
        return i ? q->service->hosts.items[i - 1] : q->service->fqdn;
    i -= known;
    const char *rest[NAMES_MAX];
    size_t n = 0;
    if (q->complete[0] && !(q->service && strcmp(q->service->fqdn, q->complete) == 0))
        rest[n++] = q->complete;
    if (q->raw[0] && strchr(q->raw, '.') && !(q->service && goes_by(q->service, q->raw)))
        rest[n++] = q->raw;
    if (i >= n)
        return NULL;
    *guessed = rest[i] == q->complete && !strchr(q->raw, '.');
    return rest[i];
}

static struct policy_match by_name(const struct policy *p, const struct policy_query *q, const char *ns) {
    const char *name;
    bool guessed;
    for (size_t i = 0; (name = name_at(q, i, &guessed)); i++) {
        const struct policy_dest *d =
            visible(policy_index_find(p, INDEX_DEST_NAME, ns, name, strlen(name)), q);
        if (d)
            return (struct policy_match){d, name};
    }
    return (struct policy_match){NULL, NULL};
}

static struct policy_match by_suffix(const struct policy *p, const struct policy_query *q, const char *ns,
                                     size_t suffix) {
    const char *name;
    bool guessed;
    for (size_t i = 0; (name = name_at(q, i, &guessed)); i++) {
        size_t len = strlen(name);
        if (len < suffix || guessed)
            continue; /* "localhost" is no service of the mesh just because *.local is */
        const struct policy_dest *d =
            visible(policy_index_find(p, INDEX_DEST_WILDCARD, ns, name + len - suffix, suffix), q);
        if (d)
            return (struct policy_match){d, name};
    }
    return (struct policy_match){NULL, NULL};
}

static struct policy_match by_prefix(const struct policy *p, const struct policy_query *q, const char *ns,
                                     unsigned bits) {
    struct policy_address a = q->address;
    uint8_t key[19];
    if (bits < 96 && policy_address_is_v4(&a))
        return (struct policy_match){NULL, NULL};
    policy_address_mask(&a, bits);
    size_t len = policy_index_address_key(&a, 0, key);
    return (struct policy_match){visible(policy_index_find(p, INDEX_DEST_ADDRESS, ns, key, len), q), NULL};
}

/* The highest set bit below limit, -1: none. */
static int next_length(const uint64_t *bits, int limit) {
    for (int i = limit - 1; i >= 0; i = i / 64 * 64 - 1) {
        uint64_t below = bits[i / 64] & (UINT64_MAX >> (63 - i % 64));
        if (below)
            return i / 64 * 64 + 63 - __builtin_clzll(below);
    }
    return -1;
}

static struct policy_match in_namespace(const struct policy *p, const struct policy_query *q,
                                        const char *ns) {
    struct policy_match m = by_name(p, q, ns);
    if (!m.dest && q->has_address && next_length(p->prefix_lengths, 129) == 128)
        m = by_prefix(p, q, ns, 128);
    for (int len = next_length(p->wildcard_lengths, 256); !m.dest && len > 0;
         len = next_length(p->wildcard_lengths, len))
        m = by_suffix(p, q, ns, (size_t)len);
    for (int bits = next_length(p->prefix_lengths, 128); !m.dest && q->has_address && bits >= 0;
         bits = next_length(p->prefix_lengths, bits))
        m = by_prefix(p, q, ns, (unsigned)bits);
    if (!m.dest && (p->wildcard_lengths[0] & 1))
        m.dest = visible(policy_index_find(p, INDEX_DEST_WILDCARD, ns, "", 0), q);
    return m;
}

struct policy_match policy_query_match(const struct policy *p, const struct policy_query *q) {
    struct policy_match m = {NULL, NULL};
    if (!p->first[KIND_DESTINATION_RULE] || (!q->has_address && !q->raw[0]))
        return m;
    m = in_namespace(p, q, q->own_ns);
    if (!m.dest && q->service_ns && strcmp(q->service_ns, q->own_ns) != 0)
        m = in_namespace(p, q, q->service_ns);
    return m.dest ? m : in_namespace(p, q, p->mesh.root_namespace);
}

const struct policy_tls *policy_query_tls(const struct policy_query *q, const struct policy_dest *d) {
    for (const struct policy_port *port = d->o.ports; port; port = port->next)
        if (port->port == q->port)
            return &port->tls;
    return &d->tls;
}

bool policy_query_host_matches(const struct policy_query *q, const struct policy_dest *d) {
    const char *name;
    bool guessed;
    if (d->form == HOST_ADDRESS)
        return q->has_address && policy_address_contains(&d->address, &q->address);
    if (d->form == HOST_WILDCARD && d->host[1] == '\0')
        return true;
    for (size_t i = 0; (name = name_at(q, i, &guessed)); i++)
        if (d->form == HOST_NAME ? strcmp(name, d->host) == 0
                                 : !guessed && ends_with(name, strlen(name), d->host + 1))
            return true;
    return false;
}
