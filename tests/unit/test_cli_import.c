/* test_cli_import.c - import, then decide: each document must lead to the decision that Istio's rules give.
 *
 * A case is YAML, perhaps some lines of a table that have no counterpart in YAML, and decisions:
 *   NS/NAME:PORT=MODE             what that workload's accepting side demands
 *   NS/NAME>HOST:PORT=MODE        what that workload does when it connects there
 *   lost=N                        how many things could not be carried over
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/policy.h"
#include "../../preload/cli/explain_print.h"
#include "../../preload/cli/importer.h"

/* httpbin in three namespaces, each on 8000 and 8001; and somebody outside. */
#define SERVICE(ns, address)                                                                                 \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: httpbin, namespace: " ns "}\n"                     \
    "spec: {clusterIP: " address ", ports: [{port: 8000, targetPort: 8000}, {port: 8001}]}\n"
static const char services[] = SERVICE("test1", "127.1.0.1") SERVICE("test2", "127.1.0.2")
    SERVICE("test3", "127.1.0.3") "---\napiVersion: networking.istio.io/v1alpha3\nkind: ServiceEntry\n"
                                  "metadata: {name: outside, namespace: test1}\n"
                                  "spec:\n  hosts: [api.example.com]\n  addresses: [192.0.2.7]\n"
                                  "  ports: [{number: 443, name: tls, protocol: TLS}]\n";

#define MESH(spec) "---\nkind: MeshPolicy\nmetadata: {name: default}\nspec: " spec "\n"
#define POLICY(ns, name, spec)                                                                               \
    "---\nkind: Policy\nmetadata: {name: " name ", namespace: " ns "}\nspec: " spec "\n"
#define PEER(ns, name, spec)                                                                                 \
    "---\nkind: PeerAuthentication\nmetadata: {name: " name ", namespace: " ns "}\nspec: " spec "\n"
#define RULE(ns, name, spec)                                                                                 \
    "---\nkind: DestinationRule\nmetadata: {name: " name ", namespace: " ns "}\nspec: " spec "\n"
#define STRICT_MESH MESH("{peers: [{mtls: {}}]}")

struct import_case {
    const char *name, *yaml, *table, *decisions;
};

