/* test_policy_property.c - random tables and questions, answered twice: by the policy table and by a
 * matcher that knows no index, no order of search and no shortcut. It reads the rules as they were
 * drawn, never as they were parsed. */
#include "test_policy.h"

#include <stdarg.h>

enum { RULES = 8, SERVICES = 3, NAMESPACES = 3, ROUNDS = 4000 };

static const char *const spaces[NAMESPACES] = {"a", "b", "istio-system"};
static const char *const services[SERVICES] = {"s0", "s1", "s2"};
static const char *const mtls_words[] = {"UNSET", "DISABLE", "PERMISSIVE", "STRICT"};
static const char *const tls_words[] = {"", "DISABLE", "SIMPLE", "", "ISTIO_MUTUAL", "PERMISSIVE"};
static const char *const hosts[] = {"s0",
                                    "s1",
                                    "s0.a.svc.cluster.local",
                                    "s1.b.svc.cluster.local",
                                    "x.example.com",
                                    "*.local",
                                    "*.a.svc.cluster.local",
                                    "*.svc.cluster.local",
                                    "*.example.com",
                                    "*.com",
                                    "*",
                                    "127.0.0.0/8",
                                    "127.1.0.0/16",
                                    "127.1.0.0/24",
                                    "127.1.0.1",
                                    "192.0.2.0/24"};
enum { HOSTS = sizeof hosts / sizeof *hosts };

enum accept_kind { MESH_POLICY, POLICY, PEER };
struct accept_rule {
    enum accept_kind kind;
    int ns, service; /* service: target or label, -1: none */
    enum mtls_mode mode, port_mode;
    int port; /* 0: no port level */
};
struct dest_rule {
    int ns, host;
    enum tls_mode mode, port_mode; /* TLS_UNSET: no tls keys */
    int port;
};
struct world {
    struct accept_rule accept[RULES];
    struct dest_rule dest[RULES];
    size_t accepts, dests;
    bool in_mesh[NAMESPACES][SERVICES], has_workload[NAMESPACES][SERVICES];
    char text[8192];
};

static uint32_t state;
static int draw(int n) { /* xorshift32: the seed alone decides the run */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (int)(state % (uint32_t)n);
}

__attribute__((format(printf, 2, 3))) static void put(struct world *w, const char *fmt, ...) {
    size_t n = strlen(w->text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->text + n, sizeof w->text - n, fmt, ap);
    va_end(ap);
}

/* [MeshPolicy default] and [Policy NAMESPACE/default] can stand only once. */
static bool taken(const struct world *w, size_t upto, const struct accept_rule *r) {
    for (size_t i = 0; i < upto; i++) {
        const struct accept_rule *o = &w->accept[i];
        if (o->kind == r->kind && r->kind != PEER && o->service < 0 && r->service < 0 &&
            (r->kind == MESH_POLICY || o->ns == r->ns))
            return true;
    }
    return false;
}

static void put_accept(struct world *w, const struct accept_rule *r, size_t i) {
    if (r->kind == MESH_POLICY)
        put(w, "[MeshPolicy default]\n");
    else if (r->kind == POLICY && r->service < 0)
        put(w, "[Policy %s/default]\n", spaces[r->ns]);
    else if (r->kind == POLICY)
        put(w, "[Policy %s/p%zu]\ntargets = %s\n", spaces[r->ns], i, services[r->service]);
    else
        put(w, "[PeerAuthentication %s/p%zu]\n", spaces[r->ns], i);
    if (r->kind == PEER && r->service >= 0)
        put(w, "selector.matchLabels.app = %s\n", services[r->service]);
    put(w, "mtls.mode = %s\n", mtls_words[r->mode]);
    if (r->port)
        put(w, "portLevelMtls.%d.mode = %s\n", r->port, mtls_words[r->port_mode]);
}

static void draw_accept(struct world *w, size_t i) {
    struct accept_rule *r = &w->accept[i];
    *r = (struct accept_rule){.kind = draw(4) == 0 ? MESH_POLICY
                                      : draw(2)    ? POLICY
                                                   : PEER,
                              .ns = draw(NAMESPACES),
                              .service = draw(SERVICES + 2) - 2,
                              .mode = draw(3) + 1,
                              .port_mode = draw(3) + 1};
    if (r->service < 0 || r->kind == MESH_POLICY)
        r->service = -1;
    if (taken(w, i, r)) {
        r->kind = POLICY;
        r->service = draw(SERVICES);
    }
    if (r->kind == PEER && draw(3) == 0)
        r->mode = MTLS_UNSET;
    if (r->kind == PEER && draw(3) == 0)
        r->port_mode = MTLS_UNSET;
    r->port = draw(3) == 0 && (r->kind != PEER || r->service >= 0) ? 80 + draw(2) : 0;
    put_accept(w, r, i);
}

