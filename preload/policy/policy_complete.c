/* policy_complete.c - what the file leaves out: default namespaces, full names, who backs which
 * service and under which identities. Runs between reading and checking; judges only names. */
#include "policy_table.h"

#include <string.h>

static bool has_selector(const struct policy_accept *a) {
    return a->o.labels != NULL;
}

/* What Istio would not look at; it must not look protected, hence the warning. */
static void mark_ignored(struct policy_reading *r, struct policy_accept *a) {
    bool is_default = strcmp(a->o.name, "default") == 0;
    if (a->o.kind == KIND_MESH_POLICY && !is_default) {
        a->ignored = true;
        policy_warn(r, a->o.line, "[%s] is ignored: only a MeshPolicy called 'default' counts", a->o.section);
    } else if (a->o.kind == KIND_POLICY && !a->targets.count && !is_default) {
        a->ignored = true;
        policy_warn(
            r, a->o.line,
            "[%s] is ignored: without targets only a Policy called 'default' counts, for its whole namespace",
            a->o.section);
    } else if (a->o.kind == KIND_PEER_AUTHENTICATION && has_selector(a) &&
               strcmp(a->o.ns, r->p->mesh.root_namespace) == 0) {
        a->ignored = true;
        policy_warn(r, a->o.line, "[%s] is ignored: a selector has no meaning in the root namespace '%s'",
                    a->o.section, a->o.ns);
    }
}

static char *full_name(struct policy *p, const struct policy_object *o, const char *name) {
    return policy_pool_join(&p->pool,
                            (const char *const[]){name, ".", o->ns, ".svc.", p->mesh.cluster_domain, NULL});
}

static void complete_object(struct policy_reading *r, struct policy_object *o) {
    struct policy *p = r->p;
    if (o->kind == KIND_SERVICE) {
        struct policy_service *s = (struct policy_service *)o;
        /* As a ServiceEntry's, the hosts of an external service are its only names. */
        s->fqdn = s->external && s->hosts.count ? s->hosts.items[0] : full_name(p, o, o->name);
        s->host = s->hosts.count ? s->hosts.items[0] : s->fqdn;
    } else if (o->kind == KIND_WORKLOAD) {
        struct policy_workload *w = (struct policy_workload *)o;
        w->fqdn = full_name(p, o, o->name);
        if (!w->services.count)
            policy_list_add(&p->pool, &w->services, o->name);
    } else if (o->kind == KIND_DESTINATION_RULE) {
        struct policy_dest *d = (struct policy_dest *)o;
        if (d->host && d->form == HOST_NAME && !strchr(d->host, '.'))
            d->host = full_name(p, o, d->host);
    } else {
        mark_ignored(r, (struct policy_accept *)o);
    }
    if (o->kind == KIND_PEER_AUTHENTICATION)
        p->any_peer = true;
}

void policy_complete_names(struct policy_reading *r) {
    for (int kind = KIND_MESH_POLICY; kind < KIND_COUNT; kind++)
        for (struct policy_object *o = r->p->first[kind]; o; o = o->next) {
            if (!o->name) {
                policy_fail(r, o->line,
                            "found [%s] without a name, expected [%s NAMESPACE/NAME] or metadata.name",
                            o->section, policy_kind_name((enum policy_kind)kind));
                continue;
            }
            if (!o->ns)
                o->ns = kind == KIND_MESH_POLICY ? "" : r->p->mesh.mesh.namespace_;
            if (!strchr(o->section, ' ')) /* named by metadata */
                o->section = *o->ns
                                 ? policy_pool_join(&r->p->pool, (const char *const[]){o->section, " ", o->ns,
                                                                                       "/", o->name, NULL})
                                 : policy_pool_join(&r->p->pool,
                                                    (const char *const[]){o->section, " ", o->name, NULL});
            complete_object(r, o);
        }
}

static void link_workload(struct policy *p, struct policy_service *s, struct policy_workload *w) {
    if (s->workload_count == s->workload_room) {
        size_t room = s->workload_room ? 2 * s->workload_room : 2;
        struct policy_workload **more = policy_pool_alloc(&p->pool, room * sizeof(struct policy_workload *));
        if (!more)
            return;
        if (s->workload_count)
            memcpy(more, s->workloads, s->workload_count * sizeof(struct policy_workload *));
        s->workloads = more;
        s->workload_room = room;
    }
    s->workloads[s->workload_count++] = w;
}

static void add_identity(struct policy *p, struct policy_service *s, const char *ns, const char *account) {
    const char *uri = policy_pool_join(&p->pool, (const char *const[]){"spiffe://", p->mesh.mesh.trust_domain,
                                                                       "/ns/", ns, "/sa/", account, NULL});
    if (uri && !policy_list_has(&s->identities, uri))
        policy_list_add(&p->pool, &s->identities, uri);
}

static void complete_workload(struct policy *p, struct policy_workload *w) {
    w->effective_account = w->account;
    for (size_t i = 0; i < w->services.count; i++) {
        struct policy_service *s = policy_index_service(p, w->o.ns, w->services.items[i]);
        if (!s)
            continue;
        link_workload(p, s, w);
        if (!w->effective_account)
            w->effective_account = s->account;
    }
    if (!w->effective_account)
        w->effective_account = w->o.name;
    for (size_t i = 0; i < w->services.count; i++) {
        struct policy_service *s = policy_index_service(p, w->o.ns, w->services.items[i]);
        if (s && !w->outside)
            add_identity(p, s, w->o.ns, w->effective_account);
    }
}

void policy_complete_links(struct policy_reading *r) {
    struct policy *p = r->p;
    for (struct policy_object *o = p->first[KIND_SERVICE]; o; o = o->next) {
        struct policy_service *s = (struct policy_service *)o;
        if (s->account && o->name)
            add_identity(p, s, o->ns, s->account);
    }
    for (struct policy_object *o = p->first[KIND_WORKLOAD]; o; o = o->next)
        if (o->name)
            complete_workload(p, (struct policy_workload *)o);
}