static const struct import_case accepting[] = {
    {"nothing at all", "", "", "test1/httpbin:8000=DISABLE test2/httpbin:8001=DISABLE lost=0"},
    {"mtls empty", MESH("{peers: [{mtls: {}}]}"), "",
     "test1/httpbin:8000=STRICT test3/httpbin:8001=STRICT lost=0"},
    {"mtls null", MESH("{peers: [{mtls: }]}"), "", "test1/httpbin:8000=STRICT test2/httpbin:8000=STRICT"},
    {"mtls tilde", MESH("{peers: [{mtls: ~}]}"), "", "test1/httpbin:8000=STRICT test2/other:1=STRICT"},
    {"mode STRICT", MESH("{peers: [{mtls: {mode: STRICT}}]}"), "", "test1/httpbin:8000=STRICT"},
    {"mode PERMISSIVE", MESH("{peers: [{mtls: {mode: PERMISSIVE}}]}"), "",
     "test1/httpbin:8000=PERMISSIVE test2/httpbin:8000=PERMISSIVE test9/x:1=PERMISSIVE"},
    {"allowTls", MESH("{peers: [{mtls: {allowTls: true}}]}"), "", "test1/httpbin:8000=PERMISSIVE"},
    {"allowTls false", MESH("{peers: [{mtls: {allowTls: false}}]}"), "", "test1/httpbin:8000=STRICT"},
    {"no peers", MESH("{peers: []}"), "", "test1/httpbin:8000=DISABLE lost=0"},
    {"no spec", "---\nkind: MeshPolicy\nmetadata: {name: default}\n", "",
     "test1/httpbin:8000=DISABLE lost=0"},
    {"another name", "---\nkind: MeshPolicy\nmetadata: {name: other}\nspec: {peers: [{mtls: {}}]}\n", "",
     "test1/httpbin:8000=DISABLE test2/httpbin:8000=DISABLE"},
    {"tokens", MESH("{peers: [{mtls: {}}], origins: [{jwt: {}}]}"), "", "test1/httpbin:8000=STRICT lost=1"},
    {"tokens alone", MESH("{peers: [{jwt: {}}]}"), "", "test1/httpbin:8000=DISABLE lost=1"},
    {"mesh with targets", MESH("{targets: [{name: httpbin}], peers: [{mtls: {}}]}"), "",
     "test1/httpbin:8000=STRICT lost=1"},
    {"namespace replaces mesh",
     STRICT_MESH POLICY("test1", "default", "{peers: [{mtls: {mode: PERMISSIVE}}]}"), "",
     "test1/httpbin:8000=PERMISSIVE test1/httpbin:8001=PERMISSIVE test1/x:9=PERMISSIVE "
     "test2/httpbin:8000=STRICT test3/httpbin:8000=STRICT"},
    {"namespace without peers", STRICT_MESH POLICY("test3", "default", "{}"), "",
     "test1/httpbin:8000=STRICT test3/httpbin:8000=DISABLE test3/httpbin:8001=DISABLE"},
    {"namespace only", POLICY("test2", "default", "{peers: [{mtls: {}}]}"), "",
     "test1/httpbin:8000=DISABLE test2/httpbin:8000=STRICT test2/x:1=STRICT test3/httpbin:8000=DISABLE"},
    {"service replaces namespace",
     STRICT_MESH POLICY("test1", "default", "{peers: [{mtls: {mode: PERMISSIVE}}]}")
         POLICY("test1", "bin", "{targets: [{name: httpbin}], peers: [{mtls: {}}]}"),
     "",
     "test1/httpbin:8000=STRICT test1/httpbin:8001=STRICT test1/sleep:80=PERMISSIVE "
     "test2/httpbin:8000=STRICT"},
    {"service without peers", STRICT_MESH POLICY("test1", "bin", "{targets: [{name: httpbin}]}"), "",
     "test1/httpbin:8000=DISABLE test1/httpbin:8001=DISABLE test1/x:1=STRICT test2/httpbin:8000=STRICT"},
    {"service of another namespace", STRICT_MESH POLICY("test2", "bin", "{targets: [{name: httpbin}]}"), "",
     "test1/httpbin:8000=STRICT test2/httpbin:8000=DISABLE test3/httpbin:8000=STRICT"},
    {"one port", STRICT_MESH POLICY("test1", "bin", "{targets: [{name: httpbin, ports: [{number: 8001}]}]}"),
     "", "test1/httpbin:8000=STRICT test1/httpbin:8001=DISABLE test2/httpbin:8001=STRICT"},
    {"two ports",
     STRICT_MESH POLICY("test1", "bin",
                        "{targets: [{name: httpbin, ports: [{number: 8000}, {number: 8001}]}]}"),
     "", "test1/httpbin:8000=DISABLE test1/httpbin:8001=DISABLE test1/httpbin:8002=STRICT"},
    {"one port over a namespace",
     POLICY("test1", "default", "{peers: [{mtls: {}}]}")
         POLICY("test1", "bin",
                "{targets: [{name: httpbin, ports: [{number: 8001}]}], peers: [{mtls: {mode: "
                "PERMISSIVE}}]}"),
     "", "test1/httpbin:8000=STRICT test1/httpbin:8001=PERMISSIVE test2/httpbin:8001=DISABLE"},
    {"a port by name widens nothing",
     STRICT_MESH POLICY("test1", "bin", "{targets: [{name: httpbin, ports: [{name: http}]}]}"), "",
     "test1/httpbin:8000=STRICT test1/httpbin:8001=STRICT test1/x:1=STRICT lost=1"},
    {"a target without name widens nothing",
     STRICT_MESH POLICY("test1", "bin", "{targets: [{labels: {a: b}}]}"), "",
     "test1/httpbin:8000=STRICT test1/httpbin:8001=STRICT test1/x:1=STRICT lost=1"},
    {"several targets", STRICT_MESH POLICY("test1", "many", "{targets: [{name: httpbin}, {name: other}]}"),
     "[Service test1/other]\naddress = 127.1.0.9\nports = 80\n",
     "test1/httpbin:8000=DISABLE test1/other:80=DISABLE test1/third:80=STRICT"},
    {"targets of both sorts",
     STRICT_MESH POLICY("test1", "many",
                        "{targets: [{name: other}, {name: httpbin, ports: [{number: 8001}]}]}"),
     "[Service test1/other]\naddress = 127.1.0.9\nports = 80, 8001\n",
     "test1/httpbin:8000=STRICT test1/httpbin:8001=DISABLE test1/other:80=DISABLE test1/other:8001=DISABLE"},
    {"targets of different ports",
     STRICT_MESH POLICY(
         "test1", "many",
         "{targets: [{name: other, ports: [{number: 80}]}, {name: httpbin, ports: [{number: 8001}]}]}"),
     "[Service test1/other]\naddress = 127.1.0.9\nports = 80, 8001\n",
     "test1/httpbin:8000=STRICT test1/httpbin:8001=DISABLE test1/other:80=DISABLE test1/other:8001=STRICT"},
};

