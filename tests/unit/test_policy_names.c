/* test_policy_names.c - the table as a name service, the lists of services and workloads, and answers
 * asked for by many threads at once. */
#include "test_policy.h"

#include <pthread.h>

static const char mesh[] =
    "[Service t/a]\naddress = 127.1.0.1, fd00::1\nports = 80:8080, 90\nserviceAccount = acc\n"
    "[Service t/b]\n"
    "[Service u/a]\naddress = 127.1.0.3\n"
    "[Service ext]\nexternal = true\nhosts = API.example.com, alt.example.com\naddress = 192.0.2.9\n"
    "[Workload t/w1]\nservices = b\naddress = 127.1.1.1\nserviceAccount = wacc\n"
    "[Workload t/w2]\nservices = b, a\naddress = 127.1.1.2, fd00::2\n"
    "[Workload t/a]\nlabels.app = a\n"
    "[Workload v/lonely]\naddress = 127.1.1.9\n";

/* Addresses joined by blanks; "" when the name is unknown. */
static const char *resolved(const struct policy *p, const char *ns, const char *name) {
    static char text[256];
    struct sockaddr_storage out[4];
    size_t n = policy_resolve(p, ns, name, out, 4);
    text[0] = '\0';
    for (size_t i = 0; i < n && i < 4; i++) {
        char one[64];
        const void *at = out[i].ss_family == AF_INET
                             ? (const void *)&((struct sockaddr_in *)&out[i])->sin_addr
                             : (const void *)&((struct sockaddr_in6 *)&out[i])->sin6_addr;
        cr_assert_not_null(inet_ntop(out[i].ss_family, at, one, sizeof one));
        strcat(strcat(text, i ? " " : ""), one);
    }
    return text;
}

Test(policy_names, resolve) {
    static const struct {
        const char *ns, *name, *expected;
    } rows[] = {
        {"t", "a", "127.1.0.1 fd00::1"},
        {"t", "A.", "127.1.0.1 fd00::1"},
        {"u", "a", "127.1.0.3"},
        {NULL, "a", ""},
        {"x", "a", ""},
        {"x", "a.t", "127.1.0.1 fd00::1"},
        {"x", "a.u.svc", "127.1.0.3"},
        {"x", "a.u.svc.cluster.local", "127.1.0.3"},
        {"x", "a.u.svc.cluster.local.", "127.1.0.3"},
        {"x", "a.u.svc.cluster", ""},
        {"x", "a.u.svc.cluster.local.x", ""},
        {"t", "b", "127.1.1.1 127.1.1.2 fd00::2"}, /* no address of its own: those of its workloads */
        {"x", "api.example.com", "192.0.2.9"},
        {"x", "ALT.example.com", "192.0.2.9"},
        {"x", "example.com", ""},
        {"default", "ext", ""}, /* external: by its hosts alone */
        {"x", "ext.default.svc.cluster.local", ""},
        {"t", "w1", "127.1.1.1"},
        {"x", "w2.t", "127.1.1.2 fd00::2"},
        {"v", "lonely", "127.1.1.9"},
        {"x", "lonely.v.svc", "127.1.1.9"},
        {"x", "lonely.v.svc.cluster.local", "127.1.1.9"},
        {"x", "lonely.v.pod", ""},
        {"t", "", ""},
        {"t", ".", ""},
        {"t", "localhost", ""},
        {"t", "127.0.0.1", ""},
        {"t", "no.such.name", ""},
    };
    struct policy *p = test_table(mesh);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(resolved(p, rows[i].ns, rows[i].name), rows[i].expected, "%s from %s: %s",
                         rows[i].name, test_or(rows[i].ns), resolved(p, rows[i].ns, rows[i].name));
    struct sockaddr_storage one;
    cr_expect_eq(policy_resolve(p, "t", "b", &one, 1), 3, "tells how many there are");
    cr_expect_eq(policy_resolve(p, "t", "b", NULL, 0), 3);
    policy_free(p);
}

Test(policy_names, reverse) {
    static const struct {
        const char *address, *name;
    } rows[] = {{"127.1.0.1:1", "a.t.svc.cluster.local"},
                {"[fd00::1]:80", "a.t.svc.cluster.local"},
                {"[::ffff:127.1.0.3]:80", "a.u.svc.cluster.local"},
                {"192.0.2.9:1", "api.example.com"},
                {"127.1.1.1:1", "b.t.svc.cluster.local"},
                {"127.1.1.9:1", "lonely.v.svc.cluster.local"},
                {"127.0.0.1:1", NULL}};
    struct policy *p = test_table(mesh);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sockaddr_storage ss = test_address(rows[i].address);
        const char *name = policy_reverse(p, (const struct sockaddr *)&ss);
        cr_expect_str_eq(test_or(name), test_or(rows[i].name), "%s: %s", rows[i].address, test_or(name));
    }
    cr_expect_null(policy_reverse(p, NULL));
    policy_free(p);
}

Test(policy_names, self) {
    static const struct {
        const char *workload, *ns, *name, *account; /* ns NULL: malformed */
    } rows[] = {{NULL, "default", NULL, "default"}, {"", "default", NULL, "default"},
                {"t/a", "t", "a", "acc"},           {"t/w1", "t", "w1", "wacc"},
                {"t/w2", "t", "w2", "acc"}, /* its first service with an account */
                {"t/b", "t", "b", "wacc"},          {"t/unknown", "t", "unknown", "unknown"},
                {"x", "default", "x", "x"},         {"a/b/c", NULL, NULL, NULL},
                {"/x", NULL, NULL, NULL},           {"x/", NULL, NULL, NULL},
                {"X/y", NULL, NULL, NULL},          {"a b", NULL, NULL, NULL},
                {"../x", NULL, NULL, NULL},         {"n/..", NULL, NULL, NULL}};
    struct policy *p = test_table(mesh);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_self self;
        bool ok = policy_self(p, rows[i].workload, &self);
        cr_expect_eq(ok, rows[i].ns != NULL, "%s", test_or(rows[i].workload));
        if (!ok || !rows[i].ns)
            continue;
        cr_expect_str_eq(self.namespace_, rows[i].ns);
        cr_expect_str_eq(test_or(self.name), test_or(rows[i].name));
        cr_expect_str_eq(self.account, rows[i].account, "%s: %s", test_or(rows[i].workload), self.account);
    }
    policy_free(p);
}

