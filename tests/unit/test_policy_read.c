/* test_policy_read.c - every kind of mistake in a table: its line, what was found, what was expected;
 * and that what is right is read without a word. */
#include "test_policy.h"

#include <unistd.h>

struct mistake {
    const char *text;
    const char *expected; /* how the findings start: "LINE error: ..." ; NULL: none at all */
};

#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DR "[DestinationRule a]\nhost = a\n"

static const struct mistake mistakes[] = {
    /* lines */
    {"", NULL},
    {"\n; comment\n  # another\n", NULL},
    {"[Mesh]\nnothing\n", "2 error: found 'nothing', expected KEY = VALUE"},
    {"[Mesh]\n= x\n", "2 error: found '= x', expected a key before '='"},
    {"[Mesh]\nlinger: 5\n", "2 error: found 'linger: 5', expected KEY = VALUE"},
    {"[Mesh]\nlinger ; = 5\n", "2 error: found 'linger ; = 5', expected KEY = VALUE"},
    {"[Mesh]\nlinger =\n", "2 error: found no value for 'linger', expected one behind '='"},
    {"[Mesh]\nlinger = ; five\n", "2 error: found no value for 'linger'"},
    {"[Mesh\nlinger = 5\n", "1 error: found '[Mesh', expected a ']'"},
    {"[Mesh] x\n", "1 error: found 'x' behind the section header"},
    {"[Mesh] ; fine\n", NULL},
    {"[Mesh]# fine\n", NULL},
    {"linger = 5\n", "1 error: found key 'linger' before any section"},
    {"\xEF\xBB\xBF[Mesh]\n", "1 error: found a byte order mark at column 1"},
    {"[Mesh]\nlinger = \xEF\xBB\xBF"
     "5\n",
     "2 error: found a byte order mark at column 10"},
    {"[Mesh]\nlinger = 5\001\n", "2 error: found a control character (0x01)"},
    {"[Mesh]\r\nlinger = 5\r\n", NULL},
    {"[Mesh]\nlinger = 5\rx\n", "2 error: found a control character (0x0d)"},
    {"   [Mesh]\n\t linger   =   5   \n   permissive_wait = 1\n", NULL},
    /* inih's limits */
    {"[Mesh]\n" A50 " = 1\n", "2 error: found a key of 50 characters"},
    {"[Policy " A50 "]\n", "1 error: found a section header of 57 characters, expected at most 49"},
    {"[Policy " A50 "]\nmtls.mode = NONSENSE\n[Mesh]\nx = 1\n",
     "1 error: found a section header of 57 characters, expected at most 49; give a long name as "
     "metadata.name and "
     "metadata.namespace\n4 "},
    {"[Policy aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\ntargets = a\nmtls.mode = STRICT\n", NULL},
    {"[Mesh]\ncertificates = " A50 A50 A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", NULL},
    {"[Mesh]\ncertificates = " A50 A50 A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
     "2 error: found a line of 200 characters, expected at most 199"},
    {"; " A50 A50 A50 A50 "\n", "1 error: found a line of 202 characters"},
    /* sections */
    {"[Polisy a]\n",
     "1 error: unknown section kind 'Polisy', expected Mesh, MeshPolicy, Policy, PeerAuthentication, "
     "DestinationRule, Service or Workload; did you mean 'Policy'?"},
    {"[mesh]\n", "1 error: unknown section kind 'mesh', expected Mesh"},
    {"[Gateway a]\nfoo = bar\n", "1 error: unknown section kind 'Gateway'"},
    {"[]\n", "1 error: unknown section kind ''"},
    {"[Mesh a]\n", "1 error: found a name in [Mesh a], expected [Mesh]"},
    {"[Mesh]\n[Mesh]\n", "2 error: found a second [Mesh], expected one only (the first is on line 1)"},
    {"[MeshPolicy a/default]\n",
     "1 error: found a namespace in [MeshPolicy a/default], expected [MeshPolicy default]"},
    {"[Policy]\nmtls.mode = STRICT\n",
     "1 error: found [Policy] without a name, expected [Policy NAMESPACE/NAME]"},
    {"[Service Web]\n",
     "1 error: found 'Web' in [Service Web], expected NAMESPACE/NAME or NAME of lower-case"},
    {"[Service a/b/c]\n", "1 error: found 'b/c' in [Service a/b/c]"},
    {"[Service a.b/c]\n", "1 error: found 'a.b' in [Service a.b/c]"},
    {"[Service a/]\n", "1 error: found '' in [Service a/]"},
    {"[Service /a]\n", "1 error: found '' in [Service /a]"},
    {"[Service a b]\n", "1 error: found 'a b' in [Service a b]"},
    {"[Service -a]\n", "1 error: found '-a' in"},
    {"[Service a/x]\n[Service b/x]\n[Workload a/x]\n[Service a/x]\n",
     "4 error: found [Service a/x] a second time, expected it once (the first is on line 1)"},
    {"[Mesh]\nnamespace = n\n[Service x]\n[Service n/x]\n", "4 error: found [Service n/x] a second time"},
    {"[Service x]\n[Mesh]\nnamespace = n\n[Service n/x]\n[Service default/x]\n",
     "4 error: found [Service n/x] a second time, expected it once (the first is on line 1)"},
    {"[Service]\nmetadata.name = x\nmetadata.namespace = a\n[Service a/x]\n",
     "4 error: found [Service a/x] a second time"},
    {"[Service a/x]\nmetadata.name = y\n",
     "2 error: found 'metadata.name' in [Service a/x], which already names it"},
    {"[Service a/x]\nmetadata.namespace = y\n", "2 error: found 'metadata.namespace' in [Service a/x]"},
    {"[Service x]\nmetadata.namespace = y\n[Service y/x]\n", "3 error: found [Service y/x] a second time"},
    /* keys */
    {"[Mesh]\ntrustdomain = a.b\n",
     "2 error: unknown key 'trustdomain' in [Mesh]; did you mean 'trustDomain'?"},
    {"[Mesh]\nhandshakeTimeout = 1\n",
     "2 error: unknown key 'handshakeTimeout' in [Mesh]; did you mean 'handshake_timeout'?"},
    {"[Mesh]\nquux = 1\n", "2 error: unknown key 'quux' in [Mesh]; see mtlswrap.ini(5)"},
    {"[Policy default]\nmtls.mod = STRICT\n",
     "1 warning: [Policy default] has no mtls.mode, which turns mutual TLS off\n"
     "2 error: unknown key 'mtls.mod' in [Policy default]; did you mean 'mtls.mode'?"},
    {"[Policy default]\nmtls.mode = STRICT\nportLevelMtls.8001.mod = STRICT\n",
     "3 error: unknown key 'portLevelMtls.8001.mod' in [Policy default]; did you mean "
     "'portLevelMtls.8001.mode'?"},
    {DR "portLevelSetings.90.tls.mode = DISABLE\n",
     "3 error: unknown key 'portLevelSetings.90.tls.mode' in [DestinationRule a]; did you mean "
     "'portLevelSettings.90.tls.mode'?"},
    {"[MeshPolicy default]\nmtls.mode = STRICT\ntargets = a\n", "3 error: unknown key 'targets'"},
    {"[Mesh]\nlinger = 1\nlinger = 1\n", "3 error: found 'linger' a second time in [Mesh], expected it once"},
    {DR "host = b\n", "3 error: found 'host' a second time in [DestinationRule a]"},
    {DR "tls.mode = DISABLE\ntrafficPolicy.tls.mode = DISABLE\n",
     "4 error: found 'trafficPolicy.tls.mode' a second time"},
    {"[Policy default]\nmtls.mode = STRICT\nportLevelMtls.1.mode = STRICT\nportLevelMtls.2.mode = STRICT\n"
     "portLevelMtls.1.mode = DISABLE\n",
     "5 error: found 'portLevelMtls.1.mode' a second time"},
    {"[Policy default]\nmtls.mode = STRICT\nportLevelMtls.0.mode = STRICT\n",
     "3 error: found port '0', expected a number from 1 to 65535"},
    {"[Policy default]\nmtls.mode = STRICT\nportLevelMtls.http.mode = STRICT\n",
     "3 error: found port 'http'"},
    {"[Policy default]\nmtls.mode = STRICT\nportLevelMtls.65536.mode = STRICT\n",
     "3 error: found port '65536'"},
    /* values */
    {"[Mesh]\nlinger = soon\n",
     "2 error: found 'soon' for 'linger', expected a time such as 5s, 100ms or 2 (seconds)"},
    {"[Mesh]\nlinger = -1\n", "2 error: found '-1' for 'linger'"},
    {"[Mesh]\nlinger = 1d\n", "2 error: found '1d' for 'linger'"},
    {"[Mesh]\nlinger = 25h\n", "2 error: found '25h' for 'linger'"},
    {"[Mesh]\nlinger = 99999999999999999999999\n", "2 error: found '99999999999999999999999' for 'linger'"},
    {"[Mesh]\nlinger = .\n", "2 error: found '.' for 'linger'"},
    {"[Mesh]\nnamespace = a.b\n", "2 error: found 'a.b' for 'namespace', expected a namespace"},
    {"[Mesh]\ntrustDomain = a b\n", "2 error: found 'a b' for 'trustDomain', expected a domain name"},
    {"[Mesh]\nonPolicyChange = reset\n",
     "2 error: found 'reset' for 'onPolicyChange', expected keep or close"},
    {"[MeshPolicy default]\nmtls.mode = strict\n", "2 error: found 'strict' for 'mtls.mode', expected "
                                                   "STRICT, PERMISSIVE or DISABLE; did you mean 'STRICT'?"},
    {"[MeshPolicy default]\nmtls.mode = UNSET\n",
     "2 error: found 'UNSET' for 'mtls.mode', expected STRICT, PERMISSIVE or DISABLE"},
    {"[PeerAuthentication a]\nmtls.mode = UNSETT\n",
     "2 error: found 'UNSETT' for 'mtls.mode', expected STRICT, PERMISSIVE, DISABLE or UNSET; did you mean "
     "'UNSET'?"},
    {DR "tls.mode = ISTIO-MUTUAL\n",
     "3 error: found 'ISTIO-MUTUAL' for 'tls.mode', expected DISABLE, SIMPLE, MUTUAL, "
     "ISTIO_MUTUAL or PERMISSIVE; did you mean 'ISTIO_MUTUAL'?"},
    {DR "tls.mode = DISABLE # no\n", "3 error: found 'DISABLE # no' for 'tls.mode'"},
    {DR "tls.mode = SIMPLE\ntls.insecureSkipVerify = yes\n",
     "4 error: found 'yes' for 'tls.insecureSkipVerify', expected true or false"},
    {DR "tls.mode = SIMPLE\ntls.tlsInTls = drop\n",
     "4 error: found 'drop' for 'tls.tlsInTls', expected wrap or skip"},
    {DR "tls.mode = SIMPLE\ntls.sni = a_b!c\n",
     "4 error: found 'a_b!c' for 'tls.sni', expected a domain name"},
    {"[DestinationRule a]\n", "1 error: [DestinationRule a] has no host"},
    {"[DestinationRule a]\nhost = 127.0.0.1/8\n",
     "2 error: found '127.0.0.1/8' for 'host', expected an address prefix"},
    {"[DestinationRule a]\nhost = 10.0.0.0/33\n", "2 error: found '10.0.0.0/33'"},
    {"[DestinationRule a]\nhost = ::/129\n", "2 error: found '::/129'"},
    {"[DestinationRule a]\nhost = 10.0.0.0/08\n", "2 error: found '10.0.0.0/08'"},
    {"[DestinationRule a]\nhost = a b\n",
     "2 error: found 'a b' for 'host', expected a host name, a wildcard"},
    {"[DestinationRule a]\nhost = a.*.b\n", "2 error: found 'a.*.b'"},
    {"[DestinationRule a]\nhost = **\n", "2 error: found '**'"},
    {"[DestinationRule a]\nhost = a..b\n", "2 error: found 'a..b'"},
    {"[DestinationRule a]\nhost = [::1]\n", "2 error: found '[::1]'"},
    {DR "exportTo = a/b\n", "3 error: found 'a/b' for 'exportTo', expected '*', '.' or a namespace"},
    {"[Service a]\naddress = 127.0.0.1:80\n",
     "2 error: found '127.0.0.1:80' for 'address', expected an IPv4 or IPv6 address"},
    {"[Service a]\naddress = 127.0.0.0/8\n", "2 error: found '127.0.0.0/8' for 'address'"},
    {"[Service a]\naddress = 127.0.0.1, ::ffff:127.0.0.1\n",
     "2 error: found address ::ffff:127.0.0.1 a second time"},
    {"[Service a]\naddress = 127.0.0.1,\n",
     "2 error: found '127.0.0.1,' for 'address', expected a comma-separated list"},
    {"[Service a]\nports = 0\n", "2 error: found '0' for 'ports', expected PORT or PORT:TARGETPORT"},
    {"[Service a]\nports = 80:\n", "2 error: found '80:' for 'ports'"},
    {"[Service a]\nports = 80:8080:1\n", "2 error: found '80:8080:1'"},
    {"[Service a]\nports = 80\nports = 80:81\n", "3 error: found port 80 a second time"},
    {"[Service a]\nserviceAccount = a/b\n", "2 error: found 'a/b' for 'serviceAccount'"},
    {"[Service a]\nexternal = 1\n", "2 error: found '1' for 'external', expected true or false"},
    {"[Service a]\nhosts = *.x\n", "2 error: found '*.x' for 'hosts', expected host names"},
    {"[Workload a]\nservices = b/c\n",
     "2 error: found 'b/c' for 'services', expected names of the same namespace"},
    {"[Workload a]\nlabels = app\n", "2 error: found 'app' for 'labels', expected LABEL=VALUE"},
    {"[Workload a]\nlabels = app=x\nlabels.app = y\n", "3 error: found label 'app' a second time"},
    {"[Workload a]\nenvironment = X\n", "2 error: found 'X' for 'environment', expected VARIABLE=VALUE"},
    {"[Policy default]\nmtls.mode = STRICT\nprincipals = a*b\n",
     "3 error: found 'a*b' for 'principals', expected DOMAIN/ns/NAMESPACE/sa/ACCOUNT, or one '*'"},
    {"[Policy default]\nmtls.mode = STRICT\nprincipals = *a*\n", "3 error: found '*a*'"},
    {"[Policy default]\nmtls.mode = STRICT\nprincipals = sleep\n", "3 error: found 'sleep'"},
    {"[Policy default]\nmtls.mode = STRICT\nprincipals = d/ns/a/sa/\n", "3 error: found 'd/ns/a/sa/'"},
    /* keys that do not fit together */
    {DR "tls.mode = ISTIO_MUTUAL\ntls.caCertificates = x\n",
     "4 error: found 'tls.caCertificates' with mode ISTIO_MUTUAL"},
    {DR "tls.clientCertificate = x\ntls.mode = ISTIO_MUTUAL\n",
     "3 error: found 'tls.clientCertificate' with mode ISTIO_MUTUAL"},
    {DR "tls.mode = ISTIO_MUTUAL\ntls.privateKey = x\n",
     "4 error: found 'tls.privateKey' with mode ISTIO_MUTUAL"},
    {DR "tls.mode = ISTIO_MUTUAL\ntls.insecureSkipVerify = true\n",
     "4 error: found 'tls.insecureSkipVerify' with mode ISTIO_MUTUAL"},
    {DR "tls.mode = PERMISSIVE\ntls.caCertificates = x\n",
     "4 error: found 'tls.caCertificates' with mode PERMISSIVE"},
    {DR "tls.mode = ISTIO_MUTUAL\ntls.sni = x\ntls.subjectAltNames = a, b\n", NULL},
    {DR "tls.mode = MUTUAL\n",
     "3 error: mode MUTUAL without 'tls.clientCertificate' in [DestinationRule a], expected "
     "clientCertificate and privateKey\n3 error: mode MUTUAL without 'tls.privateKey'"},
    {DR "tls.mode = MUTUAL\ntls.clientCertificate = x\n", "3 error: mode MUTUAL without 'tls.privateKey'"},
    {DR "tls.mode = MUTUAL\ntls.clientCertificate = x\ntls.privateKey = y\n", NULL},
    {DR "tls.mode = SIMPLE\ntls.clientCertificate = x\n",
     "4 error: found 'tls.clientCertificate' with mode SIMPLE"},
    {DR "tls.mode = SIMPLE\ntls.privateKey = x\n", "4 error: found 'tls.privateKey' with mode SIMPLE"},
    {DR "tls.mode = SIMPLE\ntls.insecureSkipVerify = true\ntls.caCertificates = x\n",
     "4 warning: insecureSkipVerify in [DestinationRule a]: anybody can pose as the server\n5 error: found "
     "'tls.caCertificates' with mode insecureSkipVerify = true"},
    {DR "tls.mode = SIMPLE\ntls.insecureSkipVerify = true\ntls.subjectAltNames = x\n",
     "4 warning: insecureSkipVerify"},
    {DR "tls.mode = SIMPLE\ntls.insecureSkipVerify = false\ntls.caCertificates = x\n", NULL},
    {DR "tls.mode = SIMPLE\ntls.credentialName = x\n",
     "4 error: found 'x' for 'tls.credentialName', expected files instead"},
    {DR "portLevelSettings.80.tls.mode = MUTUAL\n",
     "3 error: mode MUTUAL without 'portLevelSettings.80.tls.clientCertificate'"},
    {DR "portLevelSettings.65535.tls.mode = ISTIO_MUTUAL\nportLevelSettings.65535.tls.privateKey = x\n",
     "4 error: found 'portLevelSettings.65535.tls.privateKey' with mode ISTIO_MUTUAL"},
    {DR "portLevelSettings.80.port.number = 80\n", NULL},
    {DR "portLevelSettings.80.port.number = 81\n",
     "3 error: found '81' for 'portLevelSettings.80.port.number', expected the same"},
    {"[PeerAuthentication a]\nmtls.mode = STRICT\nportLevelMtls.80.mode = DISABLE\n",
     "3 error: found 'portLevelMtls.80.mode' in [PeerAuthentication a], expected a selector.matchLabels with "
     "it"},
    {"[Policy default]\ntargets = a\nmtls.mode = STRICT\n",
     "1 error: found targets in [Policy default], expected none"},
    {"[Policy a]\ntargets.ports = 80\nmtls.mode = STRICT\n", "1 warning: [Policy a] is ignored"},
    /* what Istio ignores or we only doubt: a warning, and the table stands */
    {"[MeshPolicy other]\nmtls.mode = STRICT\n",
     "1 warning: [MeshPolicy other] is ignored: only a MeshPolicy called 'default'"},
    {"[Policy a/b]\nmtls.mode = STRICT\n",
     "1 warning: [Policy a/b] is ignored: without targets only a Policy called 'default'"},
    {"[PeerAuthentication istio-system/a]\nselector.matchLabels.app = x\nmtls.mode = STRICT\n",
     "1 warning: [PeerAuthentication istio-system/a] is ignored: a selector has no meaning in the root "
     "namespace"},
    {"[Policy a/default]\n", "1 warning: [Policy a/default] has no mtls.mode, which turns mutual TLS off\n"},
    {DR "tls.sni = x\n",
     "3 warning: 'tls.' keys without 'tls.mode' in [DestinationRule a] mean DISABLE: plaintext"},
    {DR "tls.mode = DISABLE\ntls.sni = x\n", "4 warning: 'tls.' keys have no effect with mode DISABLE"},
    {DR "tls.mode = SIMPLE\nsubsets.v1.labels.version = v1\n",
     "4 warning: 'subsets.v1.labels.version' is understood but has no effect"},
    {DR "[DestinationRule b]\nhost = a.default.svc.cluster.local\n",
     "3 warning: [DestinationRule b] names the same host 'a.default.svc.cluster.local' as [DestinationRule "
     "a] on line 1"},
    {DR "[DestinationRule x/b]\nhost = a.default.svc.cluster.local\n", NULL},
    {"[PeerAuthentication a/x]\nmtls.mode = STRICT\n[PeerAuthentication a/y]\nmtls.mode = DISABLE\n",
     "3 warning: [PeerAuthentication a/y] has the same scope as [PeerAuthentication a/x] on line 1, which "
     "comes first"},
    {"[Policy a/x]\ntargets = s\nmtls.mode = STRICT\n[Policy a/y]\ntargets = t, s\nmtls.mode = STRICT\n",
     "4 warning: [Policy a/y] has the same scope as [Policy a/x] on line 1"},
    {"[Service a]\nexternal = true\n",
     "1 warning: [Service a] is external but has neither hosts nor address"},
};

Test(policy_read, mistakes) {
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const struct mistake *m = &mistakes[i];
        struct test_findings f;
        struct policy *p = test_parse(m->text, &f);
        const char *expected = m->expected ? m->expected : "";
        cr_expect_eq(strncmp(f.text, expected, strlen(expected)), 0, "%s--- said\n%s--- expected\n%s\n",
                     m->text, f.text, expected);
        if (!m->expected)
            cr_expect_str_empty(f.text, "%s--- said\n%s", m->text, f.text);
        cr_expect_eq(p == NULL, f.errors > 0, "%s", m->text);
        policy_free(p);
    }
}

