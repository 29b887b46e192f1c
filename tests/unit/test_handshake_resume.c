/* test_handshake_resume.c - tickets and resumption, and when they must not happen. */
#include <sys/wait.h>

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

TestSuite(resume, .init = setup, .fini = teardown);

static struct handshake_config client_to(const char *destination) {
    struct handshake_config cfg = test_client(client_dir);
    cfg.destination = destination;
    return cfg;
}

/* The ticket goes in front of the first application bytes: the client's engine finds it and hands it over. */
static void deliver_ticket(struct test_pair *p, struct handshake_result *c) {
    static uint8_t wire[4096], text[4096];
    uint8_t type;
    size_t len = API->ticket(p->server, wire, sizeof wire);
    cr_assert_gt(len, RECORD_HEADER);
    cr_assert_eq(API->ticket(p->server, wire, sizeof wire), 0, "one is enough");
    cr_assert_eq(API->export_(p->client, c), 0);
    cr_assert(API->wants_post(p->client));
    cr_assert_gt(record_engine_user.open(&c->rx, wire, len, text, sizeof text, &type), 0);
    cr_assert(type == RECORD_HANDSHAKE && text[0] == 4);
    cr_assert_not(API->post(p->client, wire, len), "one is enough");
    cr_assert_not(API->wants_post(p->client));
}

/* A connection with its ticket; says whether it was resumed. */
static bool connection(struct handshake_config client, struct handshake_config server) {
    struct test_pair *p = test_pair_new(client, server);
    struct handshake_result c, s;
    test_pair_run(p);
    test_pair_done(p);
    deliver_ticket(p, &c);
    cr_assert_eq(API->export_(p->server, &s), 0);
    cr_assert_eq(s.tx.seq, 1);
    cr_assert_eq(c.resumed, s.resumed);
    cr_assert_str_eq(c.peer, TEST_ID("httpbin"));
    cr_assert_str_eq(s.peer, TEST_ID("sleep"));
    test_exchange(&c.tx, &s.rx, 1000);
    test_exchange(&s.tx, &c.rx, 1000);
    test_pair_free(p);
    return s.resumed;
}

Test(resume, every_later_connection) {
    cr_assert_not(connection(client_to("10.0.0.1:80"), test_server(server_dir)));
    for (int i = 0; i < 20; i++)
        cr_assert(connection(client_to("10.0.0.1:80"), test_server(server_dir)));
}

Test(resume, not_towards_another_destination_or_for_other_expectations) {
    const char *names[] = {TEST_ID("httpbin")};
    struct handshake_config cfg = client_to("10.0.0.1:80");
    cr_assert_not(connection(cfg, test_server(server_dir)));
    cr_assert_not(connection(client_to("10.0.0.2:80"), test_server(server_dir)));
    cfg.names = names;
    cfg.name_count = 1;
    cr_assert_not(connection(cfg, test_server(server_dir)));
    cfg.sni = "other";
    cr_assert_not(connection(cfg, test_server(server_dir)));
    cr_assert(connection(cfg, test_server(server_dir)));
}

Test(resume, a_session_is_offered_once) {
    cr_assert_not(connection(client_to("10.0.0.1:80"), test_server(server_dir)));
    struct test_pair *a = test_pair_new(client_to("10.0.0.1:80"), test_server(server_dir));
    struct test_pair *b = test_pair_new(client_to("10.0.0.1:80"), test_server(server_dir));
    struct handshake_result r;
    test_pair_run(a);
    test_pair_run(b);
    test_pair_done(a);
    test_pair_done(b);
    cr_assert_eq(API->export_(a->client, &r), 0);
    cr_assert(r.resumed);
    cr_assert_eq(API->export_(b->client, &r), 0);
    cr_assert_not(r.resumed);
    test_pair_free(a);
    test_pair_free(b);
}

Test(resume, a_server_with_another_identity_or_trust_does_not_take_the_ticket) {
    cr_assert_not(connection(client_to("10.0.0.1:80"), test_server(server_dir)));
    const char *twin = test_account("twin", &ca, TEST_ID("httpbin"));
    cr_assert(connection(client_to("10.0.0.1:80"), test_server(twin)), "same identity, same trust");
    struct handshake_config strange = test_server(test_account("reviews", &ca, TEST_ID("reviews")));
    struct test_pair *p = test_pair_new(client_to("10.0.0.1:80"), strange);
    struct handshake_result r;
    test_pair_run(p);
    test_pair_done(p);
    cr_assert_eq(API->export_(p->client, &r), 0);
    cr_assert_not(r.resumed);
    test_pair_free(p);
}