static const struct import_case peers[] = {
    {"the newer API begins PERMISSIVE", PEER("test9", "default", "{}"), "",
     "test1/httpbin:8000=PERMISSIVE test9/x:1=PERMISSIVE lost=0"},
    {"root namespace", PEER("istio-system", "default", "{mtls: {mode: STRICT}}"), "",
     "test1/httpbin:8000=STRICT test2/httpbin:8001=STRICT test9/x:1=STRICT"},
    {"namespace over mesh",
     PEER("istio-system", "default", "{mtls: {mode: STRICT}}")
         PEER("test1", "default", "{mtls: {mode: DISABLE}}"),
     "", "test1/httpbin:8000=DISABLE test1/x:1=DISABLE test2/httpbin:8000=STRICT"},
    {"UNSET inherits",
     PEER("istio-system", "default", "{mtls: {mode: STRICT}}")
         PEER("test1", "default", "{mtls: {mode: UNSET}}"),
     "", "test1/httpbin:8000=STRICT test2/httpbin:8000=STRICT"},
    {"no mtls inherits",
     PEER("istio-system", "default", "{mtls: {mode: STRICT}}") PEER("test1", "default", "{}"), "",
     "test1/httpbin:8000=STRICT test1/x:1=STRICT"},
    {"empty mtls inherits",
     PEER("istio-system", "default", "{mtls: {mode: DISABLE}}") PEER("test1", "default", "{mtls: {}}"), "",
     "test1/httpbin:8000=DISABLE test2/httpbin:8000=DISABLE"},
    {"workload over namespace",
     PEER("test1", "default", "{mtls: {mode: PERMISSIVE}}")
         PEER("test1", "one", "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}}"),
     "[Workload test1/a]\nlabels.app = a\n[Workload test1/b]\nlabels.app = b\n",
     "test1/a:80=STRICT test1/b:80=PERMISSIVE test1/c:80=PERMISSIVE"},
    {"all labels must match",
     PEER("test1", "one", "{selector: {matchLabels: {app: a, version: v1}}, mtls: {mode: STRICT}}"),
     "[Workload test1/a]\nlabels = app=a, version=v1\n[Workload test1/b]\nlabels = app=a\n",
     "test1/a:80=STRICT test1/b:80=PERMISSIVE"},
    {"a long label",
     PEER("test1", "one",
          "{selector: {matchLabels: {app.kubernetes.io/a-label-of-length: long}}, mtls: {mode: STRICT}}"),
     "[Workload test1/a]\nlabels = app.kubernetes.io/a-label-of-length=long\n[Workload test1/b]\n"
     "labels = app.kubernetes.io/a-label-of-length=short\n",
     "test1/a:80=STRICT test1/b:80=PERMISSIVE lost=0"},
    {"a label that no table can hold widens nothing",
     PEER("test1", "one", "{selector: {matchLabels: {app: 'a; b'}}, mtls: {mode: DISABLE}}"),
     "[Workload test1/a]\nlabels.app = a\n[PeerAuthentication default]\n",
     "test1/a:80=PERMISSIVE test1/b:80=PERMISSIVE lost=1"},
    {"port level",
     PEER("test1", "one",
          "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {80: {mode: DISABLE}, "
          "81: {mode: "
          "PERMISSIVE}}}"),
     "[Workload test1/a]\nlabels.app = a\n",
     "test1/a:80=DISABLE test1/a:81=PERMISSIVE test1/a:82=STRICT test1/b:80=PERMISSIVE"},
    {"port level UNSET inherits from the workload",
     PEER("test1", "one",
          "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {80: {mode: UNSET}, 81: "
          "{}}}"),
     "[Workload test1/a]\nlabels.app = a\n", "test1/a:80=STRICT test1/a:81=STRICT test1/a:82=STRICT"},
    {"workload UNSET with a port",
     PEER("istio-system", "default", "{mtls: {mode: STRICT}}")
         PEER("test1", "one", "{selector: {matchLabels: {app: a}}, portLevelMtls: {80: {mode: DISABLE}}}"),
     "[Workload test1/a]\nlabels.app = a\n", "test1/a:80=DISABLE test1/a:81=STRICT test1/b:80=STRICT"},
    {"a port that is no number",
     PEER(
         "test1", "one",
         "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {http: {mode: DISABLE}}}"),
     "[Workload test1/a]\nlabels.app = a\n", "test1/a:80=STRICT lost=1"},
    {"the newer API wins per workload",
     STRICT_MESH POLICY("test1", "default", "{peers: [{mtls: {}}]}")
         PEER("test1", "default", "{mtls: {mode: DISABLE}}"),
     "", "test1/httpbin:8000=DISABLE test1/x:1=DISABLE"},
    {"an unknown mode", PEER("test1", "default", "{mtls: {mode: LAX}}"), "", "test1/x:1=PERMISSIVE lost=1"},
    {"an unknown field", PEER("test1", "default", "{mtls: {mode: STRICT}, extra: 1}"), "",
     "test1/x:1=STRICT lost=1"},
};