Test(policy_names, own_address) {
    static const struct {
        const char *as;
        int family;
        const char *expected;
    } rows[] = {{"t/a", AF_INET, "127.1.0.1:0"},
                {"t/a", AF_INET6, "[fd00::1]:0"},
                {"t/w1", AF_INET, "127.1.1.1:0"},
                {"t/w1", AF_INET6, NULL},
                {"t/w2", AF_INET6, "[fd00::2]:0"},
                {"t/b", AF_INET, "127.1.1.1:0"},
                {"u/a", AF_INET, "127.1.0.3:0"},
                {"u/a", AF_INET6, NULL},
                {"x/y", AF_INET, NULL},
                {NULL, AF_INET, NULL},
                {"t/a", AF_UNIX, NULL}};
    struct policy *p = test_table(mesh);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_self self;
        struct sockaddr_storage got, expected;
        cr_assert(policy_self(p, rows[i].as, &self));
        bool ok = policy_own_address(p, &self, rows[i].family, &got);
        cr_expect_eq(ok, rows[i].expected != NULL, "%s", test_or(rows[i].as));
        if (!ok || !rows[i].expected)
            continue;
        expected = test_address(rows[i].expected);
        cr_expect_eq(memcmp(&got, &expected, sizeof got), 0, "%s", rows[i].as);
    }
    policy_free(p);
}

Test(policy_names, target_port) {
    static const struct {
        const char *address;
        uint16_t port;
    } rows[] = {{"127.1.0.1:80", 8080}, {"[fd00::1]:80", 8080}, {"127.1.0.1:90", 90},
                {"127.1.0.1:7", 7},     {"127.1.0.3:80", 80},   {"127.0.0.1:80", 80}};
    struct policy *p = test_table(mesh);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sockaddr_storage ss = test_address(rows[i].address);
        cr_expect_eq(policy_target_port(p, (const struct sockaddr *)&ss), rows[i].port, "%s",
                     rows[i].address);
    }
    policy_free(p);
}

Test(policy_names, lists) {
    struct policy *p =
        test_table("[Service t/a]\nports = 80:8080\naddress = 127.1.0.1\n"
                   "[Workload t/w]\nservices = a\nmesh = false\ncommand = python3 -m http.server 8080\n"
                   "directory = /srv\nenvironment = A=1, B=x=y\n[Workload v]\n");
    struct policy_service_info s;
    struct policy_workload_info w;
    uint16_t port, target;
    cr_assert_eq(policy_service_count(p), 1);
    cr_assert_eq(policy_workload_count(p), 2);
    cr_assert(policy_service_at(p, 0, &s));
    cr_expect_str_eq(s.host, "a.t.svc.cluster.local");
    cr_expect_null(s.account);
    cr_expect_eq(s.where.line, 1);
    cr_assert(policy_service_port(p, 0, 0, &port, &target));
    cr_expect(port == 80 && target == 8080);
    cr_expect_not(policy_service_port(p, 0, 1, &port, &target));
    cr_expect_not(policy_service_port(p, 1, 0, &port, &target));
    cr_assert(policy_workload_at(p, 0, &w));
    cr_expect_str_eq(w.namespace_, "t");
    cr_expect_str_eq(w.command, "python3 -m http.server 8080");
    cr_expect_str_eq(w.directory, "/srv");
    cr_expect_eq(w.environment_count, 2);
    cr_expect_str_eq(w.environment[1], "B=x=y");
    cr_expect_str_eq(w.account, "w");
    cr_expect_not(w.in_mesh);
    cr_assert(policy_workload_at(p, 1, &w));
    cr_expect(w.in_mesh);
    cr_expect_str_eq(w.services[0], "v");
    cr_expect_null(w.command);
    cr_expect_not(policy_workload_at(p, 2, &w));
    policy_free(p);
}

enum { THREADS = 4, ASKED = 4000 };
struct asking {
    const struct policy *p;
    const char *first;
    bool ok;
};

static void *ask_much(void *arg) {
    struct asking *a = arg;
    struct policy_outbound out;
    struct sockaddr_storage ss = test_address("192.0.2.1:443");
    a->ok = true;
    for (int i = 0; i < ASKED; i++) {
        char name[32];
        snprintf(name, sizeof name, "h%d.example.com", i % 97);
        policy_outbound(a->p, NULL, (const struct sockaddr *)&ss, name, &out);
        a->ok = a->ok && out.sni && strcmp(out.sni, name) == 0;
        if (i % 97 == 0)
            a->first = out.sni;
    }
    return NULL;
}

/* No lock, one truth: all threads are given the same strings. */
Test(policy_names, many_threads) {
    struct policy *p = test_table("[DestinationRule a]\nhost = *.example.com\ntls.mode = SIMPLE\n");
    pthread_t threads[THREADS];
    struct asking asking[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        asking[i] = (struct asking){p, NULL, false};
        cr_assert_eq(pthread_create(&threads[i], NULL, ask_much, &asking[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_expect(asking[i].ok);
        cr_expect_eq(asking[i].first, asking[0].first);
    }
    policy_free(p);
}
