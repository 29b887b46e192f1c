/* test_handshake_errors.c - every way to be refused, and the words that say so. */
#include "test_handshake_foreign.h"

static struct test_cert ca, other;
static const char *client_dir, *server_dir;

static void setup(void) {
    ca = test_ca("test CA");
    other = test_ca("other CA");
    client_dir = test_account("client", &ca, TEST_ID("sleep"));
    server_dir = test_account("server", &ca, TEST_ID("httpbin"));
}

static void teardown(void) {
    test_cert_free(&ca);
    test_cert_free(&other);
    test_dir_remove();
}

TestSuite(errors, .init = setup, .fini = teardown);

static void failed(struct handshake *h, enum handshake_status status, const char *part, bool refused) {
    cr_assert_eq(status, HANDSHAKE_FAILED);
    cr_assert(strstr(API->error(h), part), "\"%s\" lacks \"%s\"", API->error(h), part);
    cr_assert_null(strchr(API->error(h), '\n'));
    cr_assert_eq(API->refused_certificate(h), refused, "%s", API->error(h));
    struct handshake_result r;
    cr_assert_neq(API->export_(h, &r), 0, "no keys after a failure");
}

/* Our server against an OpenSSL client with that certificate. */
static void client_refused(const struct test_cert *leaf, int version, const char *part) {
    struct test_foreign f = test_foreign_new((struct test_peer){.leaf = leaf, .version = version});
    struct handshake *h = test_new(test_server(server_dir));
    struct test_wire *down = calloc(1, sizeof *down);
    failed(h, test_foreign_run(h, &f, down), part, true);
    cr_assert(API->peer_spoke_tls(h));
    uint8_t byte;
    int rc = f.failed ? 0 : SSL_read(f.ssl, &byte, 1);
    cr_assert(f.failed || (rc <= 0 && SSL_get_error(f.ssl, rc) == SSL_ERROR_SSL),
              "an alert reached the client");
    ERR_clear_error();
    API->free_(h);
    test_foreign_free(&f);
    free(down);
}

static void both_versions(struct test_cert leaf, const char *part) {
    client_refused(&leaf, TLS1_3_VERSION, part);
    client_refused(&leaf, TLS1_2_VERSION, part);
    test_cert_free(&leaf);
}

Test(errors, server_refuses_clients) {
    const char *good = TEST_ID("sleep");
    both_versions(test_workload(&other, good),
                  "comes from a CA that we do not trust (peer " TEST_ID("sleep"));
    both_versions(test_issue(NULL, (struct test_wish){.uri = {good}}), "self-signed");
    both_versions(test_issue(&ca, (struct test_wish){.uri = {good}, .end = -60}),
                  "has expired (peer spiffe://");
    both_versions(test_issue(&ca, (struct test_wish){.uri = {good}, .begin = 600}), "not valid yet");
    both_versions(test_issue(&ca, (struct test_wish){.uri = {good}, .eku = "serverAuth"}), "not meant for");
    both_versions(test_issue(&ca, (struct test_wish){.uri = {good, TEST_ID("b")}}), "holds 2 URI names");
    both_versions(test_issue(&ca, (struct test_wish){.cn = "bob"}), "no SPIFFE identity (peer CN=bob)");
    both_versions(test_issue(&ca, (struct test_wish){.dns = "bob.test"}),
                  "no SPIFFE identity (peer bob.test)");
    both_versions(test_issue(&ca, (struct test_wish){.uri = {good}, .ca = true}), "is a CA's");
}

