/* policy_check.c - whether keys fit together and sections do not collide. Reports only; nothing is
 * changed here. What would be unsafe and is silent in Istio is refused. */
#include "policy_table.h"

#include <string.h>

static const char *const field_names[TLS_FIELD_COUNT] = {
    [TLS_FIELD_MODE] = "mode",
    [TLS_FIELD_SANS] = "subjectAltNames",
    [TLS_FIELD_SNI] = "sni",
    [TLS_FIELD_CA] = "caCertificates",
    [TLS_FIELD_CERTIFICATE] = "clientCertificate",
    [TLS_FIELD_KEY] = "privateKey",
    [TLS_FIELD_SKIP_VERIFY] = "insecureSkipVerify",
    [TLS_FIELD_TLS_IN_TLS] = "tlsInTls",
};

/* Where a finding about one tls.* group points. */
struct tls_check {
    struct policy_reading *r;
    const struct policy_tls *tls;
    const char *section;
    char prefix[40]; /* "tls." or "portLevelSettings.PORT.tls." */
};

static void forbid(const struct tls_check *c, enum tls_field field, const char *mode, const char *expected) {
    if (c->tls->line[field])
        policy_fail(c->r, c->tls->line[field], "found '%s%s' with mode %s in [%s], expected %s", c->prefix,
                    field_names[field], mode, c->section, expected);
}

static void check_mutual(const struct tls_check *c) {
    static const enum tls_field needed[] = {TLS_FIELD_CERTIFICATE, TLS_FIELD_KEY};
    for (size_t i = 0; i < 2; i++)
        if (!c->tls->line[needed[i]])
            policy_fail(c->r, c->tls->line[TLS_FIELD_MODE],
                        "mode MUTUAL without '%s%s' in [%s], expected clientCertificate and privateKey",
                        c->prefix, field_names[needed[i]], c->section);
}

static void check_own_identity(const struct tls_check *c, const char *mode) {
    static const char expected[] = "none: this mode uses the mesh's own certificates (MUTUAL takes files)";
    forbid(c, TLS_FIELD_CA, mode, expected);
    forbid(c, TLS_FIELD_CERTIFICATE, mode, expected);
    forbid(c, TLS_FIELD_KEY, mode, expected);
    forbid(c, TLS_FIELD_SKIP_VERIFY, mode, "none: the peer's identity is always verified in this mode");
}

static void check_disable(const struct tls_check *c) {
    int first = 0;
    for (int i = 1; i < TLS_FIELD_COUNT; i++)
        if (c->tls->line[i] && (!first || c->tls->line[i] < first))
            first = c->tls->line[i];
    if (!c->tls->line[TLS_FIELD_MODE])
        policy_warn(c->r, first, "'%s' keys without '%smode' in [%s] mean DISABLE: plaintext", c->prefix,
                    c->prefix, c->section);
    else if (first)
        policy_warn(c->r, first, "'%s' keys have no effect with mode DISABLE in [%s]", c->prefix, c->section);
}

static void check_tls(struct policy_reading *r, const struct policy_tls *tls, const struct policy_object *o,
                      uint16_t port) {
    struct tls_check c = {.r = r, .tls = tls, .section = o->section};
    if (!tls->present)
        return;
    char *end = stpcpy(c.prefix, port ? "portLevelSettings." : "");
    if (port) {
        char digits[6];
        size_t n = sizeof digits;
        digits[--n] = '\0';
        for (unsigned v = port; v; v /= 10)
            digits[--n] = (char)('0' + v % 10);
        end = stpcpy(stpcpy(end, digits + n), ".");
    }
    stpcpy(end, "tls.");
    if (tls->mode == TLS_ISTIO_MUTUAL)
        check_own_identity(&c, "ISTIO_MUTUAL");
    else if (tls->mode == TLS_PERMISSIVE)
        check_own_identity(&c, "PERMISSIVE");
    else if (tls->mode == TLS_MUTUAL)
        check_mutual(&c);
    else if (tls->mode == TLS_SIMPLE) {
        forbid(&c, TLS_FIELD_CERTIFICATE, "SIMPLE", "none: SIMPLE sends no certificate (MUTUAL does)");
        forbid(&c, TLS_FIELD_KEY, "SIMPLE", "none: SIMPLE sends no certificate (MUTUAL does)");
    } else if (tls->mode == TLS_DISABLE || !tls->line[TLS_FIELD_MODE]) {
        check_disable(&c);
    }
    if (tls->skip_verify && (tls->mode == TLS_SIMPLE || tls->mode == TLS_MUTUAL)) {
        forbid(&c, TLS_FIELD_CA, "insecureSkipVerify = true", "only one of the two");
        forbid(&c, TLS_FIELD_SANS, "insecureSkipVerify = true", "only one of the two");
        policy_warn(r, tls->line[TLS_FIELD_SKIP_VERIFY],
                    "insecureSkipVerify in [%s]: anybody can pose as the server", o->section);
    }
}

