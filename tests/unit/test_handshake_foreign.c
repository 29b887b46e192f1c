/* test_handshake_foreign.c - OpenSSL itself at the other end: versions, suites, certificates, ALPN,
 * KeyUpdate. */
#include "test_handshake_foreign.h"

static struct test_cert ca, sleep_cert, httpbin_cert, web_cert;
static const char *client_dir, *server_dir;

static void setup(void) {
    ca = test_ca("test CA");
    sleep_cert = test_workload(&ca, TEST_ID("sleep"));
    httpbin_cert = test_workload(&ca, TEST_ID("httpbin"));
    web_cert =
        test_issue(&ca, (struct test_wish){.dns = "web.test", .ip = "127.0.0.1", .cn = "web", .rsa = true});
    client_dir = test_identity(test_subdir("client"), &sleep_cert, NULL, ca.cert);
    server_dir = test_identity(test_subdir("server"), &httpbin_cert, NULL, ca.cert);
}

static void teardown(void) {
    test_cert_free(&ca);
    test_cert_free(&sleep_cert);
    test_cert_free(&httpbin_cert);
    test_cert_free(&web_cert);
    test_dir_remove();
}

TestSuite(foreign, .init = setup, .fini = teardown);

struct suite {
    int version;
    const char *name;
    uint8_t cipher;
    bool rsa;
};

static const struct suite SUITES[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", RECORD_AES_128_GCM, false},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", RECORD_AES_256_GCM, false},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", RECORD_CHACHA20_POLY1305, false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", RECORD_AES_128_GCM, false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", RECORD_AES_256_GCM, false},
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", RECORD_CHACHA20_POLY1305, false},
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", RECORD_AES_128_GCM, true},
    {TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", RECORD_AES_256_GCM, true},
    {TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", RECORD_CHACHA20_POLY1305, true},
};
enum { SUITE_COUNT = sizeof SUITES / sizeof *SUITES };

static void traffic(struct test_foreign *f, struct handshake_result *r, const struct suite *s) {
    cr_assert_eq(r->version, s->version);
    cr_assert_eq(r->tx.cipher, s->cipher);
    for (size_t n = 1; n <= RECORD_PLAIN_MAX; n *= 4) {
        test_foreign_to(f, &r->tx, n);
        test_foreign_from(f, &r->rx, n);
    }
}

/* The rest of what the peer sent after its handshake are tickets: our record engine must be able to read
 * them. */
static void read_tickets(struct test_wire *w, struct record_keys *rx) {
    static uint8_t text[RECORD_WIRE_MAX];
    for (size_t n; (n = test_first_record(w)) > 0;) {
        uint8_t type;
        cr_assert_gt(record_engine_user.open(rx, w->bytes, n, text, sizeof text, &type), 0);
        cr_assert_eq(type, RECORD_HANDSHAKE);
        cr_assert_eq(text[0], 4, "NewSessionTicket");
        test_drop(w, n);
    }
}

static void as_client(const struct suite *s, bool demand) {
    struct handshake_config cfg = test_client(client_dir);
    const char *names[] = {"web.test"};
    char *roots = test_path(client_dir, "root-cert.pem");
    if (s->rsa) {
        cfg = (struct handshake_config){.ca_file = roots, .names = names, .name_count = 1, .sni = "web.test"};
        if (demand) {
            cfg.certificate = test_path(client_dir, "cert-chain.pem");
            cfg.private_key = test_path(client_dir, "key.pem");
        }
    }
    struct test_foreign f = test_foreign_new((struct test_peer){.server = true,
                                                                .demand = demand,
                                                                .version = s->version,
                                                                .suite = s->name,
                                                                .leaf = s->rsa ? &web_cert : &httpbin_cert,
                                                                .roots = &ca});
    struct handshake *h = test_new(cfg);
    struct test_wire *down = calloc(1, sizeof *down);
    struct handshake_result r;
    cr_assert_eq(test_foreign_run(h, &f, down), HANDSHAKE_DONE, "%s: %s", s->name, API->error(h));
    cr_assert(!f.failed && SSL_is_init_finished(f.ssl), "%s", s->name);
    cr_assert(API->peer_spoke_tls(h) && !API->refused_certificate(h));
    cr_assert_eq(API->export_(h, &r), 0);
    cr_assert_str_eq(r.peer, s->rsa ? "CN=web" : TEST_ID("httpbin"));
    cr_assert_eq(SSL_get0_peer_certificate(f.ssl) != NULL, demand);
    read_tickets(down, &r.rx);
    traffic(&f, &r, s);
    API->free_(h);
    test_foreign_free(&f);
    free(down);
}

Test(foreign, openssl_server_every_suite) {
    for (size_t i = 0; i < SUITE_COUNT; i++) {
        as_client(&SUITES[i], true);
        as_client(&SUITES[i], false);
    }
}

static void as_server(const struct suite *s, bool with_cert) {
    struct handshake_config cfg = test_server(server_dir);
    cfg.client_auth = with_cert ? CLIENT_AUTH_REQUIRED : CLIENT_AUTH_OPTIONAL;
    struct test_foreign f = test_foreign_new((struct test_peer){
        .version = s->version, .suite = s->name, .leaf = with_cert ? &sleep_cert : NULL, .roots = &ca});
    struct handshake *h = test_new(cfg);
    struct test_wire *down = calloc(1, sizeof *down);
    struct handshake_result r;
    SSL_set_tlsext_host_name(f.ssl, "nobody.knows.this.name");
    cr_assert_eq(test_foreign_run(h, &f, down), HANDSHAKE_DONE, "%s: %s", s->name, API->error(h));
    cr_assert(!f.failed && SSL_is_init_finished(f.ssl), "%s", s->name);
    cr_assert_eq(API->export_(h, &r), 0);
    cr_assert_str_eq(r.peer, with_cert ? TEST_ID("sleep") : "");
    traffic(&f, &r, s);
    API->free_(h);
    test_foreign_free(&f);
    free(down);
}

Test(foreign, openssl_client_every_suite) {
    for (size_t i = 0; i < SUITE_COUNT; i++)
        if (!SUITES[i].rsa) {
            as_server(&SUITES[i], true);
            as_server(&SUITES[i], false);
        }
}

Test(foreign, no_certificate_is_asked_for_when_none_is_wanted) {
    struct handshake_config cfg = test_server(server_dir);
    cfg.client_auth = CLIENT_AUTH_NONE;
    struct test_foreign f = test_foreign_new((struct test_peer){.leaf = &sleep_cert, .roots = &ca});
    struct handshake *h = test_new(cfg);
    static struct test_wire down;
    struct handshake_result r;
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_DONE);
    cr_assert_eq(API->export_(h, &r), 0);
    cr_assert_str_eq(r.peer, "");
    API->free_(h);
    test_foreign_free(&f);
}

