/* test_handshake_foreign.h - a plain OpenSSL peer over memory BIOs, and records between it and our engine. */
#ifndef MTLSWRAP_TEST_HANDSHAKE_FOREIGN_H
#define MTLSWRAP_TEST_HANDSHAKE_FOREIGN_H

#include <openssl/err.h>

#include "test_handshake.h"

/* What the peer is like; zero: TLS 1.2 and 1.3, OpenSSL's own choice of everything. */
struct test_peer {
    bool server, demand; /* demand: asks for the client's certificate and verifies it */
    int version;         /* both ends of the range; 0: any */
    const char *suite;   /* one suite of that version */
    const struct test_cert *leaf, *roots;
    SSL_SESSION *session;
    const unsigned char *alpn;
    unsigned alpn_len;
};

struct test_foreign {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    bool failed;
};

static inline void test_foreign_credentials(SSL_CTX *ctx, const struct test_peer *p) {
    if (p->leaf)
        cr_assert(SSL_CTX_use_certificate(ctx, p->leaf->cert) && SSL_CTX_use_PrivateKey(ctx, p->leaf->key));
    if (p->roots)
        cr_assert(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), p->roots->cert));
    if (p->demand)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    else if (!p->server && p->roots)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
}

static inline SSL_CTX *test_foreign_ctx(const struct test_peer *p) {
    SSL_CTX *ctx =
        SSL_CTX_new_ex(engine_libctx(), NULL, p->server ? TLS_server_method() : TLS_client_method());
    cr_assert(ctx);
    if (p->version)
        cr_assert(SSL_CTX_set_min_proto_version(ctx, p->version) &&
                  SSL_CTX_set_max_proto_version(ctx, p->version));
    if (p->suite)
        cr_assert(p->version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(ctx, p->suite)
                                               : SSL_CTX_set_cipher_list(ctx, p->suite));
    if (p->alpn)
        cr_assert_eq(SSL_CTX_set_alpn_protos(ctx, p->alpn, p->alpn_len), 0);
    cr_assert(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4));
    test_foreign_credentials(ctx, p);
    return ctx;
}

static inline struct test_foreign test_foreign_on(SSL_CTX *ctx, const struct test_peer *p) {
    struct test_foreign f = {ctx, SSL_new(ctx), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()), false};
    cr_assert(f.ssl && f.in && f.out);
    SSL_set_bio(f.ssl, f.in, f.out);
    if (p->server)
        SSL_set_accept_state(f.ssl);
    else
        SSL_set_connect_state(f.ssl);
    if (p->session)
        cr_assert(SSL_set_session(f.ssl, p->session));
    return f;
}

static inline struct test_foreign test_foreign_new(struct test_peer p) {
    SSL_CTX *ctx = test_foreign_ctx(&p);
    struct test_foreign f = test_foreign_on(ctx, &p);
    return f;
}

/* As after an orderly end, so that its session stays good. */
static inline void test_foreign_leave(struct test_foreign *f) {
    SSL_set_shutdown(f->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(f->ssl);
}

static inline void test_foreign_free(struct test_foreign *f) {
    SSL_set_shutdown(f->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(f->ssl);
    SSL_CTX_free(f->ctx);
}

static inline bool test_foreign_say(struct test_foreign *f, struct test_wire *w) {
    int n = BIO_read(f->out, w->bytes + w->n, (int)(sizeof w->bytes - w->n));
    w->n += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static inline void test_foreign_hear(struct test_foreign *f, struct test_wire *w) {
    if (w->n)
        cr_assert_eq(BIO_write(f->in, w->bytes, (int)w->n), (int)w->n);
    w->n = 0;
}

static inline void test_foreign_step(struct test_foreign *f) {
    int rc = f->failed || SSL_is_init_finished(f->ssl) ? 1 : SSL_do_handshake(f->ssl);
    f->failed |= rc != 1 && SSL_get_error(f->ssl, rc) != SSL_ERROR_WANT_READ;
}

/* Runs to the end; what the peer said beyond it (tickets) stays in *down. */
static inline enum handshake_status test_foreign_run(struct handshake *h, struct test_foreign *f,
                                                     struct test_wire *down) {
    struct test_wire *up = calloc(1, sizeof *up);
    enum handshake_status status = API->step(h);
    up->cut = 100;
    for (bool moved = true; moved;) {
        moved = test_collect(h, up);
        test_foreign_hear(f, up);
        test_foreign_step(f);
        moved |= test_foreign_say(f, down);
        moved |= test_deliver(h, down, &status);
    }
    free(up);
    ERR_clear_error();
    return status;
}

/* n bytes from us to the peer, and back. */
static inline void test_foreign_to(struct test_foreign *f, struct record_keys *tx, size_t n) {
    static uint8_t text[RECORD_PLAIN_MAX], wire[RECORD_WIRE_MAX], back[RECORD_PLAIN_MAX];
    for (size_t i = 0; i < n; i++)
        text[i] = (uint8_t)(i * 13 + n);
    struct iovec iov = {text, n};
    long len = record_engine_user.seal(tx, RECORD_DATA, &iov, 0, n, wire);
    cr_assert_gt(len, 0);
    cr_assert_eq(BIO_write(f->in, wire, (int)len), (int)len);
    cr_assert_eq(SSL_read(f->ssl, back, sizeof back), (int)n);
    cr_assert_arr_eq(back, text, n);
}

static inline void test_foreign_from(struct test_foreign *f, struct record_keys *rx, size_t n) {
    static uint8_t text[RECORD_PLAIN_MAX], back[RECORD_WIRE_MAX];
    static struct test_wire wire;
    uint8_t type;
    memset(text, (int)n & 0xff, n);
    wire.n = 0;
    cr_assert_eq(SSL_write(f->ssl, text, (int)n), (int)n);
    cr_assert(test_foreign_say(f, &wire));
    cr_assert_eq(test_first_record(&wire), wire.n, "one record");
    cr_assert_eq(record_engine_user.open(rx, wire.bytes, wire.n, back, sizeof back, &type), (long)n);
    cr_assert_eq(type, RECORD_DATA);
    cr_assert_arr_eq(back, text, n);
}

#endif
