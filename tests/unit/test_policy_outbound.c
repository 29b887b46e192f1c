/* test_policy_outbound.c - what connecting sides do: which rule, which mode, which names to accept. */
#include "test_policy.h"

struct question {
    const char *as, *dest, *name;
    enum tls_mode mode;
    int line; /* of the rule that decides, 0: none */
};
struct table {
    const char *text;
    struct question q[16];
};

static void ask(const struct table *t, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct policy *p = test_table(t[i].text);
        for (const struct question *q = t[i].q; q->dest; q++) {
            struct policy_outbound out = test_out(p, q->as, q->dest, q->name);
            cr_expect_eq(out.mode, q->mode, "%s%s to %s (%s): mode %d by [%s]", t[i].text, test_or(q->as),
                         q->dest, test_or(q->name), out.mode, out.rule.section);
            cr_expect_eq(out.rule.line, q->line, "%s%s to %s (%s): line %d [%s]", t[i].text, test_or(q->as),
                         q->dest, test_or(q->name), out.rule.line, out.rule.section);
        }
        policy_free(p);
    }
}

#define IM TLS_ISTIO_MUTUAL
#define DIS TLS_DISABLE
#define HERE "127.0.0.1:80"
#define FAR "192.0.2.1:80"

static const struct table hosts[] = {
    {"", {{NULL, HERE, NULL, DIS, 0}, {NULL, FAR, "a.b", DIS, 0}}},
    /* exact names: as resolved; short ones are completed with the rule's and the asker's namespace */
    {"[DestinationRule x]\nhost = db.example.com\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, FAR, "db.example.com", IM, 1},
      {NULL, FAR, "DB.Example.com.", IM, 1},
      {NULL, FAR, "x.db.example.com", DIS, 0},
      {NULL, FAR, "db.example", DIS, 0},
      {NULL, FAR, NULL, DIS, 0},
      {NULL, FAR, "", DIS, 0},
      {NULL, FAR, "192.0.2.1", DIS, 0}}},
    {"[DestinationRule t/x]\nhost = a\ntls.mode = ISTIO_MUTUAL\n",
     {{"t/c", FAR, "a", IM, 1},
      {"t/c", FAR, "a.t.svc.cluster.local", IM, 1},
      {"u/c", FAR, "a.t.svc.cluster.local", IM, 1}, /* the service's namespace */
      {"t/c", FAR, "a.t.svc", IM, 1},
      {"u/c", FAR, "a.t.svc", IM, 1},
      {"u/c", FAR, "a", DIS, 0},
      {"t/c", FAR, "a.u.svc.cluster.local", DIS, 0},
      {"t/c", FAR, "a.t", DIS, 0}}}, /* no such service: a foreign name */
    {"[DestinationRule t/x]\nhost = a\ntls.mode = ISTIO_MUTUAL\n[Service t/a]\n",
     {{"t/c", FAR, "a.t", IM, 1}, {"u/c", FAR, "a.t", IM, 1}}},
    {"[Mesh]\nclusterDomain = lan.example\n[DestinationRule t/x]\nhost = a\ntls.mode = ISTIO_MUTUAL\n",
     {{"t/c", FAR, "a.t.svc.lan.example", IM, 3}, {"t/c", FAR, "a.t.svc.cluster.local", DIS, 0}}},
    {"[DestinationRule x]\nhost = localhost\ntls.mode = ISTIO_MUTUAL\n", {{NULL, HERE, "localhost", IM, 1}}},
    {"[DestinationRule x]\nhost = a.b\ntls.mode = ISTIO_MUTUAL\n", /* has a dot: a full name, as in Istio */
     {{NULL, FAR, "a.b", IM, 1}, {NULL, FAR, "a.b.svc.cluster.local", DIS, 0}}},
    /* wildcards */
    {"[DestinationRule x]\nhost = *.foo\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, FAR, "a.foo", IM, 1},
      {NULL, FAR, "a.b.foo", IM, 1},
      {NULL, FAR, "foo", DIS, 0},
      {NULL, FAR, "afoo", DIS, 0},
      {NULL, FAR, "a.foo.b", DIS, 0}}},
    {"[DestinationRule x]\nhost = *.local\ntls.mode = ISTIO_MUTUAL\n[Service t/a]\naddress = 127.1.0.1\n",
     {{NULL, HERE, "localhost", DIS, 0}, /* no service of the mesh */
      {NULL, "127.1.0.1:80", NULL, IM, 1},
      {NULL, FAR, "a.t", IM, 1},
      {"t/x", FAR, "a", DIS, 0}}}, /* the rule is in namespace default */
    {"[DestinationRule x]\nhost = *-db.example.com\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, FAR, "my-db.example.com", IM, 1}, {NULL, FAR, "mydb.example.com", DIS, 0}}},
    {"[DestinationRule x]\nhost = *\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, FAR, NULL, IM, 1}, {NULL, HERE, "localhost", IM, 1}, {NULL, "[::1]:1", NULL, IM, 1}}},
    /* exact > longer wildcard > shorter > "*" */
    {"[DestinationRule d]\nhost = *\ntls.mode = DISABLE\n"
     "[DestinationRule c]\nhost = *.com\ntls.mode = ISTIO_MUTUAL\n"
     "[DestinationRule b]\nhost = *.example.com\ntls.mode = DISABLE\n"
     "[DestinationRule a]\nhost = x.example.com\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, FAR, "x.example.com", IM, 10},
      {NULL, FAR, "y.example.com", DIS, 7},
      {NULL, FAR, "example.com", IM, 4},
      {NULL, FAR, "a.org", DIS, 1}}},
    /* addresses and prefixes */
    {"[DestinationRule a]\nhost = 127.0.0.0/8\ntls.mode = ISTIO_MUTUAL\n"
     "[DestinationRule b]\nhost = 127.1.0.0/16\ntls.mode = DISABLE\n"
     "[DestinationRule c]\nhost = 127.1.0.7\ntls.mode = ISTIO_MUTUAL\n"
     "[DestinationRule d]\nhost = fd00::/8\ntls.mode = ISTIO_MUTUAL\n"
     "[DestinationRule e]\nhost = fd00::1\ntls.mode = DISABLE\n",
     {{NULL, HERE, NULL, IM, 1},
      {NULL, HERE, "localhost", IM, 1},
      {NULL, "127.1.2.3:1", NULL, DIS, 4},
      {NULL, "127.1.0.7:1", NULL, IM, 7},
      {NULL, "128.0.0.1:1", NULL, DIS, 0},
      {NULL, "[::ffff:127.0.0.1]:80", NULL, IM, 1},
      {NULL, "[::ffff:127.1.0.7]:80", "x.y", IM, 7},
      {NULL, "[fd12::1]:80", NULL, IM, 10},
      {NULL, "[fd00::1]:80", NULL, DIS, 13},
      {NULL, "[fe00::1]:80", NULL, DIS, 0}}},
    {"[DestinationRule a]\nhost = ::1/128\ntls.mode = ISTIO_MUTUAL\n[DestinationRule b]\nhost = "
     "::ffff:10.0.0.0/104\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, "[::1]:80", NULL, IM, 1}, {NULL, "[::2]:80", NULL, DIS, 0}, {NULL, "10.1.2.3:1", NULL, IM, 4}}},
    {"[DestinationRule a]\nhost = ::/0\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, "[2001:db8::1]:1", NULL, IM, 1}, {NULL, HERE, NULL, DIS, 0}}},
    {"[DestinationRule a]\nhost = 0.0.0.0/0\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, "[2001:db8::1]:1", NULL, DIS, 0}, {NULL, FAR, NULL, IM, 1}}},
    /* a name says more than an address prefix, a prefix more than "*" */
    {"[DestinationRule a]\nhost = 127.0.0.0/8\ntls.mode = ISTIO_MUTUAL\n[DestinationRule b]\nhost = "
     "*.x\ntls.mode = DISABLE\n"
     "[DestinationRule c]\nhost = *\ntls.mode = DISABLE\n",
     {{NULL, HERE, "a.x", DIS, 4}, {NULL, HERE, "a.y", IM, 1}, {NULL, FAR, "a.y", DIS, 7}}},
    {"[DestinationRule a]\nhost = 127.0.0.1\ntls.mode = ISTIO_MUTUAL\n[DestinationRule b]\nhost = "
     "*.x\ntls.mode = DISABLE\n",
     {{NULL, HERE, "a.x", IM, 1}}},
    /* two for one host: the first in the file */
    {"[DestinationRule b]\nhost = a.x\ntls.mode = ISTIO_MUTUAL\n[DestinationRule a]\nhost = a.x\ntls.mode = "
     "DISABLE\n",
     {{NULL, FAR, "a.x", IM, 1}}},
};

Test(policy_outbound, hosts) {
    ask(hosts, sizeof hosts / sizeof *hosts);
}

#define SVC "[Service s/a]\naddress = 127.1.0.1\nports = 80, 90\n"

static const struct table namespaces[] = {
    /* own > the service's > root; a hit ends the search, however broad it is */
    {SVC "[DestinationRule istio-system/r]\nhost = a.s.svc.cluster.local\ntls.mode = DISABLE\n"
         "[DestinationRule s/r]\nhost = a\ntls.mode = ISTIO_MUTUAL\n"
         "[DestinationRule c/r]\nhost = *\ntls.mode = DISABLE\n",
     {{"c/x", "127.1.0.1:80", NULL, DIS, 10},
      {"s/x", "127.1.0.1:80", NULL, IM, 7},
      {"d/x", "127.1.0.1:80", NULL, IM, 7},
      {"c/x", FAR, NULL, DIS, 10}}},
    {SVC "[DestinationRule istio-system/r]\nhost = *.local\ntls.mode = ISTIO_MUTUAL\n",
     {{"c/x", "127.1.0.1:80", NULL, IM, 4}, {NULL, "127.1.0.1:80", NULL, IM, 4}}},
    {"[Mesh]\nrootNamespace = r\n" SVC
     "[DestinationRule istio-system/r]\nhost = *.local\ntls.mode = ISTIO_MUTUAL\n"
     "[DestinationRule r/r]\nhost = 127.1.0.0/16\ntls.mode = SIMPLE\n",
     {{"c/x", "127.1.0.1:80", NULL, TLS_SIMPLE, 9}}},
    /* a stranger's namespace is not looked at */
    {SVC "[DestinationRule q/r]\nhost = a.s.svc.cluster.local\ntls.mode = ISTIO_MUTUAL\n",
     {{"c/x", "127.1.0.1:80", NULL, DIS, 0}, {"q/x", "127.1.0.1:80", NULL, IM, 4}}},
    /* exportTo */
    {SVC "[DestinationRule s/r]\nhost = a\ntls.mode = ISTIO_MUTUAL\nexportTo = .\n"
         "[DestinationRule istio-system/r]\nhost = *.local\ntls.mode = DISABLE\n",
     {{"s/x", "127.1.0.1:80", NULL, IM, 4}, {"c/x", "127.1.0.1:80", NULL, DIS, 8}}},
    {SVC "[DestinationRule s/r]\nhost = a\ntls.mode = ISTIO_MUTUAL\nexportTo = c, e\n",
     {{"s/x", "127.1.0.1:80", NULL, DIS, 0},
      {"c/x", "127.1.0.1:80", NULL, IM, 4},
      {"d/x", "127.1.0.1:80", NULL, DIS, 0}}},
    {SVC "[DestinationRule s/r]\nhost = a\ntls.mode = ISTIO_MUTUAL\nexportTo = *\n",
     {{"d/x", "127.1.0.1:80", NULL, IM, 4}}},
};

Test(policy_outbound, namespaces) {
    ask(namespaces, sizeof namespaces / sizeof *namespaces);
}

static const struct table services[] = {
    /* one address, many services: port and name tell them apart */
    {"[Service a]\naddress = 127.1.0.1\nports = 80\n[Service b]\naddress = 127.1.0.1\nports = 80, 81\n"
     "[DestinationRule a]\nhost = a\ntls.mode = ISTIO_MUTUAL\n[DestinationRule b]\nhost = b\ntls.mode = "
     "SIMPLE\n",
     {{NULL, "127.1.0.1:80", NULL, IM, 7},
      {NULL, "127.1.0.1:80", "b", TLS_SIMPLE, 10},
      {NULL, "127.1.0.1:80", "b.default.svc.cluster.local", TLS_SIMPLE, 10},
      {NULL, "127.1.0.1:81", NULL, TLS_SIMPLE, 10},
      {NULL, "127.1.0.1:82", NULL, DIS, 0}}},
    /* alone at its address: also on ports that it does not list */
    {"[Service a]\naddress = 127.1.0.1\nports = 80\n[DestinationRule a]\nhost = a\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, "127.1.0.1:99", NULL, IM, 4}}},
    /* hosts of an external service, which has no other name */
    {"[Service api]\nexternal = true\nhosts = API.example.com, alt.example.com\naddress = 192.0.2.1\n"
     "[DestinationRule a]\nhost = alt.example.com\ntls.mode = SIMPLE\n",
     {{NULL, FAR, NULL, TLS_SIMPLE, 5},
      {NULL, FAR, "api.example.com", TLS_SIMPLE, 5},
      {NULL, "192.0.2.9:1", "api.example.com", TLS_SIMPLE, 5}}},
    {"[Service api]\nexternal = true\nhosts = api.example.com\naddress = 192.0.2.1\n"
     "[DestinationRule a]\nhost = *.local\ntls.mode = ISTIO_MUTUAL\n[DestinationRule b]\nhost = api\n"
     "tls.mode = SIMPLE\n",
     {{NULL, FAR, NULL, DIS, 0}, {NULL, FAR, "api.example.com", DIS, 0}}},
    /* straight to a workload's address: the service it backs */
    {"[Service t/a]\nports = 80\n[Workload t/w]\nservices = b, a\naddress = 127.1.0.9\n"
     "[DestinationRule t/a]\nhost = a\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, "127.1.0.9:80", NULL, IM, 6}}},
    /* a name the program used still finds its rule */
    {"[Service a]\naddress = 127.1.0.1\n[DestinationRule x]\nhost = other.name\ntls.mode = ISTIO_MUTUAL\n",
     {{NULL, "127.1.0.1:80", "other.name", IM, 3}, {NULL, "127.1.0.1:80", NULL, DIS, 0}}},
};

Test(policy_outbound, services) {
    ask(services, sizeof services / sizeof *services);
}

static const struct table ports[] = {
    {"[DestinationRule x]\nhost = a.b\ntls.mode = ISTIO_MUTUAL\nportLevelSettings.80.tls.mode = DISABLE\n"
     "portLevelSettings.81.tls.mode = SIMPLE\nportLevelSettings.82.port.number = "
     "82\nportLevelSettings.83.tls.sni = x\n",
     {{NULL, "192.0.2.1:79", "a.b", IM, 1},
      {NULL, "192.0.2.1:80", "a.b", DIS, 1},
      {NULL, "192.0.2.1:81", "a.b", TLS_SIMPLE, 1},
      {NULL, "192.0.2.1:82", "a.b", DIS, 1}, /* no tls there: unset, not inherited */
      {NULL, "192.0.2.1:83", "a.b", DIS, 1}}},
    {"[DestinationRule x]\nhost = a.b\n", {{NULL, FAR, "a.b", DIS, 1}}},
    {"[DestinationRule x]\nhost = a.b\ntrafficPolicy.portLevelSettings.80.tls.mode = ISTIO_MUTUAL\n",
     {{NULL, FAR, "a.b", IM, 1}, {NULL, "192.0.2.1:81", "a.b", DIS, 1}}},
    {"[DestinationRule x]\nhost = a.b\ntls.mode = PERMISSIVE\n", {{NULL, FAR, "a.b", TLS_PERMISSIVE, 1}}},
};

Test(policy_outbound, port_levels) {
    ask(ports, sizeof ports / sizeof *ports);
}

#define A "[Service t/a]\naddress = 127.1.0.1\nports = 80:8080, 90\n"

static const struct table automatic[] = {
    {A "[MeshPolicy default]\nmtls.mode = STRICT\n", {{NULL, "127.1.0.1:80", NULL, DIS, 0}}},
    {A "[Workload t/a]\n",
     {{NULL, "127.1.0.1:80", NULL, DIS, 0}}}, /* nothing said: the server speaks plain TCP */
    {A "[Workload t/a]\n[MeshPolicy default]\nmtls.mode = STRICT\n",
     {{NULL, "127.1.0.1:80", NULL, IM, 0}, {NULL, FAR, NULL, DIS, 0}}},
    {A "[Workload t/a]\n[MeshPolicy default]\nmtls.mode = PERMISSIVE\n",
     {{"t/a", "127.1.0.1:80", NULL, IM, 0}}},
    {A "[Workload t/a]\nmesh = false\n[MeshPolicy default]\nmtls.mode = STRICT\n",
     {{NULL, "127.1.0.1:80", NULL, DIS, 0}}},
    {A "[Workload t/w]\nservices = a\n[Policy t/a]\ntargets = a\nmtls.mode = STRICT\nportLevelMtls.8080.mode "
       "= DISABLE\n",
     {{NULL, "127.1.0.1:80", NULL, DIS, 0}, {NULL, "127.1.0.1:90", NULL, IM, 0}}},
    {A "[Workload t/w]\nservices = a\n[Workload t/v]\nservices = a\nmesh = false\n[MeshPolicy "
       "default]\nmtls.mode = STRICT\n",
     {{NULL, "127.1.0.1:80", NULL, DIS, 0}}},
    {A "[Workload t/a]\n[PeerAuthentication u/x]\nmtls.mode = STRICT\n",
     {{NULL, "127.1.0.1:80", NULL, IM, 0}}},
    /* a rule that speaks ends it; one that says nothing of tls does not */
    {A "[Workload t/a]\n[MeshPolicy default]\nmtls.mode = STRICT\n[DestinationRule t/a]\nhost = a\ntls.mode "
       "= DISABLE\n",
     {{NULL, "127.1.0.1:80", NULL, DIS, 7}}},
    {A "[Workload t/a]\n[MeshPolicy default]\nmtls.mode = STRICT\n[DestinationRule t/a]\nhost = a\n"
       "portLevelSettings.90.tls.mode = SIMPLE\n",
     {{NULL, "127.1.0.1:80", NULL, IM, 0}, {NULL, "127.1.0.1:90", NULL, TLS_SIMPLE, 7}}},
    {A "[Workload t/a]\n[MeshPolicy default]\nmtls.mode = STRICT\n[DestinationRule t/a]\nhost = a\ntls.mode "
       "= SIMPLE\n"
       "portLevelSettings.90.port.number = 90\n",
     {{NULL, "127.1.0.1:90", NULL, IM, 0}}},
    {"[Service t/a]\naddress = 127.1.0.1\nexternal = true\n[Workload t/a]\n[MeshPolicy default]\nmtls.mode = "
     "STRICT\n",
     {{NULL, "127.1.0.1:90", NULL, DIS, 0}}},
};

Test(policy_outbound, automatic_mode) {
    ask(automatic, sizeof automatic / sizeof *automatic);
}

struct names {
    const char *text, *as, *dest, *name;
    const char *host, *sni, *sans; /* sans joined by blanks; "any": any of the trust domain */
};

static const struct names names[] = {
#define S(keys)                                                                                              \
    "[Service t/a]\naddress = 127.1.0.1\nports = 80\n" keys "[DestinationRule t/a]\nhost = a\ntls.mode = "
#define FQ "a.t.svc.cluster.local"
#define SNI "outbound_.80_._." FQ
    {S("serviceAccount = acc\n") "ISTIO_MUTUAL\n", NULL, "127.1.0.1:80", NULL, FQ, SNI,
     "spiffe://cluster.local/ns/t/sa/acc"},
    {S("serviceAccount = acc\n") "PERMISSIVE\n", NULL, "127.1.0.1:80", NULL, FQ, SNI,
     "spiffe://cluster.local/ns/t/sa/acc"},
    {S("serviceAccount = acc\n") "ISTIO_MUTUAL\n[Mesh]\ntrustDomain = td\n", NULL, "127.1.0.1:80", NULL, FQ,
     SNI, "spiffe://td/ns/t/sa/acc"},
    {S("") "ISTIO_MUTUAL\n", NULL, "127.1.0.1:80", NULL, FQ, SNI, "any"},
    {S("") "ISTIO_MUTUAL\n[Workload t/w]\nservices = a\n", NULL, "127.1.0.1:80", NULL, FQ, SNI,
     "spiffe://cluster.local/ns/t/sa/w"},
    {S("") "ISTIO_MUTUAL\n[Workload t/w]\nservices = a\nserviceAccount = q\n[Workload t/v]\nservices = "
           "a\nserviceAccount = r\n",
     NULL, "127.1.0.1:80", NULL, FQ, SNI,
     "spiffe://cluster.local/ns/t/sa/q spiffe://cluster.local/ns/t/sa/r"},
    {S("serviceAccount = acc\n") "ISTIO_MUTUAL\n[Workload t/w]\nservices = a\n", NULL, "127.1.0.1:80", NULL,
     FQ, SNI, "spiffe://cluster.local/ns/t/sa/acc"},
    {S("serviceAccount = acc\n") "ISTIO_MUTUAL\ntls.subjectAltNames = x, y\ntls.sni = z.org\n", NULL,
     "127.1.0.1:80", NULL, FQ, "z.org", "x y"},
    {S("serviceAccount = acc\n") "SIMPLE\n", NULL, "127.1.0.1:80", NULL, FQ, FQ, FQ},
    {S("") "SIMPLE\ntls.subjectAltNames = x\n", NULL, "127.1.0.1:80", NULL, FQ, FQ, "x"},
    {S("") "SIMPLE\ntls.insecureSkipVerify = true\n", NULL, "127.1.0.1:80", NULL, FQ, FQ, ""},
    {S("") "MUTUAL\ntls.clientCertificate = c\ntls.privateKey = k\n", NULL, "127.1.0.1:80", NULL, FQ, FQ, FQ},
#define R(host, mode) "[DestinationRule a]\nhost = " host "\ntls.mode = " mode "\n"
    /* the embedded table: loopback, no names, no services */
    {R("127.0.0.0/8", "ISTIO_MUTUAL"), NULL, "127.0.0.1:80", NULL, "-", "-", "any"},
    {R("127.0.0.0/8", "ISTIO_MUTUAL"), NULL, "127.0.0.1:80", "localhost", "localhost",
     "outbound_.80_._.localhost", "any"},
    {R("::1/128", "ISTIO_MUTUAL"), "t/x", "[::1]:80", NULL, "-", "-",
     "-"}, /* namespace default is not asked */
    {R("::1/128", "SIMPLE"), NULL, "[::1]:80", NULL, "-", "-", "::1"},
    {R("127.0.0.0/8", "SIMPLE"), NULL, "[::ffff:127.0.0.1]:80", NULL, "-", "-", "127.0.0.1"},
    {R("127.0.0.0/8", "SIMPLE"), NULL, "127.0.0.1:80", "localhost", "localhost", "localhost", "localhost"},
    {R("localhost", "SIMPLE"), NULL, "127.0.0.1:80", "localhost", "localhost", "localhost", "localhost"},
    {R("*.example.com", "SIMPLE"), NULL, "192.0.2.1:443", "WWW.example.com", "www.example.com",
     "www.example.com", "www.example.com"},
    {R("*.example.com", "ISTIO_MUTUAL"), NULL, "192.0.2.1:443", "www.example.com", "www.example.com",
     "outbound_.443_._.www.example.com", "any"},
    {"[Service e]\nexternal = true\nhosts = api.example.com\naddress = 192.0.2.1\n" R("api.example.com",
                                                                                      "SIMPLE"),
     NULL, "192.0.2.1:443", NULL, "api.example.com", "api.example.com", "api.example.com"},
};

Test(policy_outbound, names) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct names *n = &names[i];
        struct policy *p = test_table(n->text);
        struct policy_outbound out = test_out(p, n->as, n->dest, n->name);
        char sans[512] = "";
        for (size_t j = 0; j < out.subject_alt_name_count; j++)
            strcat(strcat(sans, j ? " " : ""), out.subject_alt_names[j]);
        const char *seen = out.mode == TLS_DISABLE ? "-" : out.any_of_trust_domain ? "any" : sans;
        cr_expect_str_eq(test_or(out.host), n->host, "%s: host %s", n->text, test_or(out.host));
        cr_expect_str_eq(test_or(out.sni), n->sni, "%s: sni %s", n->text, test_or(out.sni));
        cr_expect_str_eq(seen, n->sans, "%s: %s", n->text, seen);
        cr_expect(!out.any_of_trust_domain || !out.subject_alt_names);
        policy_free(p);
    }
}

Test(policy_outbound, fields) {
    static const char text[] =
        "[DestinationRule a]\nhost = a.b\ntls.mode = MUTUAL\ntls.clientCertificate = c.pem\n"
        "tls.privateKey = /k.pem\ntls.caCertificates = sub/ca.pem\ntls.tlsInTls = skip\n";
    struct policy *p = policy_parse("/etc/m.ini", text, strlen(text), NULL, NULL);
    cr_assert_not_null(p);
    struct policy_outbound out = test_out(p, NULL, FAR, "a.b");
    cr_expect_str_eq(out.client_certificate, "/etc/c.pem");
    cr_expect_str_eq(out.private_key, "/k.pem");
    cr_expect_str_eq(out.ca_certificates, "/etc/sub/ca.pem");
    cr_expect_eq(out.tls_in_tls, TLS_IN_TLS_SKIP);
    cr_expect_not(out.insecure_skip_verify);
    cr_expect_str_eq(out.rule.section, "DestinationRule a");
    policy_free(p);
}

/* Answers belong to the table: asking again changes nothing in an older answer. */
Test(policy_outbound, answers_stay) {
    struct policy *p = test_table("[DestinationRule a]\nhost = *.b\ntls.mode = SIMPLE\n");
    struct policy_outbound first = test_out(p, NULL, FAR, "a.b");
    for (int i = 0; i < 3000; i++) {
        char name[32];
        snprintf(name, sizeof name, "h%d.b", i % 1500);
        struct policy_outbound out = test_out(p, NULL, FAR, name);
        cr_assert_str_eq(out.sni, name);
        cr_assert_str_eq(out.subject_alt_names[0], name);
    }
    cr_expect_str_eq(first.sni, "a.b");
    cr_expect_eq(first.sni, test_out(p, NULL, FAR, "A.B.").sni, "the same answer is the same memory");
    policy_free(p);
}

Test(policy_outbound, one_name_many_ports) {
    struct policy *p = test_table("[DestinationRule a]\nhost = *.b\ntls.mode = ISTIO_MUTUAL\n");
    cr_expect_str_eq(test_out(p, NULL, "192.0.2.1:80", "a.b").sni, "outbound_.80_._.a.b");
    cr_expect_str_eq(test_out(p, NULL, "192.0.2.1:65535", "a.b").sni, "outbound_.65535_._.a.b");
    cr_expect_str_eq(test_out(p, NULL, "192.0.2.1:80", "a.b").sni, "outbound_.80_._.a.b");
    policy_free(p);
}

/* Names beyond any limit, unknown families: no match, no harm. */
Test(policy_outbound, strange_questions) {
    char longest[600];
    struct policy *p = test_table("[DestinationRule a]\nhost = *\ntls.mode = SIMPLE\n");
    struct policy_outbound out;
    struct sockaddr un = {.sa_family = AF_UNIX};
    policy_outbound(p, NULL, &un, NULL, &out);
    cr_expect_eq(out.mode, TLS_DISABLE);
    policy_outbound(p, NULL, NULL, NULL, &out);
    cr_expect_eq(out.mode, TLS_DISABLE);
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    out = test_out(p, NULL, FAR, longest);
    cr_expect_eq(out.mode, TLS_SIMPLE);
    cr_expect_str_eq(out.subject_alt_names[0], "192.0.2.1");
    longest[253] = '\0';
    out = test_out(p, NULL, FAR, longest);
    cr_expect_str_eq(out.sni, longest);
    policy_free(p);
}
