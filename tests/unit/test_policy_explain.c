/* test_policy_explain.c - the reasons, word by word, and the lints. */
#include "test_policy.h"

struct told {
    char text[8192];
};

static void tell(void *arg, const struct policy_step *s) {
    struct told *t = arg;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%s%d [%s] %s\n", s->decided ? "> " : "", s->rule.line,
             s->rule.section, s->reason);
}

static const char accepting[] =
    "[MeshPolicy default]\nmtls.mode = STRICT\n"
    "[MeshPolicy other]\nmtls.mode = DISABLE\n"
    "[Policy t/default]\nmtls.mode = PERMISSIVE\n"
    "[Policy t/a]\ntargets = a\nmtls.mode = STRICT\nportLevelMtls.81.mode = DISABLE\n"
    "[Policy t/b]\ntargets = b\nmtls.mode = STRICT\n"
    "[Policy u/default]\nmtls.mode = STRICT\n"
    "[Policy t/a2]\ntargets = a\nmtls.mode = DISABLE\n";

static void explain_in(const char *table, const char *as, const char *local, const char *expected) {
    struct policy *p = test_table(table);
    struct told t = {""};
    struct policy_self self;
    struct policy_inbound in;
    struct sockaddr_storage ss = test_address(local);
    cr_assert(policy_self(p, as, &self));
    policy_explain_inbound(p, &self, (const struct sockaddr *)&ss, tell, &t, &in);
    cr_expect_str_eq(t.text, expected, "--- said\n%s--- expected\n%s", t.text, expected);
    policy_free(p);
}

Test(policy_explain, accepting_older_api) {
    explain_in(accepting, "t/a", "127.0.0.1:81",
               "1 [MeshPolicy default] less specific than [Policy t/a] on line 7\n"
               "3 [MeshPolicy other] is ignored, as Istio ignores it: only the name 'default' counts\n"
               "5 [Policy t/default] less specific than [Policy t/a] on line 7\n"
               "> 7 [Policy t/a] its targets name the service, with an entry for port 81\n"
               "11 [Policy t/b] its targets do not name 'a'\n"
               "14 [Policy u/default] is for namespace 'u', not 't'\n"
               "16 [Policy t/a2] comes later in the file than [Policy t/a] on line 7\n");
    explain_in(accepting, NULL, "127.0.0.1:80",
               "> 1 [MeshPolicy default] speaks for the whole mesh\n"
               "3 [MeshPolicy other] is ignored, as Istio ignores it: only the name 'default' counts\n"
               "5 [Policy t/default] is for namespace 't', not 'default'\n"
               "7 [Policy t/a] is for namespace 't', not 'default'\n"
               "11 [Policy t/b] is for namespace 't', not 'default'\n"
               "14 [Policy u/default] is for namespace 'u', not 'default'\n"
               "16 [Policy t/a2] is for namespace 't', not 'default'\n");
    explain_in("", NULL, "127.0.0.1:80",
               "> 0 [no rule] no rule speaks for this workload: plain TCP, as in Istio's older API\n");
}

Test(policy_explain, accepting_newer_api) {
    static const char table[] =
        "[MeshPolicy default]\nmtls.mode = DISABLE\n"
        "[PeerAuthentication istio-system/m]\nmtls.mode = STRICT\nprincipals = a/*\n"
        "[PeerAuthentication t/n]\nmtls.mode = UNSET\n"
        "[PeerAuthentication t/w]\nselector.matchLabels.app = w\nportLevelMtls.80.mode = UNSET\n"
        "[PeerAuthentication t/x]\nselector.matchLabels.app = x\nmtls.mode = DISABLE\n"
        "[PeerAuthentication t/n2]\nmtls.mode = DISABLE\n";
    explain_in(
        table, "t/w", "127.0.0.1:80",
        "1 [MeshPolicy default] PeerAuthentication names this workload, and the newer API wins\n"
        "> 3 [PeerAuthentication istio-system/m] speaks for the whole mesh; its principals say who may "
        "connect\n"
        "6 [PeerAuthentication t/n] says UNSET, so what is broader counts\n"
        "8 [PeerAuthentication t/w] says UNSET, so what is broader counts\n"
        "11 [PeerAuthentication t/x] its selector does not match the labels of 'w'\n"
        "14 [PeerAuthentication t/n2] comes later in the file than [PeerAuthentication t/n] on line 6\n");
    explain_in(
        "[PeerAuthentication t/n]\n", "u/x", "127.0.0.1:80",
        "1 [PeerAuthentication t/n] is for namespace 't', not 'u'\n"
        "> 0 [PERMISSIVE, the default where PeerAuthentication is used] no rule sets a mode, and where "
        "PeerAuthentication is used the default is PERMISSIVE\n");
}

