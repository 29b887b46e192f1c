/* policy_lint.c - what a table allows but its author probably did not mean. Warnings only; asks the
 * deciding functions, so that a lint can never disagree with what would happen. */
#include "policy_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct linting {
    const struct policy *p;
    policy_report_fn *report;
    void *arg;
};

static void warn(const struct linting *l, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void warn(const struct linting *l, int line, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    l->report(l->arg, POLICY_WARNING, l->p->file, line, text);
}

static bool known_to_workloads(const struct policy *p, const char *ns, const char *service) {
    for (const struct policy_object *o = p->first[KIND_WORKLOAD]; o; o = o->next)
        if (strcmp(o->ns, ns) == 0 &&
            policy_list_has(&((const struct policy_workload *)o)->services, service))
            return true;
    return false;
}

static bool selects_any(const struct policy *p, const struct policy_accept *a) {
    for (int kind = KIND_SERVICE; kind <= KIND_WORKLOAD; kind++)
        for (const struct policy_object *o = p->first[kind]; o; o = o->next) {
            struct policy_target t = {.ns = o->ns, .name = o->name};
            if (kind == KIND_WORKLOAD)
                t.workload = (const struct policy_workload *)o;
            if (policy_selector_matches(a, &t))
                return true;
        }
    return false;
}

static bool anything_in(const struct policy *p, const char *ns) {
    for (int kind = KIND_SERVICE; kind <= KIND_WORKLOAD; kind++)
        for (const struct policy_object *o = p->first[kind]; o; o = o->next)
            if (strcmp(o->ns, ns) == 0)
                return true;
    return strcmp(ns, p->mesh.mesh.namespace_) == 0;
}

static void lint_permissive(const struct linting *l, const struct policy_accept *a) {
    if (a->mode == MTLS_PERMISSIVE)
        warn(l, a->mode_line, "PERMISSIVE is left on in [%s]: plaintext is still accepted", a->o.section);
    for (const struct policy_port *port = a->o.ports; port; port = port->next)
        if (port->mode == MTLS_PERMISSIVE)
            warn(l, port->line, "PERMISSIVE is left on for port %u in [%s]: plaintext is still accepted",
                 port->port, a->o.section);
}

static void lint_accept(const struct linting *l, const struct policy_accept *a) {
    const struct policy *p = l->p;
    bool table = p->count[KIND_SERVICE] + p->count[KIND_WORKLOAD] > 0;
    if (a->ignored)
        return;
    lint_permissive(l, a);
    for (size_t i = 0; table && i < a->targets.count; i++)
        if (!policy_index_service(p, a->o.ns, a->targets.items[i]) &&
            !policy_index_workload(p, a->o.ns, a->targets.items[i]) &&
            !known_to_workloads(p, a->o.ns, a->targets.items[i]))
            warn(l, a->o.line, "[%s] can never match: no service '%s' in namespace '%s'", a->o.section,
                 a->targets.items[i], a->o.ns);
    if (table && a->o.labels && !selects_any(p, a))
        warn(l, a->o.line, "[%s] can never match: its selector fits no workload of namespace '%s'",
             a->o.section, a->o.ns);
    if (table && a->o.kind == KIND_POLICY && !a->targets.count && !anything_in(p, a->o.ns))
        warn(l, a->o.line, "[%s] can never match: nothing lives in namespace '%s'", a->o.section, a->o.ns);
    if (a->principals.count && (a->mode == MTLS_PERMISSIVE || a->mode == MTLS_DISABLE))
        warn(l, a->o.line, "[%s] has principals, but its mode lets peers in that show no identity",
             a->o.section);
}

/* Does any service of the table go by this rule's host? */
static bool host_lives(const struct policy *p, const struct policy_dest *d) {
    size_t len = strlen(d->host);
    for (const struct policy_object *o = p->first[KIND_SERVICE]; o; o = o->next) {
        const struct policy_service *s = (const struct policy_service *)o;
        for (size_t i = 0; i <= s->hosts.count; i++) {
            const char *name = i ? s->hosts.items[i - 1] : s->fqdn;
            size_t n = strlen(name);
            if (d->form == HOST_NAME ? strcmp(name, d->host) == 0
                                     : n >= len - 1 && strcmp(name + n - (len - 1), d->host + 1) == 0)
                return true;
        }
    }
    return false;
}

/* Only names inside the mesh's own domain can be known not to exist. */
static bool in_domain(const struct policy *p, const char *host) {
    char end[POLICY_NAME_MAX + 8];
    snprintf(end, sizeof end, ".svc.%s", p->mesh.cluster_domain);
    size_t n = strlen(host), len = strlen(end);
    return n >= len && strcmp(host + n - len, end) == 0;
}

static void lint_dest_mode(const struct linting *l, const struct policy_dest *d) {
    if (d->tls.mode == TLS_PERMISSIVE)
        warn(l, d->tls.line[TLS_FIELD_MODE], "PERMISSIVE is left on in [%s]: it may fall back to plaintext",
             d->o.section);
    for (const struct policy_port *port = d->o.ports; port; port = port->next)
        if (port->tls.mode == TLS_PERMISSIVE)
            warn(l, port->tls.line[TLS_FIELD_MODE],
                 "PERMISSIVE is left on for port %u in [%s]: it may fall back to plaintext", port->port,
                 d->o.section);
}

/* A broad rule outside the root namespace reaches less than it seems to. */
static void lint_reach(const struct linting *l, const struct policy_dest *d) {
    const struct policy *p = l->p;
    char own[2 * POLICY_NAME_MAX];
    snprintf(own, sizeof own, ".%s.svc.%s", d->o.ns, p->mesh.cluster_domain);
    size_t n = strlen(d->host), len = strlen(own);
    if (d->form == HOST_NAME || strcmp(d->o.ns, p->mesh.root_namespace) == 0 ||
        (n >= len && strcmp(d->host + n - len, own) == 0))
        return;
    for (const struct policy_object *o = p->first[KIND_WORKLOAD]; o; o = o->next)
        if (strcmp(o->ns, d->o.ns) != 0 && !((const struct policy_workload *)o)->outside) {
            warn(l, d->o.line,
                 "[%s] is not seen by clients in namespace '%s'; put it into the root namespace '%s' to "
                 "speak for all",
                 d->o.section, o->ns, p->mesh.root_namespace);
            return;
        }
}

static void lint_dest(const struct linting *l, const struct policy_dest *d) {
    const struct policy *p = l->p;
    bool services = p->count[KIND_SERVICE] > 0;
    lint_dest_mode(l, d);
    lint_reach(l, d);
    if (services && d->form != HOST_ADDRESS && in_domain(p, d->host) && !host_lives(p, d))
        warn(l, d->o.line, "[%s] can never match: no service goes by %s", d->o.section, d->host);
    const char *dot = strchr(d->host, '.');
    if (d->form == HOST_NAME && dot && !strchr(dot + 1, '.') &&
        policy_value_name(d->host, strlen(d->host), true)) {
        char name[POLICY_NAME_MAX + 1];
        size_t n = (size_t)(dot - d->host);
        memcpy(name, d->host, n);
        name[n] = '\0';
        const struct policy_service *s = policy_index_service(p, dot + 1, name);
        if (s && !host_lives(p, d))
            warn(l, d->o.line, "host %s in [%s] is taken as a full name, as in Istio; did you mean %s?",
                 d->host, d->o.section, s->host);
    }
    if (services && !anything_in(p, d->o.ns) && strcmp(d->o.ns, p->mesh.root_namespace) != 0)
        warn(l, d->o.line,
             "[%s] can never match: nothing lives in namespace '%s', and it is not the root ('%s')",
             d->o.section, d->o.ns, p->mesh.root_namespace);
}

static struct policy_accepted accepted_by(const struct policy *p, const struct policy_service *s,
                                          uint16_t port) {
    struct policy_target t = {.ns = s->o.ns, .name = s->o.name, .service = s, .port = port};
    struct policy_accepted d;
    if (s->workload_count)
        policy_target_of(s->workloads[0], port, &t);
    policy_accept_decide(p, &t, &d);
    return d;
}

static struct policy_outbound towards(const struct policy *p, const struct policy_service *s, const char *ns,
                                      uint16_t port, struct policy_match *m) {
    struct policy_query q = {.own_ns = ns, .service_ns = s->o.ns, .service = s, .port = port};
    struct policy_outbound out;
    q.has_address = s->address_count > 0;
    if (q.has_address)
        q.address = s->addresses[0];
    else
        snprintf(q.raw, sizeof q.raw, "%s", s->host);
    *m = policy_query_match(p, &q);
    policy_outbound_fill(p, &q, m, &out);
    return out;
}

/* Nothing of ours runs in front of it, whatever the accepting rules say. */
static bool outside_mesh(const struct policy_service *s) {
    for (size_t i = 0; i < s->workload_count; i++)
        if (!s->workloads[i]->outside)
            return false;
    return s->workload_count > 0;
}

/* The server on one port against the rule that clients of one namespace would follow. */
static void lint_pair(const struct linting *l, const struct policy_service *s, const char *ns, uint16_t port,
                      bool *ruled) {
    struct policy_match m;
    struct policy_accepted d = accepted_by(l->p, s, policy_service_target(s, port));
    struct policy_outbound out = towards(l->p, s, ns, port, &m);
    *ruled |= m.dest != NULL || d.winner != NULL;
    bool encrypts = out.mode == TLS_ISTIO_MUTUAL || out.mode == TLS_MUTUAL;
    if (m.dest && outside_mesh(s) && encrypts)
        warn(l, m.dest->o.line,
             "clients in namespace '%s' cannot talk to [%s] on port %u: [%s] sends TLS, but its workload is "
             "outside "
             "the mesh",
             ns, s->o.section, port, m.dest->o.section);
    if (!m.dest || !d.winner || outside_mesh(s))
        return;
    bool strict = d.mode == MTLS_STRICT && out.mode == TLS_DISABLE;
    if (strict || (d.mode == MTLS_DISABLE && encrypts))
        warn(l, m.dest->o.line,
             "clients in namespace '%s' cannot talk to [%s] on port %u: [%s] sends %s, [%s] on line %d "
             "accepts only %s",
             ns, s->o.section, port, m.dest->o.section, strict ? "plaintext" : "TLS", d.winner->o.section,
             d.winner->o.line, strict ? "mutual TLS" : "plaintext");
}

/* Client namespaces: the service's own, the default one, and wherever a workload lives. */
static bool earlier_namespace(const struct policy *p, const struct policy_object *upto, const char *own) {
    if (strcmp(upto->ns, own) == 0)
        return true;
    for (const struct policy_object *o = p->first[KIND_WORKLOAD]; o != upto; o = o->next)
        if (strcmp(o->ns, upto->ns) == 0)
            return true;
    return false;
}

/* Where only the address is known, one of two at the same place stands for both. */
static void lint_place(const struct linting *l, const struct policy_service *s) {
    for (size_t i = 0; i < s->address_count; i++)
        for (size_t j = 0; j < (s->port_count ? s->port_count : 1); j++) {
            uint8_t key[19];
            uint16_t port = s->port_count ? s->ports[j].port : 0;
            size_t len = policy_index_address_key(&s->addresses[i], port, key);
            const struct index_entry *e = policy_index_find(l->p, INDEX_DIAL, "", key, len);
            const struct policy_service *first = e ? e->value : s;
            if (first == s)
                continue;
            warn(l, s->o.line, "[%s] has the same address and port as [%s] on line %d, which is taken for it",
                 s->o.section, first->o.section, first->o.line);
            return;
        }
}

static void lint_service(const struct linting *l, const struct policy_service *s) {
    const struct policy *p = l->p;
    bool ruled = false;
    for (size_t i = 0; i < (s->port_count ? s->port_count : 1); i++) {
        uint16_t port = s->port_count ? s->ports[i].port : 0;
        lint_pair(l, s, s->o.ns, port, &ruled);
        for (const struct policy_object *o = p->first[KIND_WORKLOAD]; o; o = o->next)
            if (!((const struct policy_workload *)o)->outside && !earlier_namespace(p, o, s->o.ns))
                lint_pair(l, s, o->ns, port, &ruled);
    }
    lint_place(l, s);
    if (!ruled && !s->external)
        warn(l, s->o.line, "[%s] has no rule: nothing protects it, on either side", s->o.section);
    if (!s->identities.count && !s->external)
        warn(l, s->o.line, "[%s] has no serviceAccount: clients accept any identity of %s in its place",
             s->o.section, p->mesh.mesh.trust_domain);
    if (!s->address_count && !s->workload_count && !s->external)
        warn(l, s->o.line, "[%s] has no address: its name does not resolve", s->o.section);
}

static void lint_workload(const struct linting *l, const struct policy_workload *w) {
    for (size_t i = 0; i < w->services.count; i++)
        if (!policy_index_service(l->p, w->o.ns, w->services.items[i]) &&
            strcmp(w->services.items[i], w->o.name) != 0)
            warn(l, w->o.line, "[%s] backs service '%s', but there is no [Service %s/%s]", w->o.section,
                 w->services.items[i], w->o.ns, w->services.items[i]);
}

void policy_lint(const struct policy *p, policy_report_fn *report, void *arg) {
    struct linting l = {p, report, arg};
    if (!report)
        return;
    for (int kind = KIND_MESH_POLICY; kind <= KIND_PEER_AUTHENTICATION; kind++)
        for (const struct policy_object *o = p->first[kind]; o; o = o->next)
            lint_accept(&l, (const struct policy_accept *)o);
    for (const struct policy_object *o = p->first[KIND_DESTINATION_RULE]; o; o = o->next)
        lint_dest(&l, (const struct policy_dest *)o);
    for (const struct policy_object *o = p->first[KIND_SERVICE]; o; o = o->next)
        lint_service(&l, (const struct policy_service *)o);
    for (const struct policy_object *o = p->first[KIND_WORKLOAD]; o; o = o->next)
        lint_workload(&l, (const struct policy_workload *)o);
}
