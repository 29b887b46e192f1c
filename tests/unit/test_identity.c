/* test_identity.c - credentials from files: which are taken, what is said when they are not, and their
 * reload. */
#include "test_handshake_foreign.h"

static struct test_cert ca, other;
static const char *client_dir;
static char logged[4096]; /* every line the engine wrote */

static void log_line(int level, const char *line) {
    size_t n = strlen(logged);
    (void)snprintf(logged + n, sizeof logged - n, "%d %s\n", level, line);
}

static void setup(void) {
    ca = test_ca("test CA");
    other = test_ca("other CA");
    client_dir = test_account("client", &ca, TEST_ID("sleep"));
    mtlswrap_engine.log = log_line;
}

static void teardown(void) {
    test_cert_free(&ca);
    test_cert_free(&other);
    test_dir_remove();
}

TestSuite(identity, .init = setup, .fini = teardown);

/* Who a server with that configuration turns out to be; the client trusts everything. */
static void serves_as(struct handshake_config cfg, const char *id) {
    struct test_foreign f = test_foreign_new((struct test_peer){0});
    struct handshake *h = test_new(cfg);
    struct test_wire *down = calloc(1, sizeof *down);
    cr_assert_eq(test_foreign_run(h, &f, down), HANDSHAKE_DONE, "%s", API->error(h));
    GENERAL_NAMES *names =
        X509_get_ext_d2i(SSL_get0_peer_certificate(f.ssl), NID_subject_alt_name, NULL, NULL);
    cr_assert_eq(sk_GENERAL_NAME_num(names), 1);
    const ASN1_STRING *uri = sk_GENERAL_NAME_value(names, 0)->d.uniformResourceIdentifier;
    cr_assert_eq(ASN1_STRING_length(uri), (int)strlen(id), "not %s", id);
    cr_assert(memcmp(ASN1_STRING_get0_data(uri), id, strlen(id)) == 0, "not %s", id);
    GENERAL_NAMES_free(names);
    API->free_(h);
    test_foreign_free(&f);
    free(down);
}

static struct handshake_config open_server(const char *dir) {
    struct handshake_config cfg = test_server(dir);
    cfg.client_auth = CLIENT_AUTH_NONE;
    return cfg;
}

Test(identity, the_deepest_directory_wins) {
    char *top = test_subdir("top");
    struct handshake_config cfg = open_server(top);
    cfg.namespace_ = "test";
    cfg.account = "httpbin";
    (void)test_account("top", &ca, TEST_ID("flat"));
    serves_as(cfg, TEST_ID("flat"));
    (void)test_subdir("top/test");
    (void)test_account("top/test/httpbin", &ca, TEST_ID("httpbin"));
    sleep(2);
    serves_as(cfg, TEST_ID("httpbin"));
    cfg.account = "reviews";
    serves_as(cfg, TEST_ID("flat"));
    cfg.account = "../test/httpbin";
    serves_as(cfg, TEST_ID("flat"));
}

Test(identity, what_is_missing_is_said_with_its_name) {
    struct handshake_config cfg = test_server(NULL);
    test_new_fails(cfg, "no directory of certificates is configured");
    cfg = test_server(test_subdir("empty"));
    test_new_fails(cfg, "/empty/cert-chain.pem: No such file or directory");
    struct test_cert leaf = test_workload(&ca, TEST_ID("a"));
    test_write_certs(cfg.identity_dir, "cert-chain.pem", leaf.cert, NULL);
    test_new_fails(cfg, "/empty/key.pem: No such file or directory");
    test_write_key(cfg.identity_dir, "key.pem", ca.key);
    test_new_fails(cfg, "/key.pem: does not belong to the certificate in ");
    test_write_key(cfg.identity_dir, "key.pem", leaf.key);
    test_new_fails(cfg, "/empty/root-cert.pem: No such file or directory");
    test_write_certs(cfg.identity_dir, "root-cert.pem", other.cert, NULL);
    test_new_fails(cfg, "cert-chain.pem: does not verify against ");
    test_write_certs(cfg.identity_dir, "root-cert.pem", ca.cert, NULL);
    serves_as(open_server(cfg.identity_dir), TEST_ID("a"));
    char error[HANDSHAKE_ERROR_MAX] = "";
    cr_assert_eq(API->prepare(&cfg, error), 0, "%s", error);
    test_cert_free(&leaf);
}

