/* policy_outbound.c - the connecting side: from the rule to the answer. Which rule it is says
 * policy_query.c. */
#include "policy_table.h"

#include <string.h>

/* Only towards workloads that are known to speak it (Istio: auto mTLS). */
bool policy_query_automatic(const struct policy *p, const struct policy_query *q) {
    const struct policy_service *s = q->service;
    if (!s || s->external || s->workload_count == 0)
        return false;
    for (size_t i = 0; i < s->workload_count; i++) {
        struct policy_target t;
        struct policy_accepted d;
        policy_target_of(s->workloads[i], policy_service_target(s, q->port), &t);
        policy_accept_decide(p, &t, &d);
        if (s->workloads[i]->outside || d.mode == MTLS_DISABLE)
            return false;
    }
    return true;
}

static bool mesh_identity(enum tls_mode mode) {
    return mode == TLS_ISTIO_MUTUAL || mode == TLS_PERMISSIVE;
}

/* The name the destination goes by, NULL: only its address is known. */
static const char *host_of(const struct policy_query *q, const struct policy_match *m, enum tls_mode mode) {
    if (!q->service && q->raw[0] && !mesh_identity(mode))
        return q->raw; /* a foreign certificate carries the name as the program knows it */
    if (m->host)
        return m->host;
    if (q->service)
        return q->service->host;
    return q->raw[0] ? q->raw : NULL;
}

static void fill_names(const struct policy *p, const struct policy_query *q, const struct policy_match *m,
                       const struct policy_tls *tls, struct policy_outbound *out) {
    static const char *const nobody[] = {"out-of-memory.invalid"};
    const char *host = host_of(q, m, out->mode);
    bool mesh = mesh_identity(out->mode);
    char literal[POLICY_ADDRESS_TEXT];
    const char *as = host;
    if (!as && !mesh) {
        policy_address_text(&q->address, literal);
        as = literal;
    }
    const struct policy_interned *known = as ? policy_intern(p, as, q->port) : NULL;
    const struct policy_list *sans = tls && tls->sans.count ? &tls->sans : NULL;
    if (!sans && mesh && q->service && q->service->identities.count)
        sans = &q->service->identities;
    if (host && known) {
        out->host = known->host;
        out->sni = mesh ? known->sni : known->host;
    }
    if (tls && tls->sni)
        out->sni = tls->sni;
    if (sans) {
        out->subject_alt_names = sans->items;
        out->subject_alt_name_count = sans->count;
    } else if (mesh) {
        out->any_of_trust_domain = true;
    } else if (!out->insecure_skip_verify) {
        out->subject_alt_names = known ? known->names : nobody;
        out->subject_alt_name_count = 1;
    }
}

void policy_outbound_fill(const struct policy *p, const struct policy_query *q, const struct policy_match *m,
                          struct policy_outbound *out) {
    const struct policy_tls *tls = m->dest ? policy_query_tls(q, m->dest) : NULL;
    if (tls && !tls->present)
        tls = NULL;
    *out = (struct policy_outbound){.mode = TLS_DISABLE, .tls_in_tls = TLS_IN_TLS_WRAP};
    out->rule = policy_rule_of(p, m->dest ? &m->dest->o : NULL, "no rule");
    if (tls) {
        out->mode = tls->mode == TLS_UNSET ? TLS_DISABLE : tls->mode;
        out->tls_in_tls = tls->tls_in_tls;
    } else if (policy_query_automatic(p, q)) {
        out->mode = TLS_ISTIO_MUTUAL;
        out->rule =
            policy_rule_of(p, NULL, "automatic mutual TLS, the destination's workload is in the mesh");
    }
    if (out->mode == TLS_DISABLE) {
        out->host = q->service ? q->service->host : NULL;
        return;
    }
    if (tls) {
        out->ca_certificates = tls->ca;
        out->client_certificate = tls->certificate;
        out->private_key = tls->key;
        out->insecure_skip_verify = tls->skip_verify;
    }
    fill_names(p, q, m, tls, out);
}

void policy_outbound(const struct policy *p, const struct policy_self *self, const struct sockaddr *dest,
                     const char *name, struct policy_outbound *out) {
    struct policy_query q;
    policy_query_init(p, self, dest, name, &q);
    struct policy_match m = policy_query_match(p, &q);
    policy_outbound_fill(p, &q, &m, out);
}
