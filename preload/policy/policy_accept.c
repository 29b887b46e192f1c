/* policy_accept.c - the accepting side: which workload is meant, and what the rules demand of it.
 *
 * Two vocabularies. Policy and MeshPolicy: the most specific one replaces all others. The newer
 * PeerAuthentication: mesh, namespace and workload are merged, UNSET inherits; it wins for every
 * workload that at least one of them names.
 */
#include "policy_table.h"

#include <string.h>

void policy_target_of(const struct policy_workload *w, uint16_t port, struct policy_target *out) {
    *out = (struct policy_target){.ns = w->o.ns, .name = w->o.name, .workload = w, .port = port};
}

static void target_of_service(const struct policy_service *s, uint16_t port, struct policy_target *out) {
    *out = (struct policy_target){.ns = s->o.ns, .name = s->o.name, .service = s, .port = port};
    if (s->workload_count)
        out->workload = s->workloads[0];
}

static const struct policy_service *service_at(const struct policy *p, const struct policy_address *a,
                                               uint16_t port) {
    uint8_t key[19];
    size_t len = policy_index_address_key(a, port, key);
    const struct index_entry *e = policy_index_find(p, INDEX_LISTEN, "", key, len);
    if (!e) {
        len = policy_index_address_key(a, 0, key);
        e = policy_index_find(p, INDEX_LISTEN, "", key, len);
    }
    /* A port that no service of the address lists still belongs to whoever lives there alone. */
    if (!e && (e = policy_index_find(p, INDEX_ADDRESS, "", key, len)) && policy_index_next(e))
        e = NULL;
    return e ? e->value : NULL;
}

void policy_target_find(const struct policy *p, const struct policy_self *self, const struct sockaddr *local,
                        struct policy_target *out) {
    struct policy_address a;
    uint16_t port;
    bool known = policy_address_of(local, &a, &port);
    const char *ns = self && self->namespace_ ? self->namespace_ : p->mesh.mesh.namespace_;
    if (self && self->name) {
        const struct policy_workload *w = policy_index_workload(p, ns, self->name);
        const struct policy_service *s = w ? NULL : policy_index_service(p, ns, self->name);
        if (w)
            policy_target_of(w, port, out);
        else if (s)
            target_of_service(s, port, out);
        else
            *out = (struct policy_target){.ns = ns, .name = self->name, .port = port};
        return;
    }
    *out = (struct policy_target){.ns = ns, .port = port};
    if (!known)
        return;
    uint8_t key[19];
    const struct policy_service *s = service_at(p, &a, port);
    const struct index_entry *e =
        s ? NULL
          : policy_index_find(p, INDEX_WORKLOAD_ADDRESS, "", key, policy_index_address_key(&a, 0, key));
    if (s)
        target_of_service(s, port, out);
    else if (e)
        policy_target_of(e->value, port, out);
}

/* The i-th service name of a target; 0 when there are no more. */
size_t policy_target_services(const struct policy_target *t, size_t i, const char **name) {
    if (t->service || !t->workload) {
        *name = t->name;
        return i == 0 && t->name;
    }
    if (i >= t->workload->services.count)
        return 0;
    *name = t->workload->services.items[i];
    return 1;
}

static bool target_label_is(const struct policy_target *t, const char *key, const char *value) {
    if (!t->workload || !t->workload->o.labels) /* app = NAME is what a workload is labelled by default */
        return t->name && strcmp(key, "app") == 0 &&
               strcmp(value, t->workload ? t->workload->o.name : t->name) == 0;
    for (const struct policy_label *l = t->workload->o.labels; l; l = l->next)
        if (strcmp(l->key, key) == 0)
            return strcmp(l->value, value) == 0;
    return false;
}

bool policy_selector_matches(const struct policy_accept *a, const struct policy_target *t) {
    if (strcmp(a->o.ns, t->ns) != 0)
        return false;
    for (const struct policy_label *l = a->o.labels; l; l = l->next)
        if (!target_label_is(t, l->key, l->value))
            return false;
    return true;
}

/* targets.ports may name the service's port or the workload's. */
static bool target_port_fits(const struct policy *p, const struct policy_accept *a,
                             const struct policy_target *t, const char *service) {
    const struct policy_service *s =
        p && a->target_port_count ? policy_index_service(p, t->ns, service) : NULL;
    for (size_t i = 0; i < a->target_port_count; i++)
        if (a->target_ports[i].port == t->port ||
            (s && policy_service_target(s, a->target_ports[i].port) == t->port))
            return true;
    return a->target_port_count == 0;
}

bool policy_targets_match(const struct policy *p, const struct policy_accept *a,
                          const struct policy_target *t) {
    const char *name;
    if (strcmp(a->o.ns, t->ns) != 0)
        return false;
    for (size_t i = 0; policy_target_services(t, i, &name); i++)
        if (policy_list_has(&a->targets, name) && target_port_fits(p, a, t, name))
            return true;
    return false;
}

static const struct policy_accept *earlier(const struct policy_accept *a, const struct policy_accept *b) {
    return !a || (b && b->o.order < a->o.order) ? b : a;
}

static const struct policy_accept *find_policy(const struct policy *p, const struct policy_target *t) {
    const struct policy_accept *best = NULL;
    const char *name;
    for (size_t i = 0; policy_target_services(t, i, &name); i++) {
        const struct index_entry *e = policy_index_find(p, INDEX_POLICY_TARGET, t->ns, name, strlen(name));
        while (e && !target_port_fits(p, e->value, t, name))
            e = policy_index_next(e);
        best = earlier(best, e ? e->value : NULL);
    }
    if (!best)
        best = policy_index_get(p, INDEX_POLICY_NAMESPACE, "", t->ns);
    return best ? best : p->mesh_policy;
}