static void write_text(const char *dir, const char *name, const char *text) {
    FILE *f = fopen(test_file(dir, name), "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

Test(identity, what_is_unreadable_is_said_with_its_name) {
    struct handshake_config cfg = test_server(test_account("bad", &ca, TEST_ID("a")));
    struct test_cert leaf = test_issue(&ca, (struct test_wish){.uri = {TEST_ID("a")}, .end = -60});
    write_text(cfg.identity_dir, "root-cert.pem", "nothing\n");
    test_new_fails(cfg, "/root-cert.pem: holds no readable certificate");
    write_text(cfg.identity_dir, "root-cert.pem",
               "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    test_new_fails(cfg, "/root-cert.pem: holds no readable certificate");
    write_text(cfg.identity_dir, "key.pem", "");
    test_new_fails(cfg, "/key.pem: holds no readable private key");
    write_text(cfg.identity_dir, "cert-chain.pem", "-----BEGIN CERTIFICATE-----\n");
    test_new_fails(cfg, "/cert-chain.pem: holds no readable certificate chain");
    (void)test_identity(cfg.identity_dir, &leaf, NULL, ca.cert);
    test_new_fails(cfg, "/cert-chain.pem: the certificate has expired");
    char error[HANDSHAKE_ERROR_MAX] = "";
    cr_assert_lt(API->prepare(&cfg, error), 0);
    cr_assert(strstr(error, "has expired"), "%s", error);
    test_cert_free(&leaf);
}

Test(identity, explicit_files_of_mutual) {
    char *chain = test_path(client_dir, "cert-chain.pem"), *key = test_path(client_dir, "key.pem");
    char *roots = test_path(client_dir, "root-cert.pem");
    const char *names[] = {"web.test"};
    struct handshake_config cfg = {.certificate = chain,
                                   .private_key = key,
                                   .ca_file = "/nonexistent/ca.pem",
                                   .names = names,
                                   .name_count = 1};
    test_new_fails(cfg, "/nonexistent/ca.pem: No such file or directory");
    cfg.ca_file = roots;
    cfg.private_key = NULL;
    test_new_fails(cfg, "without its private key");
    cfg.private_key = key;
    API->free_(test_new(cfg));
    cfg.ca_file = NULL;
    API->free_(test_new(cfg)); /* system roots */
}

/* One file after the other, as most tools write them: half of a change is never used. */
Test(identity, reload_waits_until_all_fits) {
    const char *dir = test_account("server", &ca, TEST_ID("old"));
    struct handshake_config cfg = open_server(dir);
    struct test_cert leaf = test_workload(&other, TEST_ID("new"));
    serves_as(cfg, TEST_ID("old"));
    test_write_key(dir, "key.pem", leaf.key);
    sleep(2);
    serves_as(cfg, TEST_ID("old"));
    cr_assert(strstr(logged, "1 changed credentials do not fit together, the old ones stay: "), "%s", logged);
    cr_assert(strstr(logged, "/key.pem: does not belong to the certificate in"), "%s", logged);
    size_t once = strlen(logged);
    sleep(2);
    serves_as(cfg, TEST_ID("old"));
    cr_assert_eq(strlen(logged), once, "said once: %s", logged);
    test_write_certs(dir, "cert-chain.pem", leaf.cert, NULL);
    sleep(2);
    serves_as(cfg, TEST_ID("old"));
    cr_assert(strstr(logged + once, "does not verify against"), "%s", logged);
    test_write_certs(dir, "root-cert.pem", other.cert, NULL);
    sleep(2);
    serves_as(cfg, TEST_ID("new"));
    cr_assert(strstr(logged, "2 credentials reloaded from "), "%s", logged);
    cr_assert(strstr(logged, ": now " TEST_ID("new")), "%s", logged);
    test_cert_free(&leaf);
}

/* A CA whose clock is a little ahead: the files are right, only early. */
Test(identity, a_certificate_whose_time_comes_is_taken) {
    const char *dir = test_account("server", &ca, TEST_ID("old"));
    struct handshake_config cfg = open_server(dir);
    serves_as(cfg, TEST_ID("old"));
    struct test_cert leaf = test_issue(&ca, (struct test_wish){.uri = {TEST_ID("new")}, .begin = 10});
    time_t begin = time(NULL) + 10;
    (void)test_identity(dir, &leaf, NULL, ca.cert);
    sleep(2);
    serves_as(cfg, TEST_ID("old"));
    cr_assert(strstr(logged, "certificate is not yet valid"), "%s", logged);
    test_wait_until(begin + 5); /* tried again every five seconds */
    serves_as(cfg, TEST_ID("new"));
    test_cert_free(&leaf);
}

Test(identity, a_handshake_under_way_survives_a_reload) {
    const char *dir = test_account("server", &ca, TEST_ID("old"));
    struct test_pair *p = test_pair_new(test_client(client_dir), test_server(dir));
    cr_assert_eq(API->step(p->client), HANDSHAKE_WANT_READ);
    struct test_cert leaf = test_workload(&ca, TEST_ID("new"));
    (void)test_identity(dir, &leaf, NULL, ca.cert);
    sleep(2);
    serves_as(open_server(dir), TEST_ID("new"));
    API->free_(test_new(test_server(dir)));
    test_pair_run(p);
    test_pair_done(p);
    test_pair_free(p);
    test_cert_free(&leaf);
}

static void write_crl(const char *dir, const struct test_cert *by, const X509 *revoked, long next) {
    X509_CRL *crl = X509_CRL_new_ex(engine_libctx(), NULL);
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, next);
    cr_assert(X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->cert)) &&
              X509_CRL_set1_lastUpdate(crl, now) && X509_CRL_set1_nextUpdate(crl, later));
    if (revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_dup(X509_get0_serialNumber(revoked));
        cr_assert(X509_REVOKED_set_serialNumber(entry, serial) &&
                  X509_REVOKED_set_revocationDate(entry, now) && X509_CRL_add0_revoked(crl, entry));
        ASN1_INTEGER_free(serial);
    }
    cr_assert(X509_CRL_sign(crl, by->key, EVP_sha256()));
    BIO *out = BIO_new_file(test_file(dir, "crl.pem"), "w");
    cr_assert(PEM_write_bio_X509_CRL(out, crl));
    BIO_free(out);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    X509_CRL_free(crl);
}

