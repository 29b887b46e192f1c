/* policy_names.c - the table as a name service: who a process is, what a name means, who lives at an
 * address. Decides nothing about TLS. */
#include "policy_table.h"

#include <string.h>

static const char *intern_text(const struct policy *p, const char *s, size_t len) {
    char text[POLICY_NAME_MAX + 1];
    memcpy(text, s, len);
    text[len] = '\0';
    const struct policy_interned *i = policy_intern(p, text, 0);
    return i ? i->host : NULL;
}

static const char *account_of(const struct policy *p, const char *ns, const char *name) {
    const struct policy_workload *w = policy_index_workload(p, ns, name);
    const struct policy_service *s = w ? NULL : policy_index_service(p, ns, name);
    if (w)
        return w->effective_account;
    if (s && s->account)
        return s->account;
    return s && s->workload_count ? s->workloads[0]->effective_account : name;
}

bool policy_self_named(const char *workload) {
    if (!workload || !*workload)
        return true;
    const char *slash = strchr(workload, '/');
    const char *name = slash ? slash + 1 : workload;
    return policy_value_name(name, strlen(name), true) &&
           (!slash || policy_value_name(workload, (size_t)(slash - workload), false));
}

bool policy_self(const struct policy *p, const char *workload, struct policy_self *out) {
    *out = (struct policy_self){.namespace_ = p->mesh.mesh.namespace_, .account = "default"};
    if (!workload || !*workload)
        return true;
    if (!policy_self_named(workload))
        return false;
    const char *slash = strchr(workload, '/');
    const char *name = slash ? slash + 1 : workload;
    if (slash)
        out->namespace_ = intern_text(p, workload, (size_t)(slash - workload));
    out->name = intern_text(p, name, strlen(name));
    if (!out->namespace_ || !out->name)
        return false;
    out->account = account_of(p, out->namespace_, out->name);
    return true;
}

static size_t add_addresses(const struct policy_address *from, size_t n, struct sockaddr_storage *out,
                            size_t max, size_t count) {
    for (size_t i = 0; i < n; i++, count++)
        if (count < max)
            policy_address_sockaddr(&from[i], &out[count]);
    return count;
}

static size_t service_addresses(const struct policy_service *s, struct sockaddr_storage *out, size_t max) {
    size_t count = add_addresses(s->addresses, s->address_count, out, max, 0);
    for (size_t i = 0; i < s->workload_count && !s->address_count; i++)
        count = add_addresses(s->workloads[i]->addresses, s->workloads[i]->address_count, out, max, count);
    return count;
}

/* NAME, NAME.NAMESPACE and the longer forms of a workload without a service of that name. */
static const struct policy_workload *workload_named(const struct policy *p, const char *ns,
                                                    const char *name) {
    char own[POLICY_NAME_MAX + 1], space[POLICY_NAME_MAX + 1];
    size_t first = strcspn(name, ".");
    memcpy(own, name, first);
    own[first] = '\0';
    if (!name[first])
        return policy_index_workload(p, ns, own);
    const char *rest = name + first + 1;
    size_t second = strcspn(rest, ".");
    memcpy(space, rest, second);
    space[second] = '\0';
    const struct policy_workload *w = policy_index_workload(p, space, own);
    return w && (!rest[second] || strcmp(rest + second, ".svc") == 0 || strcmp(w->fqdn, name) == 0) ? w
                                                                                                    : NULL;
}

size_t policy_resolve(const struct policy *p, const char *ns, const char *name, struct sockaddr_storage *out,
                      size_t max) {
    char raw[POLICY_NAME_MAX + 1], complete[2 * POLICY_NAME_MAX];
    policy_query_normalise(name, raw);
    if (!raw[0])
        return 0;
    if (!ns)
        ns = p->mesh.mesh.namespace_;
    const struct policy_service *s = policy_query_complete(p, ns, raw, complete, sizeof complete);
    if (s)
        return service_addresses(s, out, max);
    const struct policy_workload *w = workload_named(p, ns, raw);
    return w ? add_addresses(w->addresses, w->address_count, out, max, 0) : 0;
}

static const struct index_entry *at_address(const struct policy *p, enum index_tag tag,
                                            const struct policy_address *a) {
    uint8_t key[19];
    size_t len = policy_index_address_key(a, 0, key);
    return policy_index_find(p, tag, "", key, len);
}

const char *policy_reverse(const struct policy *p, const struct sockaddr *addr) {
    struct policy_address a;
    uint16_t port;
    if (!policy_address_of(addr, &a, &port))
        return NULL;
    const struct index_entry *e = at_address(p, INDEX_ADDRESS, &a);
    if (e)
        return ((const struct policy_service *)e->value)->host;
    e = at_address(p, INDEX_WORKLOAD_ADDRESS, &a);
    if (!e)
        return NULL;
    const struct policy_workload *w = e->value;
    const struct policy_service *s = policy_index_service(p, w->o.ns, w->services.items[0]);
    return s ? s->host : w->fqdn;
}

static bool first_of_family(const struct policy_address *from, size_t n, int family,
                            struct sockaddr_storage *out) {
    for (size_t i = 0; i < n; i++)
        if (policy_address_is_v4(&from[i]) == (family == AF_INET)) {
            policy_address_sockaddr(&from[i], out);
            return true;
        }
    return false;
}

bool policy_own_address(const struct policy *p, const struct policy_self *self, int family,
                        struct sockaddr_storage *out) {
    if (!self || !self->name || (family != AF_INET && family != AF_INET6))
        return false;
    const struct policy_workload *w = policy_index_workload(p, self->namespace_, self->name);
    const struct policy_service *s = w ? NULL : policy_index_service(p, self->namespace_, self->name);
    if (s && first_of_family(s->addresses, s->address_count, family, out))
        return true;
    if (s && s->workload_count)
        w = s->workloads[0];
    if (!w)
        return false;
    if (first_of_family(w->addresses, w->address_count, family, out))
        return true;
    for (size_t i = 0; i < w->services.count; i++) {
        s = policy_index_service(p, w->o.ns, w->services.items[i]);
        if (s && first_of_family(s->addresses, s->address_count, family, out))
            return true;
    }
    return false;
}

uint16_t policy_service_target(const struct policy_service *s, uint16_t port) {
    for (size_t i = 0; i < s->port_count; i++)
        if (s->ports[i].port == port)
            return s->ports[i].target;
    return port;
}

uint16_t policy_target_port(const struct policy *p, const struct sockaddr *service_addr) {
    struct policy_query q = {.raw = ""};
    q.has_address = policy_address_of(service_addr, &q.address, &q.port);
    const struct policy_service *s = q.has_address ? policy_query_service(p, &q) : NULL;
    return s ? policy_service_target(s, q.port) : q.port;
}