Test(errors, identities_must_be_of_our_trust_domain) {
    static const char *const WRONG[] = {
        "spiffe://other/ns/test/sa/sleep",           "spiffe://cluster.local.evil/ns/test/sa/sleep",
        "spiffe://cluster.local/ns/test/sa/",        "spiffe://cluster.local/ns//sa/sleep",
        "spiffe://cluster.local/ns/test/sa/a/b",     "spiffe://cluster.local",
        "https://cluster.local/ns/test/sa/sleep",    "spiffe://cluster.local/sa/sleep/ns/test",
        "spiffe://cluster.local/ns/te\nst/sa/sleep", "SPIFFE://cluster.local/ns/test/sa/sleep",
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        both_versions(test_workload(&ca, WRONG[i]), "is not of the form spiffe://cluster.local/ns/");
}

Test(errors, no_client_certificate) {
    client_refused(NULL, TLS1_3_VERSION, "peer offered no certificate");
    client_refused(NULL, TLS1_2_VERSION, "peer offered no certificate");
}

Test(errors, an_optional_certificate_must_verify_all_the_same) {
    struct test_cert leaf = test_workload(&other, TEST_ID("sleep"));
    struct handshake_config cfg = test_server(server_dir);
    cfg.client_auth = CLIENT_AUTH_OPTIONAL;
    struct test_foreign f = test_foreign_new((struct test_peer){.leaf = &leaf});
    struct handshake *h = test_new(cfg);
    static struct test_wire down;
    failed(h, test_foreign_run(h, &f, &down), "CA that we do not trust", true);
    API->free_(h);
    test_foreign_free(&f);
    test_cert_free(&leaf);
}

Test(errors, client_refuses_servers) {
    struct handshake_config cfg = test_client(client_dir);
    const char *names[] = {TEST_ID("reviews"), TEST_ID("ratings")};
    cfg.names = names;
    cfg.name_count = 2;
    struct test_pair *p = test_pair_new(cfg, test_server(server_dir));
    test_pair_run(p);
    failed(p->client, p->client_status,
           "wrong identity: expected " TEST_ID("reviews") " or another of the list (peer " TEST_ID("httpbin"),
           true);
    failed(p->server, p->server_status, "peer refused our certificate (alert ", true);
    test_pair_free(p);
    p = test_pair_new(test_client(client_dir), test_server(test_account("bad", &other, TEST_ID("httpbin"))));
    test_pair_run(p);
    failed(p->client, p->client_status, "CA that we do not trust (peer " TEST_ID("httpbin"), true);
    failed(p->server, p->server_status, "does not trust its CA (alert 48 unknown_ca)", true);
    test_pair_free(p);
    const char *right[] = {TEST_ID("other"), TEST_ID("httpbin")};
    cfg.names = right;
    p = test_pair_new(cfg, test_server(server_dir));
    test_pair_run(p);
    test_pair_done(p);
    test_pair_free(p);
}

/* With TLS 1.3 the client is done before the server looks: the refusal is the first record that the engine
 * opens. */
Test(errors, a_late_refusal_is_an_alert_for_the_engine) {
    struct test_cert leaf = test_workload(&ca, TEST_ID("httpbin"));
    struct test_foreign f = test_foreign_new((struct test_peer){
        .server = true, .demand = true, .version = TLS1_3_VERSION, .leaf = &leaf, .roots = &other});
    struct handshake *h = test_new(test_client(client_dir));
    static struct test_wire down;
    struct handshake_result r;
    uint8_t text[64], type;
    char words[128];
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_DONE);
    cr_assert(f.failed);
    cr_assert_eq(API->export_(h, &r), 0);
    cr_assert_eq(
        record_engine_user.open(&r.rx, down.bytes, test_first_record(&down), text, sizeof text, &type), 2);
    cr_assert(type == RECORD_ALERT && text[0] == 2);
    cr_assert_str_eq(API->alert_words(text[1], words, sizeof words),
                     "peer refused our certificate, it does not trust its CA (alert 48 unknown_ca)");
    API->free_(h);
    test_foreign_free(&f);
    test_cert_free(&leaf);
}

/* What a peer may send first; each fails in words and without an answer that looks like success. */
static void first_bytes(bool server, const void *bytes, size_t len, const char *part, bool spoke) {
    struct handshake *h = test_new(server ? test_server(server_dir) : test_client(client_dir));
    cr_assert_eq(API->step(h), HANDSHAKE_WANT_READ);
    failed(h, API->feed(h, bytes, len), part, false);
    cr_assert_eq(API->peer_spoke_tls(h), spoke);
    cr_assert_eq(API->feed(h, bytes, len), HANDSHAKE_FAILED, "stays failed");
    cr_assert_eq(API->step(h), HANDSHAKE_FAILED, "stays failed");
    API->free_(h);
}