static void client_gets(const char *dir, const struct test_cert *leaf, const char *part) {
    struct test_foreign f = test_foreign_new((struct test_peer){.leaf = leaf});
    struct handshake *h = test_new(test_server(dir));
    struct test_wire *down = calloc(1, sizeof *down);
    enum handshake_status status = test_foreign_run(h, &f, down);
    cr_assert_eq(status, part ? HANDSHAKE_FAILED : HANDSHAKE_DONE, "%s", API->error(h));
    cr_assert(!part || strstr(API->error(h), part), "%s", API->error(h));
    API->free_(h);
    test_foreign_free(&f);
    free(down);
}

Test(identity, revocation_list_is_honoured) {
    const char *dir = test_account("server", &ca, TEST_ID("httpbin"));
    struct test_cert good = test_workload(&ca, TEST_ID("good")), bad = test_workload(&ca, TEST_ID("bad"));
    client_gets(dir, &bad, NULL);
    time_t end = time(NULL) + 10;
    write_crl(dir, &ca, bad.cert, 10);
    sleep(2);
    client_gets(dir, &bad, "was revoked (peer " TEST_ID("bad") ")");
    client_gets(dir, &good, NULL);
    test_wait_until(end + 1);
    client_gets(dir, &good, "crl.pem is out of date");
    test_cert_free(&good);
    test_cert_free(&bad);
}

Test(identity, a_list_of_another_ca_does_not_do) {
    const char *dir = test_account("server", &ca, TEST_ID("httpbin"));
    write_crl(dir, &other, NULL, 3600);
    test_new_fails(test_server(dir), "does not verify against");
    write_text(dir, "crl.pem", "no list\n");
    test_new_fails(test_server(dir), "/crl.pem: holds no readable revocation list");
}

/* An intermediate CA: leaf and intermediate are sent, the root is not. */
Test(identity, chains_with_an_intermediate) {
    struct test_cert mid = test_issue(&ca, (struct test_wish){.cn = "mid", .ca = true});
    struct test_cert leaf = test_workload(&mid, TEST_ID("httpbin"));
    const char *dir = test_identity(test_subdir("server"), &leaf, mid.cert, ca.cert);
    for (int i = 0; i < 3; i++) { /* again: the chain is known then */
        struct test_pair *p = test_pair_new(test_client(client_dir), test_server(dir));
        test_pair_run(p);
        test_pair_done(p);
        test_pair_free(p);
    }
    test_write_certs(dir, "cert-chain.pem", leaf.cert, NULL);
    test_new_fails(test_server(test_identity(test_subdir("lonely"), &leaf, NULL, ca.cert)),
                   "does not verify against");
    test_cert_free(&mid);
    test_cert_free(&leaf);
}