static void draw_dest(struct world *w, size_t i) {
    static const enum tls_mode modes[] = {TLS_UNSET, TLS_DISABLE, TLS_SIMPLE, TLS_ISTIO_MUTUAL,
                                          TLS_PERMISSIVE};
    struct dest_rule *r = &w->dest[i];
    *r = (struct dest_rule){draw(NAMESPACES), draw(HOSTS), modes[draw(5)], modes[draw(5)],
                            draw(3) ? 0 : 80 + draw(2)};
    put(w, "[DestinationRule %s/d%zu]\nhost = %s\n", spaces[r->ns], i, hosts[r->host]);
    if (r->mode)
        put(w, "tls.mode = %s\n", tls_words[r->mode]);
    if (r->port && r->port_mode)
        put(w, "portLevelSettings.%d.tls.mode = %s\n", r->port, tls_words[r->port_mode]);
    else if (r->port)
        put(w, "portLevelSettings.%d.port.number = %d\n", r->port, r->port);
}

/* Services live at 127.1.NS.1+SERVICE; service port 80 is target 81 and the other way round. */
static void draw_world(struct world *w) {
    memset(w, 0, sizeof *w);
    w->accepts = (size_t)draw(RULES + 1);
    w->dests = (size_t)draw(RULES + 1);
    for (size_t i = 0; i < w->accepts; i++)
        draw_accept(w, i);
    for (size_t i = 0; i < w->dests; i++)
        draw_dest(w, i);
    for (int ns = 0; ns < NAMESPACES; ns++)
        for (int s = 0; s < SERVICES; s++) {
            put(w, "[Service %s/%s]\naddress = 127.1.%d.%d\nports = 80:81, 81:80\n", spaces[ns], services[s],
                ns, s + 1);
            w->has_workload[ns][s] = draw(3) > 0;
            w->in_mesh[ns][s] = w->has_workload[ns][s] && draw(3) > 0;
            if (w->has_workload[ns][s])
                put(w, "[Workload %s/%s]\nmesh = %s\n", spaces[ns], services[s],
                    w->in_mesh[ns][s] ? "true" : "false");
        }
}

static const struct accept_rule *first_peer(const struct world *w, int ns, int service) {
    for (size_t i = 0; i < w->accepts; i++)
        if (w->accept[i].kind == PEER && w->accept[i].ns == ns && w->accept[i].service == service)
            return &w->accept[i];
    return NULL;
}

static const struct accept_rule *first_policy(const struct world *w, enum accept_kind kind, int ns,
                                              int service) {
    for (size_t i = 0; i < w->accepts; i++)
        if (w->accept[i].kind == kind && (kind == MESH_POLICY || w->accept[i].ns == ns) &&
            w->accept[i].service == service)
            return &w->accept[i];
    return NULL;
}

static enum mtls_mode naive_in(const struct world *w, int ns, int service, int port) {
    enum { ROOT = 2 };
    const struct accept_rule *mesh = first_peer(w, ROOT, -1),
                             *space = ns == ROOT ? NULL : first_peer(w, ns, -1);
    const struct accept_rule *own = ns == ROOT ? NULL : first_peer(w, ns, service);
    bool any = false;
    for (size_t i = 0; i < w->accepts; i++)
        any |= w->accept[i].kind == PEER;
    if (mesh || space || own) {
        enum mtls_mode mode = MTLS_PERMISSIVE;
        mode = mesh && mesh->mode ? mesh->mode : mode;
        mode = space && space->mode ? space->mode : mode;
        mode = own && own->mode ? own->mode : mode;
        return own && own->port == port && own->port_mode ? own->port_mode : mode;
    }
    const struct accept_rule *r = first_policy(w, POLICY, ns, service);
    r = r ? r : first_policy(w, POLICY, ns, -1);
    r = r ? r : first_policy(w, MESH_POLICY, 0, -1);
    if (!r)
        return any ? MTLS_PERMISSIVE : MTLS_DISABLE;
    return r->port == port ? r->port_mode : r->mode;
}

/* How well a rule's host fits: 0 not at all; a higher one is more specific. */
static int naive_fit(const struct dest_rule *r, const char *fqdn, uint32_t address) {
    char host[128];
    const char *h = hosts[r->host], *slash = strchr(h, '/');
    struct in_addr net;
    size_t n = fqdn ? strlen(fqdn) : 0;
    snprintf(host, sizeof host, strchr(h, '.') || h[0] == '*' ? "%s" : "%s.%s.svc.cluster.local", h,
             spaces[r->ns]);
    if (strcmp(host, "*") == 0)
        return 1;
    if (host[0] == '*')
        return n >= strlen(host + 1) && strcmp(fqdn + n - strlen(host + 1), host + 1) == 0
                   ? 1000 + (int)strlen(host)
                   : 0;
    if (slash)
        host[slash - h] = '\0';
    if (inet_aton(host, &net)) {
        int bits = slash ? atoi(slash + 1) : 32;
        bool in =
            (ntohl(net.s_addr) ^ address) >> (32 - bits) == 0 || (bits == 32 && ntohl(net.s_addr) == address);
        return !in ? 0 : bits == 32 ? 5000 : 100 + bits;
    }
    return fqdn && strcmp(host, fqdn) == 0 ? 9000 : 0;
}

