/* policy_info.c - the tables of services and workloads as lists, for those who print or start them.
 * Positions are found by walking; nobody on a fast path asks. */
#include "policy_table.h"

static const struct policy_object *nth(const struct policy *p, enum policy_kind kind, size_t i) {
    const struct policy_object *o = p->first[kind];
    while (o && i--)
        o = o->next;
    return o;
}

size_t policy_service_count(const struct policy *p) {
    return p->count[KIND_SERVICE];
}

size_t policy_workload_count(const struct policy *p) {
    return p->count[KIND_WORKLOAD];
}

bool policy_service_at(const struct policy *p, size_t i, struct policy_service_info *out) {
    const struct policy_service *s = (const struct policy_service *)nth(p, KIND_SERVICE, i);
    if (!s)
        return false;
    *out = (struct policy_service_info){.namespace_ = s->o.ns,
                                        .name = s->o.name,
                                        .host = s->host,
                                        .account = s->account,
                                        .external = s->external,
                                        .address_count = s->address_count,
                                        .port_count = s->port_count,
                                        .where = policy_rule_of(p, &s->o, NULL)};
    return true;
}

bool policy_service_address(const struct policy *p, size_t i, size_t j, struct sockaddr_storage *out) {
    const struct policy_service *s = (const struct policy_service *)nth(p, KIND_SERVICE, i);
    if (!s || j >= s->address_count)
        return false;
    policy_address_sockaddr(&s->addresses[j], out);
    return true;
}

bool policy_service_port(const struct policy *p, size_t i, size_t j, uint16_t *port, uint16_t *target) {
    const struct policy_service *s = (const struct policy_service *)nth(p, KIND_SERVICE, i);
    if (!s || j >= s->port_count)
        return false;
    *port = s->ports[j].port;
    *target = s->ports[j].target;
    return true;
}

bool policy_workload_at(const struct policy *p, size_t i, struct policy_workload_info *out) {
    const struct policy_workload *w = (const struct policy_workload *)nth(p, KIND_WORKLOAD, i);
    if (!w)
        return false;
    *out = (struct policy_workload_info){.namespace_ = w->o.ns,
                                         .name = w->o.name,
                                         .account = w->effective_account,
                                         .in_mesh = !w->outside,
                                         .command = w->command,
                                         .directory = w->directory,
                                         .environment = w->environment.items,
                                         .environment_count = w->environment.count,
                                         .services = w->services.items,
                                         .service_count = w->services.count,
                                         .where = policy_rule_of(p, &w->o, NULL)};
    return true;
}
