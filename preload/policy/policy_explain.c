/* policy_explain.c - the reasons behind a decision. The decision itself is made by the same functions
 * that decide; here it is only compared with what each rule would have wanted. */
#include "policy_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct explaining {
    const struct policy *p;
    policy_step_fn *step;
    void *arg;
    char reason[768];
};

static void say(struct explaining *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct explaining *e, const char *fmt, ...) {
    size_t used = strlen(e->reason);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->reason + used, sizeof e->reason - used, fmt, ap);
    va_end(ap);
}

static void emit(struct explaining *e, struct policy_rule rule, bool decided) {
    struct policy_step s = {rule, decided, e->reason};
    e->step(e->arg, &s);
    e->reason[0] = '\0';
}

static void say_loser(struct explaining *e, const char *why, const struct policy_object *winner) {
    say(e, "%s [%s] on line %d", why, winner->section, winner->line);
}

/* 0 mesh, 1 namespace, 2 workload or service. */
static int scope_of(const struct policy *p, const struct policy_accept *a) {
    if (a->o.kind == KIND_MESH_POLICY)
        return 0;
    if (a->o.kind == KIND_PEER_AUTHENTICATION && !a->o.labels)
        return strcmp(a->o.ns, p->mesh.root_namespace) == 0 ? 0 : 1;
    return a->targets.count || a->o.labels ? 2 : 1;
}

static void say_scope(struct explaining *e, const struct policy_accept *a) {
    switch (scope_of(e->p, a)) {
    case 0:
        say(e, "speaks for the whole mesh");
        break;
    case 1:
        say(e, "speaks for namespace '%s'", a->o.ns);
        break;
    default:
        say(e, "%s", a->o.labels ? "its selector matches the workload" : "its targets name the service");
        break;
    }
}

static void say_winner(struct explaining *e, const struct policy_accept *a, const struct policy_accepted *d,
                       const struct policy_target *t) {
    say_scope(e, a);
    if (d->port)
        say(e, ", with an entry for port %u", t->port);
    else if (a->mode == MTLS_UNSET && a->o.kind != KIND_PEER_AUTHENTICATION)
        say(e, "; without mtls.mode it turns mutual TLS off");
}

static bool names_target(const struct policy *p, const struct policy_accept *a,
                         const struct policy_target *t) {
    if (scope_of(p, a) == 0)
        return true;
    if (strcmp(a->o.ns, t->ns) != 0)
        return false;
    if (a->o.kind == KIND_PEER_AUTHENTICATION)
        return policy_selector_matches(a, t);
    return !a->targets.count || policy_targets_match(p, a, t);
}

static void say_stranger(struct explaining *e, const struct policy_accept *a, const struct policy_target *t) {
    if (strcmp(a->o.ns, t->ns) != 0)
        say(e, "is for namespace '%s', not '%s'", a->o.ns, t->ns);
    else if (!t->name)
        say(e, "names a %s, and it is not known which one this is", a->o.labels ? "workload" : "service");
    else if (a->o.labels)
        say(e, "its selector does not match the labels of '%s'", t->name);
    else
        say(e, "its targets do not name '%s'%s", t->name, a->target_port_count ? " on this port" : "");
}

/* The rule of the same scope that stands first in the file and therefore counts. */
static const struct policy_accept *first_of_scope(const struct explaining *e, const struct policy_accept *a,
                                                  const struct policy_accepted *d) {
    int scope = scope_of(e->p, a);
    if (a->o.kind == KIND_PEER_AUTHENTICATION)
        return scope == 0 ? d->mesh : scope == 1 ? d->ns : d->workload;
    return d->winner && scope_of(e->p, d->winner) == scope ? d->winner : NULL;
}

static void explain_accept(struct explaining *e, const struct policy_accept *a, const struct policy_target *t,
                           const struct policy_accepted *d) {
    bool peer = a->o.kind == KIND_PEER_AUTHENTICATION;
    const struct policy_accept *first = first_of_scope(e, a, d);
    if (a == d->winner)
        say_winner(e, a, d, t);
    else if (a->ignored)
        say(e, "is ignored, as Istio ignores it: %s",
            peer ? "a selector in the root namespace" : "only the name 'default' counts");
    else if (!names_target(e->p, a, t))
        say_stranger(e, a, t);
    else if (!peer && d->peer)
        say(e, "PeerAuthentication names this workload, and the newer API wins");
    else if (first && first != a)
        say_loser(e, "comes later in the file than", &first->o);
    else if (peer && a->mode == MTLS_UNSET)
        say(e, "says UNSET, so what is broader counts");
    else if (d->winner)
        say_loser(e, "less specific than", &d->winner->o);
    else
        say(e, "does not decide");
    if (a == d->principals)
        say(e, "; its principals say who may connect");
    emit(e, policy_rule_of(e->p, &a->o, NULL), a == d->winner);
}

/* The next section of the accepting kinds in file order. */
static const struct policy_object *next_accept(const struct policy_object *at[3]) {
    int best = -1;
    for (int i = 0; i < 3; i++)
        if (at[i] && (best < 0 || at[i]->order < at[best]->order))
            best = i;
    if (best < 0)
        return NULL;
    const struct policy_object *o = at[best];
    at[best] = o->next;
    return o;
}

