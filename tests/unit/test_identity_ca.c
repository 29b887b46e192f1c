/* test_identity_ca.c - the embedded certificate authority, and that what it issues is accepted. */
#include "ca.h"

#include <sys/wait.h>

#include "test_handshake.h"

static void teardown(void) {
    test_dir_remove();
}

TestSuite(ca, .fini = teardown);

static char error[CA_ERROR_MAX];

static unsigned mode_of(const char *dir, const char *name) {
    struct stat st;
    cr_assert_eq(stat(test_file(dir, name), &st), 0, "%s", name);
    return st.st_mode & 0777;
}

Test(ca, init_makes_it_once) {
    char *dir = test_path(test_dir(), "deep/ca");
    struct ca_description d, again;
    cr_assert_eq(ca_init(dir, "cluster.local", error), 0, "%s", error);
    cr_assert_eq(mode_of(dir, "ca-key.pem"), 0600);
    cr_assert_eq(mode_of(dir, "."), 0700);
    cr_assert_eq(ca_describe(dir, &d, error), 0, "%s", error);
    cr_assert(d.is_ca && d.has_key);
    cr_assert_str_eq(d.spiffe_id, "spiffe://cluster.local");
    cr_assert_str_eq(d.key, "EC 256");
    cr_assert_str_eq(d.subject, d.issuer);
    cr_assert_eq(ca_init(dir, "cluster.local", error), 1);
    cr_assert_eq(ca_describe(dir, &again, error), 0);
    cr_assert_str_eq(d.sha256, again.sha256);
}

Test(ca, issue_replaces_and_describes) {
    const char *dir = test_dir(), *names[] = {"localhost", "127.0.0.1", "::1"};
    char *out = test_path(dir, "test/sleep");
    struct ca_description d, next;
    cr_assert_eq(ca_init(dir, "cluster.local", error), 0, "%s", error);
    cr_assert(ca_needs_renewal(out));
    cr_assert_eq(ca_issue(dir, out, TEST_ID("sleep"), names, 3, 0, error), 0, "%s", error);
    cr_assert_not(ca_needs_renewal(out));
    cr_assert_eq(mode_of(out, "key.pem"), 0600);
    cr_assert_eq(ca_describe(out, &d, error), 0, "%s", error);
    cr_assert(!d.is_ca && d.has_key);
    cr_assert_str_eq(d.spiffe_id, TEST_ID("sleep"));
    cr_assert_str_eq(d.names, "localhost, 127.0.0.1, ::1");
    cr_assert_eq(d.not_after - d.not_before, CA_LEAF_SECONDS + 60);
    cr_assert_eq(ca_issue(dir, out, TEST_ID("sleep"), NULL, 0, 100, error), 0, "%s", error);
    cr_assert_eq(ca_describe(out, &next, error), 0, "%s", error);
    cr_assert_str_neq(d.serial, next.serial);
    cr_assert_eq(next.not_after - next.not_before, 160);
    cr_assert_eq(ca_issue(dir, out, TEST_ID("sleep"), NULL, 0, 1, error), 0);
    cr_assert(ca_needs_renewal(out), "most of its life is over");
}

Test(ca, a_leaf_never_outlives_its_ca) {
    struct ca_description ca, leaf;
    char *out = test_path(test_dir(), "a");
    cr_assert_eq(ca_init(test_dir(), "cluster.local", error), 0);
    cr_assert_eq(ca_issue(test_dir(), out, TEST_ID("a"), NULL, 0, 1000000000, error), 0, "%s", error);
    cr_assert_eq(ca_describe(test_dir(), &ca, error), 0);
    cr_assert_eq(ca_describe(out, &leaf, error), 0);
    cr_assert_eq(ca.not_after, leaf.not_after);
}

static void refused(const char *uri, const char *part) {
    char *out = test_path(test_dir(), "refused");
    cr_assert_lt(ca_issue(test_dir(), out, uri, NULL, 0, 0, error), 0);
    cr_assert(strstr(error, part), "%s", error);
    cr_assert_neq(access(out, F_OK), 0, "nothing was written");
}

Test(ca, refusals_say_why) {
    refused(TEST_ID("a"), "root-cert.pem: No such file or directory");
    cr_assert_eq(ca_init(test_dir(), "cluster.local", error), 0);
    refused("spiffe://other/ns/a/sa/b", "is no identity of the CA's trust domain spiffe://cluster.local");
    refused("spiffe://cluster.local.evil/ns/a/sa/b", "is no identity of the CA's trust domain");
    refused("cluster.local/ns/a/sa/b", "is no SPIFFE identity");
    refused("spiffe://cluster.local/ns/a b/sa/c", "holds a character");
    cr_assert_lt(ca_init(test_dir(), "Not A Domain", error), 0);
    cr_assert(strstr(error, "is no trust domain"), "%s", error);
    cr_assert_lt(ca_init("/proc/nowhere", "cluster.local", error), 0);
    cr_assert(strstr(error, "/proc/nowhere: "), "%s", error);
    struct ca_description d;
    cr_assert_lt(ca_describe("/nonexistent", &d, error), 0);
    cr_assert(strstr(error, "/nonexistent: No such file or directory"), "%s", error);
}

/* Two processes at once must end with one CA whose two files fit together. */
Test(ca, started_twice_at_the_same_moment) {
    enum { RACERS = 8 };
    const char *dir = test_dir();
    pid_t child[RACERS];
    for (int i = 0; i < RACERS; i++) {
        child[i] = fork();
        cr_assert_geq(child[i], 0);
        if (child[i] == 0) {
            char why[CA_ERROR_MAX];
            _exit(ca_init(dir, "cluster.local", why) < 0);
        }
    }
    for (int i = 0; i < RACERS; i++) {
        int status;
        cr_assert_eq(waitpid(child[i], &status, 0), child[i]);
        cr_assert_eq(status, 0);
    }
    struct ca_description d;
    cr_assert_eq(ca_describe(dir, &d, error), 0, "%s", error);
    cr_assert(d.has_key);
}

Test(ca, what_it_issues_is_accepted) {
    char *client = test_path(test_dir(), "test/sleep"), *server = test_path(test_dir(), "test/httpbin");
    char *roots = test_path(test_dir(), "root-cert.pem");
    const char *dns[] = {"localhost"}, *names[] = {TEST_ID("httpbin")};
    cr_assert_eq(ca_init(test_dir(), "cluster.local", error), 0);
    cr_assert_eq(ca_issue(test_dir(), client, TEST_ID("sleep"), NULL, 0, 0, error), 0, "%s", error);
    cr_assert_eq(ca_issue(test_dir(), server, TEST_ID("httpbin"), dns, 1, 0, error), 0, "%s", error);
    struct handshake_config from = test_client(test_dir()), to = test_server(test_dir());
    from.namespace_ = to.namespace_ = "test";
    from.account = "sleep";
    to.account = "httpbin";
    from.names = names;
    from.name_count = 1;
    struct test_pair *p = test_pair_new(from, to);
    test_pair_run(p);
    test_pair_done(p);
    test_pair_free(p);
    const struct handshake_config simple = {
        .ca_file = roots, .names = dns, .name_count = 1, .sni = "localhost"};
    to.client_auth = CLIENT_AUTH_OPTIONAL;
    p = test_pair_new(simple, to);
    test_pair_run(p);
    test_pair_done(p);
    test_pair_free(p);
}