#define TLS(mode) "trafficPolicy: {tls: {mode: " mode "}}"
static const struct import_case connecting[] = {
    {"no rule, outside", "", "", "test1/a>192.0.2.9:80=DISABLE test1/a>api.example.com:443=DISABLE"},
    {"wildcard", RULE("test1", "default", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}"), "",
     "test1/a>httpbin.test1.svc.cluster.local:8000=ISTIO_MUTUAL "
     "test1/a>httpbin.test2.svc.cluster.local:8001=ISTIO_MUTUAL "
     "test1/a>httpbin:8000=ISTIO_MUTUAL "
     "test1/a>httpbin.test2:8000=ISTIO_MUTUAL"},
    {"exact over wildcard",
     RULE("test1", "all", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}")
         RULE("test1", "one", "{host: httpbin.test2.svc.cluster.local, " TLS("DISABLE") "}"),
     "",
     "test1/a>httpbin.test2:8000=DISABLE test1/a>httpbin.test1:8000=ISTIO_MUTUAL "
     "test1/a>httpbin.test3:8000=ISTIO_MUTUAL"},
    {"longer wildcard over shorter",
     RULE("test1", "all", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}")
         RULE("test1", "ns", "{host: '*.test2.svc.cluster.local', " TLS("DISABLE") "}"),
     "",
     "test1/a>httpbin.test2:8000=DISABLE test1/a>httpbin.test1:8000=ISTIO_MUTUAL "
     "test1/a>httpbin.test3:8001=ISTIO_MUTUAL"},
    {"short name means the rule's namespace",
     RULE("test2", "one", "{host: httpbin, " TLS("ISTIO_MUTUAL") "}"), "",
     "test2/a>httpbin.test2:8000=ISTIO_MUTUAL test1/a>httpbin.test2:8000=ISTIO_MUTUAL"},
    {"tls without mode is DISABLE",
     RULE("test1", "all", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}")
         RULE("test1", "one", "{host: httpbin, trafficPolicy: {tls: {}}}"),
     "", "test1/a>httpbin:8000=DISABLE test1/a>httpbin.test2:8000=ISTIO_MUTUAL"},
    {"port level replaces the rule",
     RULE("test1", "one",
          "{host: httpbin, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {number: "
          "8001}, tls: "
          "{mode: DISABLE}}]}}"),
     "", "test1/a>httpbin:8000=ISTIO_MUTUAL test1/a>httpbin:8001=DISABLE lost=0"},
    {"port level only",
     RULE("test1", "one",
          "{host: api.example.com, trafficPolicy: {portLevelSettings: [{port: {number: 443}, tls: {mode: "
          "SIMPLE}}]}}"),
     "", "test1/a>api.example.com:443=SIMPLE test1/a>api.example.com:80=DISABLE"},
    {"port level without mode",
     RULE("test1", "one",
          "{host: httpbin, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {number: "
          "8001}, tls: "
          "{}}]}}"),
     "", "test1/a>httpbin:8000=ISTIO_MUTUAL test1/a>httpbin:8001=DISABLE"},
    {"a port by name is not guessed",
     RULE("test1", "one",
          "{host: httpbin, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {name: "
          "http}, tls: "
          "{mode: DISABLE}}]}}"),
     "", "test1/a>httpbin:8000=ISTIO_MUTUAL test1/a>httpbin:8001=ISTIO_MUTUAL lost=1"},
    {"SIMPLE outside",
     RULE("test1", "ext",
          "{host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /etc/ca.pem, sni: "
          "api.example.com, subjectAltNames: [api.example.com, www.example.com]}}}"),
     "", "test1/a>api.example.com:443=SIMPLE test1/a>httpbin.test3:8000=DISABLE lost=0"},
    {"MUTUAL with files",
     RULE("test1", "ext",
          "{host: api.example.com, trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /c.pem, "
          "privateKey: /k.pem, "
          "caCertificates: /r.pem}}}"),
     "", "test1/a>api.example.com:443=MUTUAL test1/a>api.example.com:80=MUTUAL"},
    {"files that ISTIO_MUTUAL ignores",
     RULE("test1", "one",
          "{host: httpbin, trafficPolicy: {tls: {mode: ISTIO_MUTUAL, caCertificates: /r.pem}}}"),
     "", "test1/a>httpbin:8000=ISTIO_MUTUAL lost=1"},
    {"a secret store",
     RULE("test1", "ext", "{host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE, credentialName: x}}}"),
     "", "test1/a>api.example.com:443=SIMPLE lost=1"},
    {"routing is not ours",
     RULE("test1", "one",
          "{host: httpbin, subsets: [{name: v1, labels: {v: v1}}], trafficPolicy: {loadBalancer: {simple: "
          "RANDOM}, "
          "connectionPool: {}, tls: {mode: ISTIO_MUTUAL}}}"),
     "", "test1/a>httpbin:8000=ISTIO_MUTUAL lost=3"},
    {"own namespace first",
     RULE("test1", "mine", "{host: httpbin.test2.svc.cluster.local, " TLS("DISABLE") "}")
         RULE("test2", "theirs", "{host: httpbin.test2.svc.cluster.local, " TLS("ISTIO_MUTUAL") "}"),
     "",
     "test1/a>httpbin.test2:8000=DISABLE test2/a>httpbin.test2:8000=ISTIO_MUTUAL "
     "test3/a>httpbin.test2:8000=ISTIO_MUTUAL"},
    {"root namespace last", RULE("istio-system", "all", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}"), "",
     "test1/a>httpbin.test2:8000=ISTIO_MUTUAL test3/a>httpbin.test3:8000=ISTIO_MUTUAL"},
    {"root namespace after the service's",
     RULE("istio-system", "all", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}")
         RULE("test3", "off", "{host: httpbin, " TLS("DISABLE") "}"),
     "",
     "test1/a>httpbin.test3:8000=DISABLE test1/a>httpbin.test2:8000=ISTIO_MUTUAL "
     "test3/a>httpbin:8001=DISABLE"},
    {"not exported",
     RULE("test2", "theirs", "{host: httpbin, exportTo: ['.'], " TLS("SIMPLE") "}")
         RULE("istio-system", "all", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}"),
     "", "test1/a>httpbin.test2:8000=ISTIO_MUTUAL test2/a>httpbin.test2:8000=SIMPLE"},
    {"a wildcard does not match its own suffix",
     RULE("test1", "w", "{host: '*.example.com', " TLS("SIMPLE") "}"), "",
     "test1/a>api.example.com:443=SIMPLE test1/a>example.com:443=DISABLE test1/a>x.y.example.com:1=SIMPLE "
     "test1/a>badexample.com:1=DISABLE"},
    {"star alone", RULE("test1", "w", "{host: '*', " TLS("ISTIO_MUTUAL") "}"), "",
     "test1/a>httpbin.test3:8000=ISTIO_MUTUAL test1/a>api.example.com:443=ISTIO_MUTUAL"},
    {"a foreign host is not local", RULE("istio-system", "w", "{host: '*.local', " TLS("ISTIO_MUTUAL") "}"),
     "", "test1/a>httpbin.test3:8000=ISTIO_MUTUAL test1/a>api.example.com:443=DISABLE"},
    {"an unknown mode says nothing", RULE("test1", "one", "{host: api.example.com, " TLS("ODD") "}"), "",
     "test1/a>api.example.com:443=DISABLE lost=1"},
    {"a list of documents",
     "---\nkind: List\nitems:\n- kind: DestinationRule\n  metadata: {name: a, namespace: test1}\n  spec: "
     "{host: httpbin, "
     "trafficPolicy: {tls: {mode: SIMPLE}}}\n- kind: MeshPolicy\n  metadata: {name: default}\n  spec: "
     "{peers: [{mtls: "
     "{}}]}\n",
     "", "test1/a>httpbin:8000=SIMPLE test1/httpbin:8000=STRICT lost=0"},
    {"an alias",
     "---\nkind: DestinationRule\nmetadata: {name: a, namespace: test1}\nspec:\n  host: httpbin\n  "
     "trafficPolicy:\n    tls: "
     "&t {mode: SIMPLE}\n    portLevelSettings: [{port: {number: 8001}, tls: *t}]\n",
     "", "test1/a>httpbin:8000=SIMPLE test1/a>httpbin:8001=SIMPLE lost=0"},
    {"other kinds", "---\nkind: VirtualService\nmetadata: {name: x}\n---\n- a list\n---\njust text\n", "",
     "test1/httpbin:8000=DISABLE lost=3"},
};