/* Not only the first, and in the order of the lines whichever pass finds them. */
Test(policy_read, all_errors_in_order) {
    struct test_findings f;
    struct policy *p =
        test_parse("[DestinationRule a]\nhost = a\ntls.mode = MUTUAL\nx = 1\n[Mesh]\nlinger = q\n"
                   "namespace = Q\n[Service]\n[Foo]\nbar\n",
                   &f);
    int lines[] = {3, 3, 4, 6, 7, 8, 9, 10}, line;
    const char *at = f.text;
    cr_assert_null(p);
    cr_assert_eq(f.errors, 8, "%s", f.text);
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(sscanf(at, "%d", &line), 1);
        cr_expect_eq(line, lines[i], "%s", f.text);
        at = strchr(at, '\n') + 1;
    }
}

Test(policy_read, nul_bytes) {
    static const char text[] = "[Mesh]\nlinger = 5\0\n";
    struct test_findings f = {.text = ""};
    cr_assert_null(policy_parse("mesh.ini", text, sizeof text - 1, test_finding, &f));
    cr_expect_str_eq(f.text, "2 error: found a NUL byte (0x00) at column 11, expected text\n");
    cr_assert_null(policy_parse("mesh.ini", "[Mesh]\nx", 8, NULL, NULL),
                   "a table without a last newline, no report");
}

