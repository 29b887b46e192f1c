/* test_policy_inbound.c - what accepting sides demand: precedence within Policy, merging within
 * PeerAuthentication, one against the other, and how an address becomes a workload. */
#include "test_policy.h"

struct question {
    const char *as, *local;
    enum mtls_mode mode;
    int line; /* of the rule that decides, 0: none */
};
struct table {
    const char *text;
    struct question q[14];
};

static void ask(const struct table *t, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct policy *p = test_table(t[i].text);
        for (const struct question *q = t[i].q; q->local; q++) {
            struct policy_inbound in = test_in(p, q->as, q->local);
            cr_expect_eq(in.mode, q->mode, "%s%s at %s: mode %d by [%s]", t[i].text, test_or(q->as), q->local,
                         in.mode, in.rule.section);
            cr_expect_eq(in.rule.line, q->line, "%s%s at %s: line %d [%s]", t[i].text, test_or(q->as),
                         q->local, in.rule.line, in.rule.section);
        }
        policy_free(p);
    }
}

static const struct table old_api[] = {
    {"", {{NULL, "127.0.0.1:80", MTLS_DISABLE, 0}, {"a/b", "127.0.0.1:80", MTLS_DISABLE, 0}}},
    {"[MeshPolicy default]\nmtls.mode = STRICT\n",
     {{NULL, "127.0.0.1:80", MTLS_STRICT, 1}, {"a/b", "[::]:80", MTLS_STRICT, 1}}},
    {"[MeshPolicy default]\nmtls.mode = PERMISSIVE\n", {{NULL, "127.0.0.1:80", MTLS_PERMISSIVE, 1}}},
    {"[MeshPolicy default]\nmtls.mode = DISABLE\n", {{NULL, "127.0.0.1:80", MTLS_DISABLE, 1}}},
    {"[MeshPolicy default]\n", {{NULL, "127.0.0.1:80", MTLS_DISABLE, 1}}},
    {"[MeshPolicy other]\nmtls.mode = STRICT\n", {{NULL, "127.0.0.1:80", MTLS_DISABLE, 0}}},
    {"[MeshPolicy]\nmetadata.name = default\nmtls.mode = STRICT\n", {{NULL, "127.0.0.1:80", MTLS_STRICT, 1}}},
    /* service > namespace > mesh, whatever the order in the file */
    {"[Policy t/s]\ntargets = s\nmtls.mode = DISABLE\n"
     "[Policy t/default]\nmtls.mode = PERMISSIVE\n"
     "[MeshPolicy default]\nmtls.mode = STRICT\n",
     {{"t/s", "127.0.0.1:80", MTLS_DISABLE, 1},
      {"t/other", "127.0.0.1:80", MTLS_PERMISSIVE, 4},
      {"u/s", "127.0.0.1:80", MTLS_STRICT, 6},
      {"s", "127.0.0.1:80", MTLS_STRICT, 6},
      {NULL, "127.0.0.1:80", MTLS_STRICT, 6}}},
    {"[MeshPolicy default]\nmtls.mode = STRICT\n"
     "[Policy t/default]\nmtls.mode = PERMISSIVE\n"
     "[Policy t/s]\ntargets = s\nmtls.mode = DISABLE\n",
     {{"t/s", "127.0.0.1:80", MTLS_DISABLE, 5}, {"t/x", "127.0.0.1:80", MTLS_PERMISSIVE, 3}}},
    /* replaced as a whole: no mode means off, and the broader port level does not shine through */
    {"[MeshPolicy default]\nmtls.mode = STRICT\nportLevelMtls.81.mode = PERMISSIVE\n"
     "[Policy t/s]\ntargets = s\nportLevelMtls.80.mode = STRICT\n",
     {{"t/s", "127.0.0.1:80", MTLS_STRICT, 4},
      {"t/s", "127.0.0.1:81", MTLS_DISABLE, 4},
      {"t/x", "127.0.0.1:81", MTLS_PERMISSIVE, 1},
      {"t/x", "127.0.0.1:80", MTLS_STRICT, 1}}},
    {"[Policy test1/httpbin]\ntargets = httpbin\nmtls.mode = STRICT\nportLevelMtls.8001.mode = DISABLE\n"
     "portLevelMtls.8002.mode = PERMISSIVE\n",
     {{"test1/httpbin", "127.0.0.1:8000", MTLS_STRICT, 1},
      {"test1/httpbin", "127.0.0.1:8001", MTLS_DISABLE, 1},
      {"test1/httpbin", "127.0.0.1:8002", MTLS_PERMISSIVE, 1}}},
    {"[Policy t/default]\nmtls.mode = STRICT\nportLevelMtls.81.mode = DISABLE\n",
     {{"t/a", "127.0.0.1:81", MTLS_DISABLE, 1}, {"t/a", "127.0.0.1:82", MTLS_STRICT, 1}}},
    /* a namespace rule has to be called default */
    {"[Policy t/everything]\nmtls.mode = STRICT\n", {{"t/a", "127.0.0.1:80", MTLS_DISABLE, 0}}},
    /* the default namespace is the table's */
    {"[Mesh]\nnamespace = t\n[Policy default]\nmtls.mode = STRICT\n",
     {{NULL, "127.0.0.1:80", MTLS_STRICT, 3},
      {"x", "127.0.0.1:80", MTLS_STRICT, 3},
      {"u/x", "127.0.0.1:80", MTLS_DISABLE, 0}}},
    /* several targets; the first in the file wins */
    {"[Policy t/a]\ntargets = x, y\nmtls.mode = STRICT\n[Policy t/b]\ntargets = y\ntargets = z\nmtls.mode = "
     "DISABLE\n",
     {{"t/x", "127.0.0.1:1", MTLS_STRICT, 1},
      {"t/y", "127.0.0.1:1", MTLS_STRICT, 1},
      {"t/z", "127.0.0.1:1", MTLS_DISABLE, 4}}},
    /* targets.ports: the service's port or the workload's */
    {"[Policy t/a]\ntargets = x\ntargets.ports = 80\nmtls.mode = STRICT\n[Policy t/default]\nmtls.mode = "
     "PERMISSIVE\n"
     "[Service t/x]\nports = 80:8080, 90:9090\n",
     {{"t/x", "127.0.0.1:8080", MTLS_STRICT, 1},
      {"t/x", "127.0.0.1:80", MTLS_STRICT, 1},
      {"t/x", "127.0.0.1:9090", MTLS_PERMISSIVE, 5}}},
};