static char *table_of(const struct import_case *c, unsigned *lost) {
    char *out = NULL, *log = NULL, *yaml = NULL;
    size_t out_size, log_size;
    cr_assert_gt(asprintf(&yaml, "%s%s", services, c->yaml), 0);
    struct importer im = {
        .out = open_memstream(&out, &out_size), .log = open_memstream(&log, &log_size), .file = "y"};
    cr_assert(importer_read(&im, yaml, strlen(yaml)), "%s", c->name);
    fprintf(im.out, "\n%s", c->table);
    fclose(im.out);
    fclose(im.log);
    *lost = im.lost;
    unsigned lines = 0;
    for (const char *p = log; (p = strchr(p, '\n')); p++)
        lines++;
    cr_assert_eq(lines, im.lost, "%s: a warning for each thing lost", c->name);
    free(log);
    free(yaml);
    return out;
}

static void complain(void *arg, enum policy_severity severity, const char *file, int line,
                     const char *message) {
    if (severity == POLICY_ERROR)
        cr_log_error("%s: %s:%d: %s", (const char *)arg, file, line, message);
}

static struct policy_self workload(const struct policy *p, const char *name, const char *what) {
    struct policy_self self;
    cr_assert(policy_self(p, name, &self), "%s", what);
    return self;
}