static void alpn(const char *offer, unsigned len, bool accept, const char *selected) {
    struct handshake_config cfg = test_server(server_dir);
    cfg.alpn_istio = accept;
    struct test_foreign f = test_foreign_new((struct test_peer){
        .leaf = &sleep_cert, .roots = &ca, .alpn = (const unsigned char *)offer, .alpn_len = len});
    struct handshake *h = test_new(cfg);
    struct test_wire *down = calloc(1, sizeof *down);
    const unsigned char *got;
    unsigned got_len;
    cr_assert_eq(test_foreign_run(h, &f, down), HANDSHAKE_DONE, "%s", API->error(h));
    SSL_get0_alpn_selected(f.ssl, &got, &got_len);
    cr_assert_eq(got_len, strlen(selected));
    cr_assert(got_len == 0 || memcmp(got, selected, got_len) == 0);
    API->free_(h);
    test_foreign_free(&f);
    free(down);
}

Test(foreign, alpn_is_istio_or_nothing) {
    alpn("\x13istio-peer-exchange\x05istio", 26, true, "istio");
    alpn("\x13istio-peer-exchange", 20, true, "");
    alpn("\x02h2\x08http/1.1", 12, true, "");
    alpn("\x05istio", 6, false, "");
}

static int select_istio(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *seen) {
    (void)ssl;
    *(bool *)seen = in_len == 6 && memcmp(in, "\x05istio", 6) == 0;
    *out = in + 1;
    *out_len = 5;
    return SSL_TLSEXT_ERR_OK;
}

Test(foreign, client_offers_istio_and_its_sni) {
    bool seen = false;
    struct test_foreign f =
        test_foreign_new((struct test_peer){.server = true, .leaf = &httpbin_cert, .roots = &ca});
    SSL_CTX_set_alpn_select_cb(f.ctx, select_istio, &seen);
    struct handshake_config cfg = test_client(client_dir);
    cfg.sni = "outbound_.8000_._.httpbin.test.svc.cluster.local";
    struct handshake *h = test_new(cfg);
    static struct test_wire down;
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_DONE);
    cr_assert(seen);
    cr_assert_str_eq(SSL_get_servername(f.ssl, TLSEXT_NAMETYPE_host_name), cfg.sni);
    API->free_(h);
    test_foreign_free(&f);
}

/* Whatever key we have ourselves, in whatever PEM it came. */
Test(foreign, own_key_is_rsa) {
    struct test_cert leaf = test_issue(&ca, (struct test_wish){.uri = {TEST_ID("httpbin")}, .rsa = true});
    const char *dir = test_identity(test_subdir("rsa"), &leaf, NULL, ca.cert);
    BIO *out = BIO_new_file(test_file(dir, "key.pem"), "w");
    cr_assert(PEM_write_bio_PrivateKey_traditional(out, leaf.key, NULL, NULL, 0, NULL, NULL));
    BIO_free(out);
    for (size_t i = 0; i < SUITE_COUNT; i++) {
        if (SUITES[i].version == TLS1_2_VERSION && !SUITES[i].rsa)
            continue;
        struct test_foreign f = test_foreign_new((struct test_peer){
            .version = SUITES[i].version, .suite = SUITES[i].name, .leaf = &sleep_cert, .roots = &ca});
        struct handshake *h = test_new(test_server(dir));
        struct test_wire *down = calloc(1, sizeof *down);
        struct handshake_result r;
        cr_assert_eq(test_foreign_run(h, &f, down), HANDSHAKE_DONE, "%s", API->error(h));
        cr_assert_eq(API->export_(h, &r), 0);
        traffic(&f, &r, &SUITES[i]);
        API->free_(h);
        test_foreign_free(&f);
        free(down);
    }
    test_cert_free(&leaf);
}