/* A client that showed no certificate where none was needed gains nothing where one is. */
Test(resume, no_way_around_a_required_certificate) {
    struct handshake_config open_ = test_server(server_dir);
    open_.client_auth = CLIENT_AUTH_OPTIONAL;
    struct test_foreign f = test_foreign_new((struct test_peer){.roots = &ca, .version = TLS1_2_VERSION});
    struct handshake *h = test_new(open_);
    static struct test_wire down;
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_DONE);
    SSL_SESSION *session = SSL_get1_session(f.ssl);
    cr_assert(SSL_SESSION_has_ticket(session));
    API->free_(h);
    test_foreign_free(&f);
    f = test_foreign_new((struct test_peer){.roots = &ca, .version = TLS1_2_VERSION, .session = session});
    h = test_new(open_);
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_DONE);
    cr_assert(SSL_session_reused(f.ssl));
    API->free_(h);
    test_foreign_free(&f);
    f = test_foreign_new((struct test_peer){.roots = &ca, .version = TLS1_2_VERSION, .session = session});
    h = test_new(test_server(server_dir));
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_FAILED);
    cr_assert(strstr(API->error(h), "peer offered no certificate"), "%s", API->error(h));
    API->free_(h);
    test_foreign_free(&f);
    SSL_SESSION_free(session);
}

/* OpenSSL at the other end, both versions, both roles. */
static bool from_openssl(SSL_CTX *ctx, struct test_peer peer, SSL_SESSION **session) {
    peer.session = *session;
    struct test_foreign f = test_foreign_on(ctx, &peer);
    struct handshake *h = test_new(test_server(server_dir));
    struct test_wire *down = calloc(1, sizeof *down);
    struct handshake_result r;
    uint8_t wire[4096], byte;
    cr_assert_eq(test_foreign_run(h, &f, down), HANDSHAKE_DONE, "%s", API->error(h));
    size_t len = API->ticket(h, wire, sizeof wire);
    cr_assert_eq(len > 0, peer.version == TLS1_3_VERSION);
    cr_assert_eq(API->export_(h, &r), 0);
    cr_assert_str_eq(r.peer, TEST_ID("sleep"));
    if (len)
        cr_assert_eq(BIO_write(f.in, wire, (int)len), (int)len);
    test_foreign_to(&f, &r.tx, 100);
    test_foreign_from(&f, &r.rx, 100);
    cr_assert_leq(SSL_read(f.ssl, &byte, 1), 0);
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(f.ssl);
    API->free_(h);
    test_foreign_leave(&f);
    free(down);
    return r.resumed;
}

static void openssl_client(int version) {
    struct test_cert leaf = test_workload(&ca, TEST_ID("sleep"));
    struct test_peer peer = {.version = version, .leaf = &leaf, .roots = &ca};
    SSL_CTX *ctx = test_foreign_ctx(&peer);
    SSL_SESSION *session = NULL;
    cr_assert_not(from_openssl(ctx, peer, &session));
    for (int i = 0; i < 5; i++)
        cr_assert(from_openssl(ctx, peer, &session), "round %d", i);
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    test_cert_free(&leaf);
}

Test(resume, openssl_clients) {
    openssl_client(TLS1_3_VERSION);
    openssl_client(TLS1_2_VERSION);
}

static bool to_openssl(SSL_CTX *ctx, const struct test_peer *peer) {
    struct test_foreign f = test_foreign_on(ctx, peer);
    struct handshake *h = test_new(client_to("10.0.0.1:443"));
    struct test_wire *down = calloc(1, sizeof *down);
    struct handshake_result r;
    static uint8_t text[RECORD_WIRE_MAX];
    uint8_t type;
    cr_assert_eq(test_foreign_run(h, &f, down), HANDSHAKE_DONE, "%s", API->error(h));
    cr_assert_eq(API->export_(h, &r), 0);
    for (size_t n; (n = test_first_record(down)) > 0; test_drop(down, n)) {
        cr_assert_gt(record_engine_user.open(&r.rx, down->bytes, n, text, sizeof text, &type), 0);
        if (API->wants_post(h))
            (void)API->post(h, down->bytes, n);
    }
    test_foreign_to(&f, &r.tx, 100);
    test_foreign_from(&f, &r.rx, 100);
    API->free_(h);
    test_foreign_leave(&f);
    free(down);
    return r.resumed;
}