static const char *accepts(const struct policy *p, char *name, const char *what) {
    struct sockaddr_storage local;
    struct policy_inbound in;
    char *port = strrchr(name, ':');
    *port = 0;
    struct policy_self self = workload(p, name, what);
    struct sockaddr_in any = {.sin_family = AF_INET};
    if (!policy_own_address(p, &self, AF_INET, &local))
        memcpy(&local, &any, sizeof any);
    ((struct sockaddr_in *)&local)->sin_port = htons((uint16_t)atoi(port + 1));
    policy_inbound(p, &self, (struct sockaddr *)&local, &in);
    return explain_print_mtls(in.mode);
}

static const char *connects(const struct policy *p, char *name, char *host, const char *what) {
    struct sockaddr_storage dest;
    struct policy_outbound out;
    char *port = strrchr(host, ':');
    *port = 0;
    struct policy_self self = workload(p, name, what);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    bool named = inet_pton(AF_INET, host, &v4.sin_addr) != 1;
    if (!named || policy_resolve(p, self.namespace_, host, &dest, 1) == 0)
        memcpy(&dest, &v4, sizeof v4);
    ((struct sockaddr_in *)&dest)->sin_port = htons((uint16_t)atoi(port + 1));
    policy_outbound(p, &self, (struct sockaddr *)&dest, named ? host : NULL, &out);
    return explain_print_tls(out.mode);
}