static void explain_out(const char *table, const char *as, const char *dest, const char *name,
                        const char *expected) {
    struct policy *p = test_table(table);
    struct told t = {""};
    struct policy_self self;
    struct policy_outbound out;
    struct sockaddr_storage ss = test_address(dest);
    cr_assert(policy_self(p, as, &self));
    policy_explain_outbound(p, &self, (const struct sockaddr *)&ss, name, tell, &t, &out);
    cr_expect_str_eq(t.text, expected, "--- said\n%s--- expected\n%s", t.text, expected);
    policy_free(p);
}

Test(policy_explain, connecting) {
    static const char table[] =
        "[Service s/a]\naddress = 127.1.0.1\n"
        "[DestinationRule c/w]\nhost = *.local\ntls.mode = SIMPLE\n"
        "[DestinationRule c/x]\nhost = a.s.svc.cluster.local\ntls.mode = ISTIO_MUTUAL\n"
        "portLevelSettings.80.tls.mode = DISABLE\n"
        "[DestinationRule c/y]\nhost = b.org\ntls.mode = SIMPLE\n"
        "[DestinationRule s/z]\nhost = a\ntls.mode = SIMPLE\n"
        "[DestinationRule q/z]\nhost = *\ntls.mode = SIMPLE\n"
        "[DestinationRule c/v]\nhost = a.s.svc.cluster.local\ntls.mode = SIMPLE\n"
        "[DestinationRule s/u]\nhost = a.s.svc.cluster.local\ntls.mode = SIMPLE\nexportTo = .\n";
    explain_out(table, "c/x", "127.1.0.1:80", NULL,
                "3 [DestinationRule c/w] less specific than [DestinationRule c/x] on line 6\n"
                "> 6 [DestinationRule c/x] host a.s.svc.cluster.local matches exactly, with settings of its "
                "own for port 80\n"
                "10 [DestinationRule c/y] host b.org does not match a.s.svc.cluster.local (127.1.0.1)\n"
                "13 [DestinationRule s/z] namespace 's' is searched only when 'c' has no match, and there is "
                "[DestinationRule "
                "c/x] on line 6\n"
                "16 [DestinationRule q/z] namespace 'q' is not searched: it is neither the program's ('c'), "
                "the service's "
                "('s') nor the root ('istio-system')\n"
                "19 [DestinationRule c/v] names the same host as, and comes later than, [DestinationRule "
                "c/x] on line 6\n"
                "22 [DestinationRule s/u] exportTo hides it from namespace 'c'\n");
}

Test(policy_explain, automatic) {
    explain_out(
        "[DestinationRule x]\nhost = 127.0.0.0/8\n", NULL, "127.0.0.1:80", "localhost",
        "1 [DestinationRule x] host 127.0.0.0/8 matches localhost (127.0.0.1), but says nothing of tls\n"
        "> 0 [no rule] no [Service] lives there, so nothing tells that it speaks mutual TLS: plain TCP\n");
    explain_out(
        "[Service a]\naddress = 127.1.0.1\n[Workload a]\n[MeshPolicy default]\nmtls.mode = STRICT\n", NULL,
        "127.1.0.1:80", NULL,
        "> 0 [automatic mutual TLS, the destination's workload is in the mesh] [Service a] is backed by "
        "workloads in the mesh that accept mutual TLS on this port\n");
    explain_out("[Service a]\naddress = 127.1.0.1\n", NULL, "127.1.0.1:80", NULL,
                "> 0 [no rule] [Service a] has no [Workload], so nothing tells that it speaks mutual TLS: "
                "plain TCP\n");
    explain_out(
        "[Service a]\naddress = 127.1.0.1\n[Workload a]\nmesh = false\n", NULL, "127.1.0.1:80", NULL,
        "> 0 [no rule] a workload of [Service a] is outside the mesh or accepts plain TCP only on this port: "
        "plain TCP\n");
    explain_out("[Service a]\naddress = 127.1.0.1\nexternal = true\n", NULL, "127.1.0.1:80", NULL,
                "> 0 [no rule] [Service a] is external: plain TCP\n");
}