void policy_explain_inbound(const struct policy *p, const struct policy_self *self,
                            const struct sockaddr *local, policy_step_fn *step, void *arg,
                            struct policy_inbound *out) {
    struct explaining e = {.p = p, .step = step, .arg = arg};
    struct policy_target t;
    struct policy_accepted d;
    const struct policy_object *at[3] = {p->first[KIND_MESH_POLICY], p->first[KIND_POLICY],
                                         p->first[KIND_PEER_AUTHENTICATION]};
    policy_target_find(p, self, local, &t);
    policy_accept_decide(p, &t, &d);
    policy_inbound(p, self, local, out);
    for (const struct policy_object *o; (o = next_accept(at));)
        explain_accept(&e, (const struct policy_accept *)o, &t, &d);
    if (d.winner)
        return;
    say(&e, "%s",
        d.peer ? "no rule sets a mode, and where PeerAuthentication is used the default is PERMISSIVE"
               : "no rule speaks for this workload: plain TCP, as in Istio's older API");
    emit(&e, out->rule, true);
}

/* 0, 1, 2 in the order of the search; 3: not searched. */
static int rank_of(const struct policy *p, const struct policy_query *q, const char *ns) {
    if (strcmp(ns, q->own_ns) == 0)
        return 0;
    if (q->service_ns && strcmp(ns, q->service_ns) == 0)
        return 1;
    return strcmp(ns, p->mesh.root_namespace) == 0 ? 2 : 3;
}

/* The destination as a person would name it. */
static void say_destination(struct explaining *e, const struct policy_query *q) {
    char literal[POLICY_ADDRESS_TEXT] = "";
    const char *name = q->service ? q->service->host : q->raw;
    if (q->has_address)
        policy_address_text(&q->address, literal);
    if (*name && *literal)
        say(e, "%s (%s)", name, literal);
    else
        say(e, "%s", *name ? name : literal);
}

static void say_dest_winner(struct explaining *e, const struct policy_query *q,
                            const struct policy_match *m) {
    const struct policy_dest *d = m->dest;
    const struct policy_tls *tls = policy_query_tls(q, d);
    if (d->form == HOST_NAME)
        say(e, "host %s matches exactly", d->host);
    else {
        say(e, "host %s matches ", d->host);
        say_destination(e, q);
    }
    if (tls != &d->tls)
        say(e, ", with settings of its own for port %u", q->port);
    if (!tls->present)
        say(e, ", but says nothing of tls");
    else if (tls->mode == TLS_UNSET)
        say(e, "; tls without a mode is DISABLE");
}

static void explain_dest(struct explaining *e, const struct policy_query *q, const struct policy_match *m,
                         const struct policy_dest *d, bool decided) {
    const struct policy_dest *w = m->dest;
    int rank = rank_of(e->p, q, d->o.ns);
    if (d == w)
        say_dest_winner(e, q, m);
    else if (!policy_query_host_matches(q, d)) {
        say(e, "host %s does not match ", d->host);
        say_destination(e, q);
    } else if (rank == 3)
        say(e, "namespace '%s' is not searched: it is neither the program's ('%s')%s%s%s nor the root ('%s')",
            d->o.ns, q->own_ns, q->service_ns ? ", the service's ('" : "", q->service_ns ? q->service_ns : "",
            q->service_ns ? "')" : "", e->p->mesh.root_namespace);
    else if (!policy_dest_visible(d, q->own_ns))
        say(e, "exportTo hides it from namespace '%s'", q->own_ns);
    else if (w && rank > rank_of(e->p, q, w->o.ns))
        say(e, "namespace '%s' is searched only when '%s' has no match, and there is [%s] on line %d",
            d->o.ns, w->o.ns, w->o.section, w->o.line);
    else if (w && strcmp(w->host, d->host) == 0)
        say_loser(e, "names the same host as, and comes later than,", &w->o);
    else if (w)
        say_loser(e, "less specific than", &w->o);
    emit(e, policy_rule_of(e->p, &d->o, NULL), decided);
}

static void explain_automatic(struct explaining *e, const struct policy_query *q,
                              const struct policy_outbound *out) {
    const struct policy_service *s = q->service;
    bool on = policy_query_automatic(e->p, q);
    if (!s)
        say(e, "no [Service] lives there, so nothing tells that it speaks mutual TLS: plain TCP");
    else if (on)
        say(e, "[%s] is backed by workloads in the mesh that accept mutual TLS on this port", s->o.section);
    else if (s->external)
        say(e, "[%s] is external: plain TCP", s->o.section);
    else if (!s->workload_count)
        say(e, "[%s] has no [Workload], so nothing tells that it speaks mutual TLS: plain TCP", s->o.section);
    else
        say(e, "a workload of [%s] is outside the mesh or accepts plain TCP only on this port: plain TCP",
            s->o.section);
    struct policy_rule rule = policy_rule_of(e->p, NULL, on ? out->rule.section : "no rule");
    emit(e, rule, true);
}

void policy_explain_outbound(const struct policy *p, const struct policy_self *self,
                             const struct sockaddr *dest, const char *name, policy_step_fn *step, void *arg,
                             struct policy_outbound *out) {
    struct explaining e = {.p = p, .step = step, .arg = arg};
    struct policy_query q;
    policy_query_init(p, self, dest, name, &q);
    struct policy_match m = policy_query_match(p, &q);
    policy_outbound_fill(p, &q, &m, out);
    bool ruled = m.dest && policy_query_tls(&q, m.dest)->present;
    for (const struct policy_object *o = p->first[KIND_DESTINATION_RULE]; o; o = o->next) {
        const struct policy_dest *d = (const struct policy_dest *)o;
        explain_dest(&e, &q, &m, d, d == m.dest && ruled);
    }
    if (!ruled)
        explain_automatic(&e, &q, out);
}