Test(errors, bytes_that_are_no_handshake) {
    static uint8_t big[RECORD_WIRE_MAX + 10] = {22, 3, 3, 0xff, 0xff};
    static const uint8_t data_first[] = {23, 3, 3, 0, 3, 1, 2, 3};
    for (int server = 0; server < 2; server++) {
        first_bytes(server, "GET / HTTP/1.1\r\n\r\n", 18, "peer does not speak TLS", false);
        first_bytes(server, "SSH-2.0-x\r\n", 11, "peer does not speak TLS", false);
        first_bytes(server, "\x16\x03", 2, "peer does not speak TLS", false);
        first_bytes(server, "", 0, "peer closed in handshake", false);
        first_bytes(server, big, sizeof big, "oversized record", false);
        first_bytes(server, "\x16\x03\x01\x00\x20short", 10, "cut short", false);
        first_bytes(server, data_first, sizeof data_first, "does not belong here", false);
    }
    first_bytes(false, "\x15\x03\x03\x00\x02\x02\x28", 7, "peer gave up (alert 40 handshake_failure)", true);
    first_bytes(false, "\x15\x03\x03\x00\x02\x01\x00", 7, "peer closed in handshake", true);
}

Test(errors, certificate_alerts_count_as_refusal) {
    static const struct {
        uint8_t alert;
        const char *words;
    } CASES[] = {{42, "peer refused our certificate (alert 42 bad_certificate)"},
                 {44, "peer refused our certificate (alert 44 certificate_revoked)"},
                 {45, "peer refused our certificate (alert 45 certificate_expired)"},
                 {46, "peer refused our certificate (alert 46 certificate_unknown)"},
                 {49, "peer refused our identity (alert 49 access_denied)"},
                 {116, "peer demands a certificate and we have none (alert 116 certificate_required)"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const uint8_t record[] = {21, 3, 3, 0, 2, 2, CASES[i].alert};
        struct handshake *h = test_new(test_client(client_dir));
        cr_assert_eq(API->step(h), HANDSHAKE_WANT_READ);
        failed(h, API->feed(h, record, sizeof record), CASES[i].words, true);
        API->free_(h);
    }
}

/* Flips one bit of every record of a handshake in turn: no side may ever be done with a wrong transcript. */
Test(errors, a_flipped_bit_anywhere_is_noticed) {
    for (size_t target = 0, hits = 1; hits > 0; target++) {
        struct test_pair *p = test_pair_new(test_client(client_dir), test_server(server_dir));
        size_t seen = hits = 0;
        p->client_status = API->step(p->client);
        for (bool moved = true; moved;) {
            moved = test_collect(p->client, &p->up);
            if (p->up.n > 0 && target >= seen && target < seen + p->up.n && ++hits)
                p->up.bytes[target - seen] ^= 0x40;
            seen += p->up.n;
            moved |= test_deliver(p->server, &p->up, &p->server_status);
            moved |= test_collect(p->server, &p->down);
            moved |= test_deliver(p->client, &p->down, &p->client_status);
        }
        cr_assert(hits == 0 || p->server_status != HANDSHAKE_DONE, "byte %zu", target);
        test_pair_free(p);
        target += 12;
    }
}

Test(errors, old_versions_and_weak_suites_are_refused) {
    struct test_cert leaf = test_workload(&ca, TEST_ID("sleep"));
    struct test_peer peer = {.leaf = &leaf, .version = TLS1_2_VERSION, .suite = "ECDHE-ECDSA-AES128-SHA256"};
    struct test_foreign f = test_foreign_new(peer);
    struct handshake *h = test_new(test_server(server_dir));
    static struct test_wire down;
    failed(h, test_foreign_run(h, &f, &down), "peer offers no cipher suite that we accept", false);
    API->free_(h);
    test_foreign_free(&f);
    peer = (struct test_peer){.leaf = &leaf, .version = TLS1_1_VERSION, .suite = "ALL:@SECLEVEL=0"};
    f = test_foreign_new(peer);
    h = test_new(test_server(server_dir));
    failed(h, test_foreign_run(h, &f, &down), "peer offers no TLS version that we accept", false);
    API->free_(h);
    test_foreign_free(&f);
    test_cert_free(&leaf);
}