static const struct dest_rule *naive_match(const struct world *w, int own, int service_ns, const char *fqdn,
                                           uint32_t address) {
    int order[3] = {own, service_ns, 2};
    for (int k = 0; k < 3; k++) {
        const struct dest_rule *best = NULL;
        for (size_t i = 0; i < w->dests; i++)
            if (w->dest[i].ns == order[k] &&
                naive_fit(&w->dest[i], fqdn, address) > (best ? naive_fit(best, fqdn, address) : 0))
                best = &w->dest[i];
        if (best)
            return best;
    }
    return NULL;
}

static enum tls_mode naive_out(const struct world *w, const struct dest_rule *r, int ns, int service,
                               int port) {
    enum tls_mode mode = !r ? TLS_UNSET : r->port == port ? r->port_mode : r->mode;
    if (mode)
        return mode;
    if (service < 0 || !w->has_workload[ns][service] || !w->in_mesh[ns][service])
        return TLS_DISABLE;
    return naive_in(w, ns, service,
                    port == 80   ? 81
                    : port == 81 ? 80
                                 : port) == MTLS_DISABLE
               ? TLS_DISABLE
               : TLS_ISTIO_MUTUAL;
}

struct decided {
    int count, line;
};
static void step(void *arg, const struct policy_step *s) {
    struct decided *d = arg;
    if (s->decided) {
        d->count++;
        d->line = s->rule.line;
    }
    cr_expect_str_not_empty(s->reason);
}

static void check_in(const struct world *w, const struct policy *p) {
    int ns = draw(NAMESPACES), service = draw(SERVICES), port = 80 + draw(3);
    char as[32], local[32];
    snprintf(as, sizeof as, "%s/%s", spaces[ns], services[service]);
    snprintf(local, sizeof local, "0.0.0.0:%d", port);
    enum mtls_mode expected = naive_in(w, ns, service, port);
    struct policy_inbound in = test_in(p, as, local), again;
    cr_assert_eq(in.mode, expected, "%s\n%s at %s: %s, naive %s", w->text, as, local, mtls_words[in.mode],
                 mtls_words[expected]);
    struct decided d = {0, -1};
    struct policy_self self;
    struct sockaddr_storage ss = test_address(local);
    cr_assert(policy_self(p, as, &self));
    policy_explain_inbound(p, &self, (const struct sockaddr *)&ss, step, &d, &again);
    cr_assert(d.count == 1 && d.line == in.rule.line && again.mode == in.mode, "%s\n%s at %s", w->text, as,
              local);
    snprintf(local, sizeof local, "127.1.%d.%d:%d", ns, service + 1,
             port); /* the same by its address alone */
    cr_assert_eq(test_in(p, NULL, local).mode, expected, "%s\n%s", w->text, local);
}

static void check_out(const struct world *w, const struct policy *p) {
    static const char *const names[] = {NULL, "x.example.com", "y.example.com", "example.com", "z.org"};
    int own = draw(NAMESPACES), ns = draw(NAMESPACES), service = draw(SERVICES + 2) - 2, port = 80 + draw(3);
    char as[32], dest[32], fqdn[64];
    const char *name = NULL;
    snprintf(as, sizeof as, "%s/client", spaces[own]);
    if (service >= 0) {
        snprintf(dest, sizeof dest, "127.1.%d.%d:%d", ns, service + 1, port);
        snprintf(fqdn, sizeof fqdn, "%s.%s.svc.cluster.local", services[service], spaces[ns]);
        name = draw(2) ? fqdn : NULL;
    } else {
        name = names[draw(5)];
        snprintf(dest, sizeof dest, "%s:%d", draw(2) ? "127.9.0.1" : "192.0.2.7", port);
    }
    struct sockaddr_storage ss = test_address(dest);
    struct sockaddr_in in;
    memcpy(&in, &ss, sizeof in);
    const struct dest_rule *r =
        naive_match(w, own, service >= 0 ? ns : own, service >= 0 ? fqdn : name, ntohl(in.sin_addr.s_addr));
    enum tls_mode expected = naive_out(w, r, ns, service, port);
    struct policy_outbound out = test_out(p, as, dest, name), again;
    cr_assert_eq(out.mode, expected, "%s\n%s to %s (%s): %d by [%s], naive %d", w->text, as, dest,
                 test_or(name), out.mode, out.rule.section, expected);
    struct decided d = {0, -1};
    struct policy_self self;
    cr_assert(policy_self(p, as, &self));
    policy_explain_outbound(p, &self, (const struct sockaddr *)&ss, name, step, &d, &again);
    cr_assert(d.count == 1 && again.mode == out.mode && again.rule.line == out.rule.line, "%s\n%s to %s",
              w->text, as, dest);
}

Test(policy_property, both_matchers_agree) {
    static struct world w;
    for (uint32_t seed = 1; seed <= ROUNDS; seed++) {
        struct test_findings f;
        state = seed * 2654435761u;
        draw_world(&w);
        struct policy *p = test_parse(w.text, &f);
        cr_assert_not_null(p, "seed %u\n%s%s", seed, f.text, w.text);
        for (int i = 0; i < 12; i++) {
            check_in(&w, p);
            check_out(&w, p);
        }
        policy_free(p);
    }
}