Test(policy_read, no_last_newline) {
    struct policy *p = test_table("[Mesh]\nlinger = 7");
    cr_expect_eq(policy_mesh(p)->linger_ms, 7000);
    policy_free(p);
}

Test(policy_read, mesh_defaults_and_values) {
    struct policy *p = test_table("");
    const struct policy_mesh *m = policy_mesh(p);
    cr_expect_str_eq(m->trust_domain, "cluster.local");
    cr_expect_null(m->certificates);
    cr_expect_str_eq(m->namespace_, "default");
    cr_expect_eq(m->linger_ms, 5000);
    cr_expect_eq(m->handshake_timeout_ms, 10000);
    cr_expect_eq(m->permissive_wait_ms, 100);
    cr_expect_not(m->close_on_change);
    policy_free(p);
    p = test_table(
        "[Mesh]\ntrustDomain = td.example ; ours\nnamespace = n1\nlinger = 1.5\nhandshake_timeout = 250ms\n"
        "permissive_wait = 2m\nonPolicyChange = close\n");
    m = policy_mesh(p);
    cr_expect_str_eq(m->trust_domain, "td.example");
    cr_expect_str_eq(m->namespace_, "n1");
    cr_expect_eq(m->linger_ms, 1500);
    cr_expect_eq(m->handshake_timeout_ms, 250);
    cr_expect_eq(m->permissive_wait_ms, 120000);
    cr_expect(m->close_on_change);
    policy_free(p);
}