static const struct policy_accept *peer_by_label(const struct policy *p, const struct policy_target *t,
                                                 const char *key, const char *value) {
    char label[2 * POLICY_LINE_MAX + POLICY_NAME_MAX];
    char *end = stpcpy(stpcpy(stpcpy(label, key), "="), value);
    const struct index_entry *e = policy_index_find(p, INDEX_PEER_LABEL, t->ns, label, (size_t)(end - label));
    while (e && !policy_selector_matches(e->value, t))
        e = policy_index_next(e);
    return e ? e->value : NULL;
}

static const struct policy_accept *find_workload_peer(const struct policy *p, const struct policy_target *t) {
    const struct policy_accept *best = NULL;
    if (strcmp(t->ns, p->mesh.root_namespace) == 0)
        return NULL;
    if (!t->workload || !t->workload->o.labels) {
        const char *name = t->workload ? t->workload->o.name : t->name;
        return name ? peer_by_label(p, t, "app", name) : NULL;
    }
    for (const struct policy_label *l = t->workload->o.labels; l; l = l->next)
        best = earlier(best, peer_by_label(p, t, l->key, l->value));
    return best;
}

static const struct policy_port *port_of(const struct policy_accept *a, uint16_t port) {
    const struct policy_port *at = a ? a->o.ports : NULL;
    while (at && at->port != port)
        at = at->next;
    return at;
}

static void merge_peers(const struct policy *p, const struct policy_target *t, struct policy_accepted *out) {
    const struct policy_accept *scopes[] = {out->mesh, out->ns, out->workload};
    (void)p;
    out->peer = true;
    out->mode = MTLS_PERMISSIVE;
    for (size_t i = 0; i < 3; i++) {
        const struct policy_accept *a = scopes[i];
        if (a && a->mode != MTLS_UNSET) {
            out->mode = a->mode;
            out->winner = a;
        }
        if (a && a->principals.count)
            out->principals = a;
        if (a && a->tls_in_tls_set)
            out->tls_in_tls = a;
    }
    const struct policy_port *port = port_of(out->workload, t->port);
    if (port && port->mode != MTLS_UNSET) {
        out->mode = port->mode;
        out->winner = out->workload;
        out->port = port;
    }
}

static void apply_policy(const struct policy_accept *a, const struct policy_target *t,
                         struct policy_accepted *out) {
    out->port = port_of(a, t->port);
    out->mode = out->port ? out->port->mode : a->mode;
    if (out->mode == MTLS_UNSET)
        out->mode = MTLS_DISABLE; /* Istio: a policy that lists no peer method asks for none */
    out->winner = a;
    out->principals = a->principals.count ? a : NULL;
    out->tls_in_tls = a->tls_in_tls_set ? a : NULL;
}

void policy_accept_decide(const struct policy *p, const struct policy_target *t,
                          struct policy_accepted *out) {
    *out = (struct policy_accepted){.mode = MTLS_DISABLE};
    if (p->any_peer) {
        out->mesh = p->mesh_peer;
        /* In the root namespace the mesh's rule is the namespace's, too. */
        out->ns = policy_index_get(p, INDEX_PEER_NAMESPACE, "", t->ns);
        out->workload = find_workload_peer(p, t);
        if (out->mesh || out->ns || out->workload) {
            merge_peers(p, t, out);
            return;
        }
    }
    const struct policy_accept *a = find_policy(p, t);
    if (a)
        apply_policy(a, t, out);
    else if (p->any_peer)
        merge_peers(p, t, out);
}

void policy_inbound(const struct policy *p, const struct policy_self *self, const struct sockaddr *local,
                    struct policy_inbound *out) {
    struct policy_target t;
    struct policy_accepted d;
    policy_target_find(p, self, local, &t);
    policy_accept_decide(p, &t, &d);
    *out = (struct policy_inbound){.mode = d.mode, .tls_in_tls = TLS_IN_TLS_WRAP};
    if (d.principals) {
        out->principals = d.principals->principals.items;
        out->principal_count = d.principals->principals.count;
    }
    if (d.tls_in_tls)
        out->tls_in_tls = d.tls_in_tls->tls_in_tls;
    out->rule =
        policy_rule_of(p, d.winner ? &d.winner->o : NULL,
                       d.peer ? "PERMISSIVE, the default where PeerAuthentication is used" : "no rule");
}

static bool principal_matches(const char *pattern, const char *s) {
    static const char scheme[] = "spiffe://";
    if (strncmp(pattern, scheme, sizeof scheme - 1) == 0)
        pattern += sizeof scheme - 1;
    size_t len = strlen(pattern), n = strlen(s);
    if (pattern[0] == '*')
        return n >= len - 1 && strcmp(s + n - (len - 1), pattern + 1) == 0;
    if (len && pattern[len - 1] == '*')
        return strncmp(s, pattern, len - 1) == 0;
    return strcmp(pattern, s) == 0;
}

bool policy_principal_allowed(const struct policy_inbound *in, const char *principal) {
    static const char scheme[] = "spiffe://";
    if (!in->principals)
        return true;
    if (!principal || !*principal)
        return false;
    if (strncmp(principal, scheme, sizeof scheme - 1) == 0)
        principal += sizeof scheme - 1;
    for (size_t i = 0; i < in->principal_count; i++)
        if (principal_matches(in->principals[i], principal))
            return true;
    return false;
}