Test(resume, openssl_servers) {
    struct test_cert leaf = test_workload(&ca, TEST_ID("httpbin"));
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct test_peer peer = {
            .server = true, .demand = true, .version = version, .leaf = &leaf, .roots = &ca};
        SSL_CTX *ctx = test_foreign_ctx(&peer);
        cr_assert_not(to_openssl(ctx, &peer));
        for (int i = 0; i < 5; i++)
            cr_assert(to_openssl(ctx, &peer), "version %x round %d", version, i);
        SSL_CTX_free(ctx);
        /* Its tickets mean nothing to a server that has other keys. */
        ctx = test_foreign_ctx(&peer);
        cr_assert_not(to_openssl(ctx, &peer));
        SSL_CTX_free(ctx);
    }
    test_cert_free(&leaf);
}

/* A certificate that was good when the session began and has expired since. */
Test(resume, not_beyond_the_peers_certificate) {
    time_t end = time(NULL) + 8;
    struct test_cert client = test_issue(&ca, (struct test_wish){.uri = {TEST_ID("sleep")}, .end = 8});
    struct test_cert server = test_issue(&ca, (struct test_wish){.uri = {TEST_ID("httpbin")}, .end = 8});
    struct test_peer as_client = {.version = TLS1_3_VERSION, .leaf = &client, .roots = &ca};
    struct test_peer as_server = {.server = true, .version = TLS1_3_VERSION, .leaf = &server, .roots = &ca};
    SSL_CTX *client_ctx = test_foreign_ctx(&as_client), *server_ctx = test_foreign_ctx(&as_server);
    SSL_SESSION *session = NULL;
    cr_assert_not(from_openssl(client_ctx, as_client, &session));
    cr_assert_not(to_openssl(server_ctx, &as_server));
    test_wait_until(end + 1);
    static struct test_wire down;
    as_client.session = session;
    struct test_foreign f = test_foreign_on(client_ctx, &as_client);
    struct handshake *h = test_new(test_server(server_dir));
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_FAILED);
    cr_assert(strstr(API->error(h), "has expired"), "%s", API->error(h));
    API->free_(h);
    test_foreign_free(&f);
    down.n = 0;
    f = test_foreign_on(server_ctx, &as_server);
    h = test_new(client_to("10.0.0.1:443"));
    cr_assert_eq(test_foreign_run(h, &f, &down), HANDSHAKE_FAILED);
    cr_assert(strstr(API->error(h), "has expired"), "%s", API->error(h));
    API->free_(h);
    test_foreign_free(&f);
    SSL_SESSION_free(session);
    test_cert_free(&client);
    test_cert_free(&server);
}

/* A ticket of one worker is taken by its sibling and by its parent, when the context was prepared before the
 * fork. */
Test(resume, across_fork) {
    char error[HANDSHAKE_ERROR_MAX];
    struct handshake_config cfg = test_server(server_dir);
    struct test_cert leaf = test_workload(&ca, TEST_ID("sleep"));
    struct test_peer peer = {.version = TLS1_2_VERSION, .leaf = &leaf, .roots = &ca};
    int out[2];
    cr_assert_eq(API->prepare(&cfg, error), 0);
    cr_assert_eq(pipe(out), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        SSL_SESSION *session = NULL;
        SSL_CTX *ctx = test_foreign_ctx(&peer);
        (void)from_openssl(ctx, peer, &session);
        unsigned char *der = NULL;
        int len = i2d_SSL_SESSION(session, &der);
        bool ok = len > 0 && write(out[1], der, (size_t)len) == len;
        OPENSSL_free(der);
        SSL_SESSION_free(session);
        SSL_CTX_free(ctx);
        test_cert_free(&leaf);
        _exit(ok ? 0 : 1);
    }
    static unsigned char der[8192];
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    const unsigned char *p = der;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &p, read(out[0], der, sizeof der));
    cr_assert(session);
    SSL_CTX *ctx = test_foreign_ctx(&peer);
    cr_assert(from_openssl(ctx, peer, &session));
    SSL_CTX_free(ctx);
    SSL_SESSION_free(session);
    test_cert_free(&leaf);
}

Test(resume, new_trust_forgets_old_sessions) {
    cr_assert_not(connection(client_to("10.0.0.1:80"), test_server(server_dir)));
    test_write_certs(server_dir, "root-cert.pem", ca.cert, other.cert); /* one more CA is trusted */
    sleep(2);
    struct test_pair *p = test_pair_new(client_to("10.0.0.1:80"), test_server(server_dir));
    struct handshake_result r;
    test_pair_run(p);
    test_pair_done(p);
    cr_assert_eq(API->export_(p->server, &r), 0);
    cr_assert_not(r.resumed);
    test_pair_free(p);
}