Test(policy_read, durations) {
    static const struct {
        const char *text;
        unsigned ms;
    } rows[] = {{"0", 0},      {"0s", 0},     {"1h", 3600000}, {"24h", 86400000}, {"0.1", 100},
                {"0.0019", 1}, {"5 s", 5000}, {".5s", 500},    {"1.5ms", 1},      {"86400", 86400000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        snprintf(text, sizeof text, "[Mesh]\nlinger = %s\n", rows[i].text);
        struct policy *p = test_table(text);
        cr_expect_eq(policy_mesh(p)->linger_ms, rows[i].ms, "%s", rows[i].text);
        policy_free(p);
    }
}

Test(policy_read, file_names_start_from_the_table) {
    static const char text[] = "[Mesh]\ncertificates = ./certs\n";
    struct policy *p = policy_parse("/etc/mesh/a.ini", text, strlen(text), NULL, NULL);
    cr_assert_not_null(p);
    cr_expect_str_eq(policy_mesh(p)->certificates, "/etc/mesh/certs");
    policy_free(p);
    p = policy_parse("(embedded)", text, strlen(text), NULL, NULL);
    cr_assert_not_null(p);
    cr_expect_str_eq(policy_mesh(p)->certificates, "./certs");
    policy_free(p);
    p = policy_parse("/a.ini", text, strlen(text), NULL, NULL);
    cr_assert_not_null(p);
    cr_expect_str_eq(policy_mesh(p)->certificates, "/certs");
    policy_free(p);
}

Test(policy_read, load) {
    char dir[] = "/tmp/mtlswrap-policy-XXXXXX", path[64], expected[64], here[4096];
    struct test_findings f = {.text = ""};
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/mesh.ini", dir);
    cr_assert_null(policy_load(path, test_finding, &f));
    cr_expect_str_eq(f.text, "0 error: cannot read the policy table: No such file or directory\n");
    f = (struct test_findings){.text = ""};
    cr_assert_null(policy_load(dir, test_finding, &f));
    cr_expect_str_eq(f.text, "0 error: cannot read the policy table: Is a directory\n");

    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    for (int i = 0; i < 2000; i++) /* beyond every first buffer */
        fprintf(out, "[Service s%d]\naddress = 127.1.%d.%d\n", i, i / 250, i % 250);
    fprintf(out, "[Mesh]\ncertificates = certs\n");
    fclose(out);
    cr_assert_not_null(getcwd(here, sizeof here));
    cr_assert_eq(chdir(dir), 0);
    struct policy *p = policy_load("mesh.ini", test_finding, &f);
    cr_assert_eq(chdir(here), 0);
    cr_assert_not_null(p);
    snprintf(expected, sizeof expected, "%s/certs", dir);
    cr_expect_str_eq(policy_mesh(p)->certificates, expected,
                     "a daemon changes its directory; the table does not move");
    cr_expect_eq(policy_service_count(p), 2000);
    policy_free(p);
    cr_expect_eq(unlink(path), 0);
    cr_expect_eq(rmdir(dir), 0);
}

/* Names beyond inih's limit, and lists over several lines. */
Test(policy_read, long_names_and_repeated_keys) {
    struct policy *p =
        test_table("[Service]\nmetadata.name = " A50 "\nmetadata.namespace = ns\naddress = 127.9.0.1\n"
                   "address = 127.9.0.2, 127.9.0.3\n");
    struct policy_service_info info;
    struct sockaddr_storage a;
    cr_assert(policy_service_at(p, 0, &info));
    cr_expect_str_eq(info.name, A50);
    cr_expect_str_eq(info.where.section, "Service ns/" A50);
    cr_expect_eq(info.address_count, 3);
    cr_expect(policy_service_address(p, 0, 2, &a));
    cr_expect_not(policy_service_address(p, 0, 3, &a));
    cr_expect_not(policy_service_at(p, 1, &info));
    policy_free(p);
}