static void check_dest(struct policy_reading *r, const struct policy_dest *d) {
    enum index_tag tags[] = {INDEX_DEST_NAME, INDEX_DEST_WILDCARD, INDEX_DEST_ADDRESS};
    const struct policy_dest *first = NULL;
    if (!d->host) {
        if (!d->host_line) /* else the value was refused already */
            policy_fail(r, d->o.line, "[%s] has no host, expected 'host = NAME, WILDCARD or ADDRESS'",
                        d->o.section);
        return;
    }
    if (d->form == HOST_ADDRESS) {
        uint8_t key[19];
        size_t len = policy_index_address_key(&d->address, 0, key);
        const struct index_entry *e = policy_index_find(r->p, tags[d->form], d->o.ns, key, len);
        first = e ? e->value : NULL;
    } else {
        first = policy_index_get(r->p, tags[d->form], d->o.ns, d->host + (d->form == HOST_WILDCARD));
    }
    if (first && first != d)
        policy_warn(r, d->o.line,
                    "[%s] names the same host '%s' as [%s] on line %d, which comes first and wins",
                    d->o.section, d->host, first->o.section, first->o.line);
    check_tls(r, &d->tls, &d->o, 0);
    for (const struct policy_port *port = d->o.ports; port; port = port->next)
        check_tls(r, &port->tls, &d->o, port->port);
}

static void warn_scope(struct policy_reading *r, const struct policy_accept *a,
                       const struct policy_accept *first) {
    if (first && first != a)
        policy_warn(r, a->o.line, "[%s] has the same scope as [%s] on line %d, which comes first and wins",
                    a->o.section, first->o.section, first->o.line);
}

static bool same_labels(const struct policy_label *a, const struct policy_label *b) {
    size_t n = 0, m = 0;
    for (const struct policy_label *l = a; l; l = l->next, n++) {
        const struct policy_label *k = b;
        while (k && (strcmp(k->key, l->key) != 0 || strcmp(k->value, l->value) != 0))
            k = k->next;
        if (!k)
            return false;
    }
    for (; b; b = b->next)
        m++;
    return n == m;
}

static void check_peer(struct policy_reading *r, const struct policy_accept *a) {
    const struct policy *p = r->p;
    for (const struct policy_port *port = a->o.ports; port && !a->o.labels; port = port->next)
        policy_fail(r, port->line,
                    "found 'portLevelMtls.%u.mode' in [%s], expected a selector.matchLabels with it",
                    port->port, a->o.section);
    if (a->ignored)
        return;
    if (!a->o.labels) {
        bool root = strcmp(a->o.ns, p->mesh.root_namespace) == 0;
        warn_scope(r, a, root ? p->mesh_peer : policy_index_get(p, INDEX_PEER_NAMESPACE, "", a->o.ns));
        return;
    }
    char label[2 * POLICY_LINE_MAX];
    stpcpy(stpcpy(stpcpy(label, a->o.labels->key), "="), a->o.labels->value);
    const struct policy_accept *first = policy_index_get(p, INDEX_PEER_LABEL, a->o.ns, label);
    if (first && same_labels(a->o.labels, first->o.labels))
        warn_scope(r, a, first);
}

static void check_policy(struct policy_reading *r, const struct policy_accept *a) {
    if (a->targets.count && strcmp(a->o.name, "default") == 0)
        policy_fail(r, a->o.line,
                    "found targets in [%s], expected none: the name 'default' means the whole namespace",
                    a->o.section);
    if (a->target_port_count && !a->targets.count)
        policy_fail(r, a->o.line, "found targets.ports without targets in [%s], expected both", a->o.section);
    if (!a->mode_line && !a->ignored)
        policy_warn(r, a->o.line, "[%s] has no mtls.mode, which turns mutual TLS off%s", a->o.section,
                    a->o.ports ? " for all other ports" : "");
    if (a->ignored || a->o.kind == KIND_MESH_POLICY)
        return;
    if (!a->targets.count)
        warn_scope(r, a, policy_index_get(r->p, INDEX_POLICY_NAMESPACE, "", a->o.ns));
    for (size_t i = 0; i < a->targets.count && !a->target_port_count; i++) {
        const struct policy_accept *first =
            policy_index_get(r->p, INDEX_POLICY_TARGET, a->o.ns, a->targets.items[i]);
        if (first && first->o.order < a->o.order && !first->target_port_count) {
            warn_scope(r, a, first);
            break;
        }
    }
}

static void check_service(struct policy_reading *r, const struct policy_service *s) {
    if (s->external && !s->hosts.count && !s->address_count)
        policy_warn(r, s->o.line, "[%s] is external but has neither hosts nor address: nothing can match it",
                    s->o.section);
}

static void check_object(struct policy_reading *r, const struct policy_object *o) {
    for (const struct index_entry *e = policy_index_find(r->p, INDEX_OBJECT, o->ns, o->name, strlen(o->name));
         e; e = policy_index_next(e)) {
        const struct policy_object *first = e->value;
        if (first == o)
            break;
        if (first->kind == o->kind) {
            policy_fail(r, o->line, "found [%s] a second time, expected it once (the first is on line %d)",
                        o->section, first->line);
            break;
        }
    }
    if (o->kind == KIND_DESTINATION_RULE)
        check_dest(r, (const struct policy_dest *)o);
    else if (o->kind == KIND_PEER_AUTHENTICATION)
        check_peer(r, (const struct policy_accept *)o);
    else if (o->kind == KIND_POLICY || o->kind == KIND_MESH_POLICY)
        check_policy(r, (const struct policy_accept *)o);
    else if (o->kind == KIND_SERVICE)
        check_service(r, (const struct policy_service *)o);
}

void policy_check_all(struct policy_reading *r) {
    for (int kind = KIND_MESH_POLICY; kind < KIND_COUNT; kind++)
        for (const struct policy_object *o = r->p->first[kind]; o; o = o->next)
            if (o->ns && o->name)
                check_object(r, o);
}