Test(policy_inbound, old_api) {
    ask(old_api, sizeof old_api / sizeof *old_api);
}

#define WL "[Workload t/w]\nlabels.app = a\nlabels.version = v1\nservices = s\n"

static const struct table new_api[] = {
    /* start PERMISSIVE when any exists */
    {"[PeerAuthentication u/default]\nmtls.mode = STRICT\n",
     {{"u/x", "127.0.0.1:80", MTLS_STRICT, 1}, {"t/x", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
    {"[PeerAuthentication t/default]\n", {{"t/x", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
    {"[PeerAuthentication t/default]\nmtls.mode = UNSET\n", {{"t/x", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
    /* mesh -> namespace -> workload; any name will do */
    {"[PeerAuthentication istio-system/m]\nmtls.mode = STRICT\n"
     "[PeerAuthentication t/n]\nmtls.mode = DISABLE\n"
     "[PeerAuthentication t/w]\nselector.matchLabels.app = a\nmtls.mode = PERMISSIVE\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_PERMISSIVE, 5},
      {"t/a", "127.0.0.1:80", MTLS_PERMISSIVE, 5}, /* labelled app = a by its name alone */
      {"t/x", "127.0.0.1:80", MTLS_DISABLE, 3},
      {"u/w", "127.0.0.1:80", MTLS_STRICT, 1},
      {"istio-system/a", "127.0.0.1:80", MTLS_STRICT, 1},
      {NULL, "127.0.0.1:80", MTLS_STRICT, 1}}},
    {"[Mesh]\nrootNamespace = root\n[PeerAuthentication root/m]\nmtls.mode = STRICT\n"
     "[PeerAuthentication istio-system/n]\nmtls.mode = DISABLE\n",
     {{"t/x", "127.0.0.1:80", MTLS_STRICT, 3}, {"istio-system/x", "127.0.0.1:80", MTLS_DISABLE, 5}}},
    /* UNSET inherits */
    {"[PeerAuthentication istio-system/m]\nmtls.mode = STRICT\n[PeerAuthentication t/n]\nmtls.mode = UNSET\n"
     "[PeerAuthentication t/w]\nselector.matchLabels.app = a\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_STRICT, 1}, {"t/x", "127.0.0.1:80", MTLS_STRICT, 1}}},
    {"[PeerAuthentication istio-system/m]\nmtls.mode = UNSET\n[PeerAuthentication t/n]\nmtls.mode = "
     "DISABLE\n",
     {{"t/w", "127.0.0.1:80", MTLS_DISABLE, 3}, {"u/w", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
    /* port level: the workload's own only, UNSET inherits from the merged mode */
    {"[PeerAuthentication t/n]\nmtls.mode = STRICT\n"
     "[PeerAuthentication t/w]\nselector.matchLabels.app = a\nportLevelMtls.81.mode = "
     "DISABLE\nportLevelMtls.82.mode = UNSET\n"
     "portLevelMtls.83.mode = PERMISSIVE\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_STRICT, 1},
      {"t/w", "127.0.0.1:81", MTLS_DISABLE, 3},
      {"t/w", "127.0.0.1:82", MTLS_STRICT, 1},
      {"t/w", "127.0.0.1:83", MTLS_PERMISSIVE, 3},
      {"t/x", "127.0.0.1:81", MTLS_STRICT, 1}}},
    {"[PeerAuthentication t/w]\nselector.matchLabels.app = a\nmtls.mode = STRICT\nportLevelMtls.82.mode = "
     "UNSET\n" WL,
     {{"t/w", "127.0.0.1:82", MTLS_STRICT, 1}}},
    /* selectors: all labels count, another namespace does not */
    {"[PeerAuthentication t/p]\nselector.matchLabels.app = a\nselector.matchLabels.version = v2\nmtls.mode = "
     "STRICT\n"
     "[PeerAuthentication u/p]\nselector.matchLabels.app = a\nmtls.mode = DISABLE\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
    {"[PeerAuthentication t/p]\nselector.matchLabels = app=a, version=v1\nmtls.mode = STRICT\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_STRICT, 1}, {"t/a", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
    {"[PeerAuthentication t/p]\nselector.matchLabels.app = w\nmtls.mode = STRICT\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}}, /* own labels replace the implied one */
    {"[PeerAuthentication t/p]\nselector.matchLabels.app = w\nmtls.mode = STRICT\n[Workload t/w]\n",
     {{"t/w", "127.0.0.1:80", MTLS_STRICT, 1}}},
    /* the first of two that fit wins */
    {"[PeerAuthentication t/p]\nselector.matchLabels.version = v1\nmtls.mode = STRICT\n"
     "[PeerAuthentication t/q]\nselector.matchLabels.app = a\nmtls.mode = DISABLE\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_STRICT, 1}}},
    {"[PeerAuthentication t/p]\nmtls.mode = STRICT\n[PeerAuthentication t/q]\nmtls.mode = DISABLE\n",
     {{"t/w", "127.0.0.1:80", MTLS_STRICT, 1}}},
    /* a selector in the root namespace counts for nothing */
    {"[PeerAuthentication istio-system/p]\nselector.matchLabels.app = x\nmtls.mode = STRICT\n",
     {{"istio-system/x", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
    /* both APIs: the newer one wins for whom it names, the older one keeps the rest */
    {"[MeshPolicy default]\nmtls.mode = DISABLE\n[Policy t/s]\ntargets = s\nmtls.mode = DISABLE\n"
     "[PeerAuthentication t/p]\nselector.matchLabels.app = a\nmtls.mode = STRICT\n" WL,
     {{"t/w", "127.0.0.1:80", MTLS_STRICT, 6},
      {"t/s", "127.0.0.1:80", MTLS_DISABLE, 3},
      {"u/x", "127.0.0.1:80", MTLS_DISABLE, 1}}},
    {"[PeerAuthentication istio-system/m]\nmtls.mode = UNSET\n[Policy t/s]\ntargets = s\nmtls.mode = "
     "STRICT\n",
     {{"t/s", "127.0.0.1:80", MTLS_PERMISSIVE, 0}}},
};

Test(policy_inbound, new_api) {
    for (size_t i = 0; i < sizeof new_api / sizeof *new_api; i++)
        ask(&new_api[i], 1);
}

#define PLACES                                                                                               \
    "[MeshPolicy default]\nmtls.mode = PERMISSIVE\n"                                                         \
    "[Policy t/a]\ntargets = a\nmtls.mode = STRICT\n"                                                        \
    "[Policy t/b]\ntargets = b\nmtls.mode = DISABLE\n"                                                       \
    "[Service t/a]\naddress = 127.1.0.1, fd00::1\nports = 80:8080, 90\n"                                     \
    "[Service t/b]\naddress = 127.1.0.1\nports = 81:8081\n"                                                  \
    "[Service t/c]\naddress = 127.1.0.3\nports = 80\n"                                                       \
    "[Policy t/c]\ntargets = c\nmtls.mode = STRICT\n"                                                        \
    "[Workload t/w]\naddress = 127.1.0.4\nservices = b\n"

/* How an address becomes a workload when the process was not told who it is. */
static const struct table places[] = {
    {PLACES,
     {{NULL, "127.1.0.1:8080", MTLS_STRICT, 3},
      {NULL, "127.1.0.1:90", MTLS_STRICT, 3},
      {NULL, "127.1.0.1:8081", MTLS_DISABLE, 6},
      {NULL, "127.1.0.1:80", MTLS_PERMISSIVE, 1}, /* two live there, and nobody listens on 80 */
      {NULL, "[fd00::1]:8080", MTLS_STRICT, 3},
      {NULL, "[fd00::1]:1", MTLS_STRICT, 3}, /* alone there: it is a, whatever the port */
      {NULL, "[::ffff:127.1.0.1]:8080", MTLS_STRICT, 3},
      {NULL, "127.1.0.3:9999", MTLS_STRICT, 18},
      {NULL, "127.1.0.4:1", MTLS_DISABLE, 6},
      {NULL, "0.0.0.0:8080", MTLS_PERMISSIVE, 1},
      {"t/b", "127.1.0.1:8080", MTLS_DISABLE, 6}, /* told who it is: the address does not matter */
      {"t/w", "0.0.0.0:8080", MTLS_DISABLE, 6}}},
};

Test(policy_inbound, addresses) {
    ask(places, 1);
}

Test(policy_inbound, tls_in_tls) {
    struct policy *p = test_table("[MeshPolicy default]\nmtls.mode = STRICT\nmtls.tlsInTls = skip\n"
                                  "[Policy t/default]\nmtls.mode = STRICT\n"
                                  "[Policy u/default]\nmtls.mode = STRICT\ntls.tlsInTls = skip\n");
    cr_expect_eq(test_in(p, "x/x", "127.0.0.1:1").tls_in_tls, TLS_IN_TLS_SKIP);
    cr_expect_eq(test_in(p, "t/x", "127.0.0.1:1").tls_in_tls, TLS_IN_TLS_WRAP);
    cr_expect_eq(test_in(p, "u/x", "127.0.0.1:1").tls_in_tls, TLS_IN_TLS_SKIP);
    policy_free(p);
}

Test(policy_inbound, principals) {
    static const struct {
        const char *principal;
        bool allowed;
    } rows[] = {
        {"cluster.local/ns/test1/sa/sleep", true},
        {"spiffe://cluster.local/ns/test1/sa/sleep", true},
        {"cluster.local/ns/test1/sa/sleeper", false},
        {"cluster.local/ns/test1/sa/slee", false},
        {"spiffe://cluster.local/ns/test2/sa/anyone", true},
        {"cluster.local/ns/test22/sa/anyone", false},
        {"other.domain/ns/x/sa/admin", true},
        {"other.domain/ns/x/sa/admins", false},
        {"sa/admin", false},
        {"spiffe://td2/ns/a/sa/b", true},
        {"td2/ns/a/sa/c", false},
        {"", false},
        {NULL, false},
    };
    struct policy *p = test_table("[Policy t/default]\nmtls.mode = STRICT\n"
                                  "principals = cluster.local/ns/test1/sa/sleep, cluster.local/ns/test2/*\n"
                                  "principals = */ns/x/sa/admin\nprincipals = spiffe://td2/ns/a/sa/b\n"
                                  "[Policy u/default]\nmtls.mode = STRICT\n");
    struct policy_inbound in = test_in(p, "t/x", "127.0.0.1:1");
    cr_expect_eq(in.principal_count, 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(policy_principal_allowed(&in, rows[i].principal), rows[i].allowed, "%s",
                     test_or(rows[i].principal));
    in = test_in(p, "u/x", "127.0.0.1:1");
    cr_expect_null(in.principals);
    cr_expect(policy_principal_allowed(&in, "anybody"));
    cr_expect(policy_principal_allowed(&in, NULL));
    policy_free(p);
}

/* The most specific PeerAuthentication that lists principals gives them. */
Test(policy_inbound, principals_of_peers) {
    struct policy *p =
        test_table("[PeerAuthentication istio-system/m]\nmtls.mode = STRICT\nprincipals = a*\n"
                   "[PeerAuthentication t/n]\nprincipals = b*\n"
                   "[PeerAuthentication t/w]\nselector.matchLabels.app = w\nmtls.mode = STRICT\n");
    struct policy_inbound in = test_in(p, "t/w", "127.0.0.1:1");
    cr_expect(policy_principal_allowed(&in, "b/ns/x/sa/y"));
    cr_expect_not(policy_principal_allowed(&in, "a/ns/x/sa/y"));
    in = test_in(p, "u/w", "127.0.0.1:1");
    cr_expect(policy_principal_allowed(&in, "a/ns/x/sa/y"));
    policy_free(p);
}

/* No address at all, or one of another family, is somebody of the default namespace. */
Test(policy_inbound, other_families) {
    struct policy *p = test_table("[MeshPolicy default]\nmtls.mode = STRICT\n");
    struct policy_inbound in;
    struct sockaddr un = {.sa_family = AF_UNIX};
    policy_inbound(p, NULL, NULL, &in);
    cr_expect_eq(in.mode, MTLS_STRICT);
    policy_inbound(p, NULL, &un, &in);
    cr_expect_eq(in.mode, MTLS_STRICT);
    cr_expect_str_eq(in.rule.file, "mesh.ini");
    cr_expect_str_eq(in.rule.section, "MeshPolicy default");
    policy_free(p);
}