/* The peer changes its key and asks us to do so too. */
static void key_update(struct test_foreign *f, struct handshake_result *r) {
    static struct test_wire wire;
    uint8_t text[64], out[128], type, answer[] = {24, 0, 0, 1, 0};
    wire.n = 0;
    cr_assert(SSL_key_update(f->ssl, SSL_KEY_UPDATE_REQUESTED));
    cr_assert_eq(SSL_do_handshake(f->ssl), 1);
    cr_assert(test_foreign_say(f, &wire));
    cr_assert_eq(record_engine_user.open(&r->rx, wire.bytes, wire.n, text, sizeof text, &type), 5);
    cr_assert(type == RECORD_HANDSHAKE && text[0] == 24 && text[4] == 1);
    cr_assert_eq(record_engine_user.update(&r->rx), 0);
    struct iovec iov = {answer, sizeof answer};
    long len = record_engine_user.seal(&r->tx, RECORD_HANDSHAKE, &iov, 0, sizeof answer, out);
    cr_assert_eq(BIO_write(f->in, out, (int)len), (int)len);
    cr_assert_eq(record_engine_user.update(&r->tx), 0);
    test_foreign_to(f, &r->tx, 1000);
    test_foreign_from(f, &r->rx, 1000);
}

Test(foreign, key_update_from_openssl) {
    for (size_t i = 0; i < 3; i++) {
        struct test_foreign f = test_foreign_new((struct test_peer){
            .version = TLS1_3_VERSION, .suite = SUITES[i].name, .leaf = &sleep_cert, .roots = &ca});
        struct handshake *h = test_new(test_server(server_dir));
        static struct test_wire down;
        struct handshake_result r;
        cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_DONE);
        cr_assert_eq(API->export_(h, &r), 0);
        key_update(&f, &r);
        key_update(&f, &r);
        API->free_(h);
        test_foreign_free(&f);
    }
}

/* An OpenSSL client that hopes for middleboxes sends and expects change_cipher_spec. */
Test(foreign, change_cipher_spec_is_tolerated) {
    struct test_foreign f =
        test_foreign_new((struct test_peer){.version = TLS1_3_VERSION, .leaf = &sleep_cert, .roots = &ca});
    cr_assert(SSL_get_options(f.ssl) & SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    struct handshake *h = test_new(test_server(server_dir));
    static struct test_wire down;
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_DONE);
    API->free_(h);
    test_foreign_free(&f);
}

Test(foreign, names_of_simple_servers) {
    static const struct {
        const char *name;
        bool good;
    } CASES[] = {{"web.test", true},    {"WEB.test", true},      {"127.0.0.1", true}, {"127.0.0.2", false},
                 {"other.test", false}, {"spiffe://x/y", false}, {"web.tes", false}};
    char *roots = test_path(client_dir, "root-cert.pem");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct test_foreign f = test_foreign_new((struct test_peer){.server = true, .leaf = &web_cert});
        const struct handshake_config cfg = {.ca_file = roots, .names = &CASES[i].name, .name_count = 1};
        struct handshake *h = test_new(cfg);
        struct test_wire *down = calloc(1, sizeof *down);
        enum handshake_status want = CASES[i].good ? HANDSHAKE_DONE : HANDSHAKE_FAILED;
        cr_assert_eq(test_foreign_run(h, &f, down), want, "%s: %s", CASES[i].name, API->error(h));
        cr_assert(CASES[i].good || strstr(API->error(h), "is not for"), "%s", API->error(h));
        API->free_(h);
        test_foreign_free(&f);
        free(down);
    }
}

Test(foreign, insecure_skip_verify_skips_and_nothing_else_does) {
    struct test_cert other = test_ca("other CA");
    char *roots = test_path(client_dir, "root-cert.pem");
    struct handshake_config cfg = {.ca_file = roots, .insecure_skip_verify = true};
    for (int i = 0; i < 3; i++) {
        struct test_cert leaf = test_issue(&other, (struct test_wish){.dns = "x", .end = i == 1 ? -60 : 0});
        struct test_foreign f = test_foreign_new((struct test_peer){.server = true, .leaf = &leaf});
        if (i == 2) {
            cfg = test_client(client_dir);
            cfg.insecure_skip_verify = true; /* means nothing where identities are SPIFFE's */
        }
        struct handshake *h = test_new(cfg);
        struct test_wire *down = calloc(1, sizeof *down);
        cr_assert_eq(test_foreign_run(h, &f, down), i == 2 ? HANDSHAKE_FAILED : HANDSHAKE_DONE);
        API->free_(h);
        test_foreign_free(&f);
        test_cert_free(&leaf);
        free(down);
    }
    test_cert_free(&other);
}