/* Returns how many decisions it has checked. */
static unsigned decide(const struct import_case *c) {
    unsigned lost, n = 0;
    char *table = table_of(c, &lost), *words = strdup(c->decisions), *save;
    struct policy *p = policy_parse("table", table, strlen(table), complain, (void *)(size_t)c->name);
    cr_assert_not_null(p, "%s: the table that came out is wrong:\n%s", c->name, table);
    for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save), n++) {
        char *expected = strchr(word, '='), *arrow = strchr(word, '>'), what[256];
        snprintf(what, sizeof what, "%s: %s", c->name, word);
        *expected++ = 0;
        if (strcmp(word, "lost") == 0) {
            cr_expect_eq(lost, (unsigned)atoi(expected), "%s, seen %u", what, lost);
            continue;
        }
        if (arrow)
            *arrow++ = 0;
        const char *seen = arrow ? connects(p, word, arrow, what) : accepts(p, word, what);
        cr_expect_str_eq(seen, expected, "%s, seen %s; table:\n%s", what, seen, table);
    }
    policy_free(p);
    free(words);
    free(table);
    return n;
}

#define EACH(list)                                                                                           \
    for (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)                                               \
    decide(&(list)[i])

Test(cli_import, accepting_sides) {
    EACH(accepting);
}

Test(cli_import, peer_authentication) {
    EACH(peers);
}

Test(cli_import, connecting_sides) {
    EACH(connecting);
}

static bool reads(const char *yaml, size_t size, unsigned *lost) {
    char *out = NULL, *log = NULL;
    size_t out_size, log_size;
    struct importer im = {
        .out = open_memstream(&out, &out_size), .log = open_memstream(&log, &log_size), .file = "y"};
    bool ok = importer_read(&im, yaml, size);
    fclose(im.out);
    fclose(im.log);
    if (!ok)
        cr_expect(strstr(log, ": error: "), "%s", log);
    *lost = im.lost;
    free(out);
    free(log);
    return ok;
}

Test(cli_import, what_is_no_yaml) {
    static const char *const broken[] = {"a: [1, 2", "a: b: c",  "\t- x",
                                         "*nobody",  "a: 'open", "%YAML 9.9\n---\n"};
    unsigned lost;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        cr_expect_not(reads(broken[i], strlen(broken[i]), &lost), "%s", broken[i]);
    cr_expect(reads("", 0, &lost));
    cr_expect_eq(lost, 0u);
}

Test(cli_import, documents_that_bite) {
    unsigned lost;
    static const char cycle[] = "&a {kind: List, items: [*a, *a]}\n";
    cr_expect(reads(cycle, sizeof cycle - 1, &lost), "a list that contains itself must end");
    static const char name[] = "kind: Policy\nmetadata: {name: \"x]\\n[Mesh\"}\n";
    cr_expect(reads(name, sizeof name - 1, &lost));
    cr_expect_eq(lost, 1u, "a name must not break out of its line");
}