static const struct {
    const char *text, *expected; /* all lints; a table without any says nothing */
} lints[] = {
    {"", ""},
    {"[MeshPolicy default]\nmtls.mode = STRICT\n[DestinationRule a]\nhost = *.local\ntls.mode = "
     "ISTIO_MUTUAL\n"
     "[Service a]\naddress = 127.1.0.1\nserviceAccount = a\n",
     ""},
    {"[MeshPolicy default]\nmtls.mode = PERMISSIVE\n",
     "2 warning: PERMISSIVE is left on in [MeshPolicy default]: plaintext is still accepted\n"},
    {"[Policy t/default]\nmtls.mode = STRICT\nportLevelMtls.80.mode = PERMISSIVE\n",
     "3 warning: PERMISSIVE is left on for port 80 in [Policy t/default]: plaintext is still accepted\n"},
    {"[DestinationRule a]\nhost = x.y\ntls.mode = PERMISSIVE\nportLevelSettings.80.tls.mode = PERMISSIVE\n",
     "3 warning: PERMISSIVE is left on in [DestinationRule a]: it may fall back to plaintext\n"
     "4 warning: PERMISSIVE is left on for port 80 in [DestinationRule a]: it may fall back to plaintext\n"},
    {"[Policy t/a]\ntargets = a, b\nmtls.mode = STRICT\n[Service t/a]\naddress = 127.1.0.1\nserviceAccount = "
     "a\n",
     "1 warning: [Policy t/a] can never match: no service 'b' in namespace 't'\n"},
    {"[Policy q/default]\nmtls.mode = STRICT\n[MeshPolicy default]\nmtls.mode = STRICT\n[Service "
     "t/a]\naddress = 127.1.0.1\n"
     "serviceAccount = a\n",
     "1 warning: [Policy q/default] can never match: nothing lives in namespace 'q'\n"},
    {"[PeerAuthentication t/a]\nselector.matchLabels.app = z\nmtls.mode = STRICT\n[Service t/a]\naddress = "
     "127.1.0.1\n"
     "serviceAccount = a\n[MeshPolicy default]\nmtls.mode = STRICT\n",
     "1 warning: [PeerAuthentication t/a] can never match: its selector fits no workload of namespace 't'\n"},
    {"[Policy default]\nmtls.mode = DISABLE\nprincipals = a/*\n",
     "1 warning: [Policy default] has principals, but its mode lets peers in that show no identity\n"},
    {"[Service a]\naddress = 127.1.0.1\n",
     "1 warning: [Service a] has no rule: nothing protects it, on either side\n"
     "1 warning: [Service a] has no serviceAccount: clients accept any identity of cluster.local in its "
     "place\n"},
    {"[MeshPolicy default]\nmtls.mode = STRICT\n[Service a]\nserviceAccount = a\n",
     "3 warning: [Service a] has no address: its name does not resolve\n"},
    {"[Service a]\nexternal = true\nhosts = x.org\n", ""},
    /* host that matches nothing */
    {"[MeshPolicy default]\nmtls.mode = STRICT\n[Service a]\naddress = 127.1.0.1\nserviceAccount = a\n"
     "[DestinationRule x]\nhost = b\ntls.mode = SIMPLE\n[DestinationRule y]\nhost = "
     "*.t.svc.cluster.local\ntls.mode = SIMPLE\n"
     "[DestinationRule z]\nhost = foreign.org\ntls.mode = SIMPLE\n[DestinationRule w]\nhost = "
     "a.default\ntls.mode = SIMPLE\n"
     "[DestinationRule q/w]\nhost = foreign.org\ntls.mode = SIMPLE\n",
     "6 warning: [DestinationRule x] can never match: no service goes by b.default.svc.cluster.local\n"
     "9 warning: [DestinationRule y] can never match: no service goes by *.t.svc.cluster.local\n"
     "15 warning: host a.default in [DestinationRule w] is taken as a full name, as in Istio; did you mean "
     "a.default.svc.cluster.local?\n"
     "18 warning: [DestinationRule q/w] can never match: nothing lives in namespace 'q', and it is not the "
     "root "
     "('istio-system')\n"},
    /* a broad rule that not everybody sees */
    {"[DestinationRule x]\nhost = *.local\ntls.mode = SIMPLE\n[DestinationRule y]\nhost = "
     "*.default.svc.cluster.local\n"
     "[DestinationRule istio-system/z]\nhost = 127.0.0.0/8\n[Workload t/w]\n[Workload v]\n",
     "1 warning: [DestinationRule x] is not seen by clients in namespace 't'; put it into the root namespace "
     "'istio-system' to speak for all\n"},
    {"[DestinationRule x]\nhost = *.local\ntls.mode = SIMPLE\n[Workload v]\n[Workload t/w]\nmesh = false\n",
     ""},
    {"[MeshPolicy default]\nmtls.mode = STRICT\n[Service a]\naddress = 127.1.0.1\nports = 80, "
     "81\nserviceAccount = a\n"
     "[Service b]\naddress = 127.1.0.2, 127.1.0.1\nports = 79, 81\nserviceAccount = b\n"
     "[Service c]\naddress = 127.1.0.1\nports = 82\nserviceAccount = c\n",
     "7 warning: [Service b] has the same address and port as [Service a] on line 3, which is taken for "
     "it\n"},
    /* they cannot talk */
    {"[MeshPolicy default]\nmtls.mode = STRICT\n[Service t/a]\naddress = 127.1.0.1\nports = 80, "
     "90\nserviceAccount = a\n"
     "[DestinationRule c/x]\nhost = a.t.svc.cluster.local\nportLevelSettings.80.tls.mode = DISABLE\ntls.mode "
     "= ISTIO_MUTUAL\n"
     "[Workload c/client]\n",
     "7 warning: clients in namespace 'c' cannot talk to [Service t/a] on port 80: [DestinationRule c/x] "
     "sends "
     "plaintext, [MeshPolicy default] on line 1 accepts only mutual TLS\n"},
    {"[MeshPolicy default]\nmtls.mode = DISABLE\n[Service t/a]\naddress = 127.1.0.1\nports = "
     "80\nserviceAccount = a\n"
     "[DestinationRule t/x]\nhost = a\ntls.mode = ISTIO_MUTUAL\n",
     "7 warning: clients in namespace 't' cannot talk to [Service t/a] on port 80: [DestinationRule t/x] "
     "sends TLS, "
     "[MeshPolicy default] on line 1 accepts only plaintext\n"},
    {"[MeshPolicy default]\nmtls.mode = STRICT\n[Service t/a]\naddress = 127.1.0.1\nports = 80, "
     "81\nserviceAccount = a\n"
     "[Workload t/a]\nmesh = false\n[DestinationRule t/x]\nhost = a\ntls.mode = ISTIO_MUTUAL\n"
     "portLevelSettings.81.tls.mode = DISABLE\n",
     "9 warning: clients in namespace 't' cannot talk to [Service t/a] on port 80: [DestinationRule t/x] "
     "sends TLS, "
     "but its workload is outside the mesh\n"},
    {"[MeshPolicy default]\nmtls.mode = STRICT\n[Workload t/w]\nservices = a\n",
     "3 warning: [Workload t/w] backs service 'a', but there is no [Service t/a]\n"},
};

Test(policy_explain, lints) {
    for (size_t i = 0; i < sizeof lints / sizeof *lints; i++) {
        struct policy *p = test_table(lints[i].text);
        struct test_findings f = {.text = ""};
        policy_lint(p, test_finding, &f);
        cr_expect_str_eq(f.text, lints[i].expected, "%s--- said\n%s--- expected\n%s", lints[i].text, f.text,
                         lints[i].expected);
        policy_lint(p, NULL, NULL);
        policy_free(p);
    }
}
