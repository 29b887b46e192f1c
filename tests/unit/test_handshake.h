/* test_handshake.h - what the tests of handshakes and identities share: certificates made on the spot, a
 * splitter of records, and a plain OpenSSL peer. Each test runs in a process of its own. */
#ifndef MTLSWRAP_TEST_HANDSHAKE_H
#define MTLSWRAP_TEST_HANDSHAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "handshake.h"
#include "libctx.h"

extern struct mtlswrap_engine mtlswrap_engine;
#define API (mtlswrap_engine.handshake)
#define TEST_ID(account) "spiffe://cluster.local/ns/test/sa/" account

/* Certificates. */

struct test_cert {
    X509 *cert;
    EVP_PKEY *key;
};

/* What a certificate says; zero is a usable leaf without names. */
struct test_wish {
    const char *uri[2], *dns, *ip, *cn, *eku;
    long begin, end; /* seconds from now; end 0: an hour */
    bool ca, rsa;
};

static inline void test_name(GENERAL_NAMES *names, int type, const char *text) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_IPADD ? a2i_IPADDRESS(text) : ASN1_IA5STRING_new();
    if (type != GEN_IPADD)
        ASN1_STRING_set(value, text, -1);
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names, name);
}

static inline void test_ext(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    cr_assert(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
}

static inline void test_names(X509 *cert, const struct test_wish *w) {
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    for (int i = 0; i < 2; i++)
        if (w->uri[i])
            test_name(names, GEN_URI, w->uri[i]);
    if (w->dns)
        test_name(names, GEN_DNS, w->dns);
    if (w->ip)
        test_name(names, GEN_IPADD, w->ip);
    if (sk_GENERAL_NAME_num(names) > 0)
        cr_assert(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0));
    GENERAL_NAMES_free(names);
}

/* issuer NULL: self-signed. */
static inline struct test_cert test_issue(const struct test_cert *issuer, struct test_wish w) {
    static long serial;
    struct test_cert c = {X509_new_ex(engine_libctx(), NULL),
                          w.rsa ? EVP_PKEY_Q_keygen(engine_libctx(), NULL, "RSA", (size_t)2048)
                                : EVP_PKEY_Q_keygen(engine_libctx(), NULL, "EC", "P-256")};
    cr_assert(c.cert && c.key);
    X509 *by = issuer ? issuer->cert : c.cert;
    X509_set_version(c.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.cert), ++serial + time(NULL) * 1000);
    X509_set_pubkey(c.cert, c.key);
    X509_gmtime_adj(X509_getm_notBefore(c.cert), w.begin ? w.begin : -3600);
    X509_gmtime_adj(X509_getm_notAfter(c.cert), w.end ? w.end : 3600);
    if (w.cn)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(c.cert), "CN", MBSTRING_ASC,
                                   (const unsigned char *)w.cn, -1, -1, 0);
    X509_set_issuer_name(c.cert, X509_get_subject_name(by));
    test_ext(c.cert, by, NID_basic_constraints, w.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    test_ext(c.cert, by, NID_subject_key_identifier, "hash");
    if (w.eku)
        test_ext(c.cert, by, NID_ext_key_usage, w.eku);
    test_names(c.cert, &w);
    cr_assert(X509_sign(c.cert, issuer ? issuer->key : c.key, EVP_sha256()));
    return c;
}

static inline struct test_cert test_ca(const char *cn) {
    return test_issue(NULL, (struct test_wish){.cn = cn, .ca = true, .end = 86400});
}

static inline struct test_cert test_workload(const struct test_cert *ca, const char *uri) {
    return test_issue(ca, (struct test_wish){.uri = {uri}});
}

static inline void test_cert_free(struct test_cert *c) {
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
}

/* Files. */

static inline const char *test_dir(void) {
    static char dir[64];
    if (!dir[0]) {
        (void)snprintf(dir, sizeof dir, "/tmp/mtlswrap-test-XXXXXX");
        cr_assert(mkdtemp(dir));
    }
    return dir;
}

static inline void test_dir_remove(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", test_dir());
    cr_assert_eq(system(command), 0);
}

/* Good until the test ends. */
static inline char *test_path(const char *dir, const char *name) {
    static char pool[256][256];
    static unsigned next;
    cr_assert_lt(next, 256);
    char *path = pool[next++];
    int n = snprintf(path, sizeof pool[0], "%s/%s", dir, name);
    cr_assert(n > 0 && (size_t)n < sizeof pool[0]);
    return path;
}

/* For a call at a time. */
static inline const char *test_file(const char *dir, const char *name) {
    static char path[256];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    cr_assert(n > 0 && (size_t)n < sizeof path);
    return path;
}

static inline char *test_subdir(const char *name) {
    char *path = test_path(test_dir(), name);
    cr_assert(mkdir(path, 0700) == 0 || access(path, R_OK) == 0);
    return path;
}

static inline void test_write_certs(const char *dir, const char *name, X509 *a, X509 *b) {
    BIO *out = BIO_new_file(test_file(dir, name), "w");
    cr_assert(out && PEM_write_bio_X509(out, a) && (!b || PEM_write_bio_X509(out, b)));
    BIO_free(out);
}

static inline void test_write_key(const char *dir, const char *name, EVP_PKEY *key) {
    BIO *out = BIO_new_file(test_file(dir, name), "w");
    cr_assert(out && PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL));
    BIO_free(out);
}

static inline const char *test_identity(const char *dir, const struct test_cert *leaf, X509 *between,
                                        X509 *roots) {
    test_write_key(dir, "key.pem", leaf->key);
    test_write_certs(dir, "cert-chain.pem", leaf->cert, between);
    test_write_certs(dir, "root-cert.pem", roots, NULL);
    return dir;
}

/* An identity directory for an account of namespace test, in one call. */
static inline const char *test_account(const char *name, const struct test_cert *ca, const char *uri) {
    struct test_cert leaf = test_workload(ca, uri);
    const char *dir = test_identity(test_subdir(name), &leaf, NULL, ca->cert);
    test_cert_free(&leaf);
    return dir;
}

/* Bounded by the caller, who knows how far away that is. */
static inline void test_wait_until(time_t when) {
    while (time(NULL) <= when)
        sleep(1);
}

/* Configurations. */

static inline struct handshake_config test_server(const char *dir) {
    return (struct handshake_config){.server = true,
                                     .spiffe = true,
                                     .client_auth = CLIENT_AUTH_REQUIRED,
                                     .trust_domain = "cluster.local",
                                     .identity_dir = dir,
                                     .alpn_istio = true};
}

static inline struct handshake_config test_client(const char *dir) {
    return (struct handshake_config){
        .spiffe = true, .trust_domain = "cluster.local", .identity_dir = dir, .alpn_istio = true};
}

static inline struct handshake *test_new(struct handshake_config cfg) {
    char error[HANDSHAKE_ERROR_MAX] = "";
    struct handshake *h = API->new_(&cfg, error);
    cr_assert(h, "%s", error);
    return h;
}

static inline void test_new_fails(struct handshake_config cfg, const char *part) {
    char error[HANDSHAKE_ERROR_MAX] = "";
    cr_assert_null(API->new_(&cfg, error));
    cr_assert(strstr(error, part), "\"%s\" lacks \"%s\"", error, part);
}

/* Bytes under way in one direction, cut at will and put together to records again. */

struct test_wire {
    uint8_t bytes[65536];
    size_t n;
    unsigned cut; /* 0: as they come; else the largest piece */
};

/* Takes what h has to say, in pieces. */
static inline bool test_collect(struct handshake *h, struct test_wire *w) {
    size_t len;
    bool any = false;
    const uint8_t *p;
    while ((p = API->output(h, &len)) != NULL && len > 0) {
        size_t n = w->cut && len > w->cut ? 1 + (w->n * 7 + len) % w->cut : len;
        cr_assert_leq(w->n + n, sizeof w->bytes);
        memcpy(w->bytes + w->n, p, n);
        w->n += n;
        API->output_taken(h, n);
        any = true;
    }
    return any;
}

static inline size_t test_first_record(const struct test_wire *w) {
    size_t n = w->n < RECORD_HEADER ? 0 : RECORD_HEADER + ((size_t)w->bytes[3] << 8 | w->bytes[4]);
    return n <= w->n ? n : 0;
}

static inline void test_drop(struct test_wire *w, size_t n) {
    memmove(w->bytes, w->bytes + n, w->n - n);
    w->n -= n;
}

/* Feeds whole records while h wants them; a failure counts as the end. */
static inline bool test_deliver(struct handshake *h, struct test_wire *w, enum handshake_status *status) {
    bool any = false;
    for (size_t n; *status == HANDSHAKE_WANT_READ && (n = test_first_record(w)) > 0; any = true) {
        *status = API->feed(h, w->bytes, n);
        test_drop(w, n);
    }
    return any;
}

struct test_pair {
    struct handshake *client, *server;
    enum handshake_status client_status, server_status;
    struct test_wire up, down; /* client to server, server to client */
};

static inline void test_pair_run(struct test_pair *p) {
    p->client_status = API->step(p->client);
    p->server_status = API->step(p->server);
    for (bool moved = true; moved;) {
        moved = test_collect(p->client, &p->up);
        moved |= test_deliver(p->server, &p->up, &p->server_status);
        moved |= test_collect(p->server, &p->down);
        moved |= test_deliver(p->client, &p->down, &p->client_status);
    }
}

static inline struct test_pair *test_pair_new(struct handshake_config client,
                                              struct handshake_config server) {
    struct test_pair *p = calloc(1, sizeof *p);
    p->client = test_new(client);
    p->server = test_new(server);
    return p;
}

static inline void test_pair_free(struct test_pair *p) {
    API->free_(p->client);
    API->free_(p->server);
    free(p);
}

static inline void test_pair_done(const struct test_pair *p) {
    cr_assert_eq(p->client_status, HANDSHAKE_DONE, "client: %s", API->error(p->client));
    cr_assert_eq(p->server_status, HANDSHAKE_DONE, "server: %s", API->error(p->server));
}

/* One record from tx to rx through the record engine, compared. */
static inline void test_exchange(struct record_keys *tx, struct record_keys *rx, size_t n) {
    static uint8_t text[RECORD_PLAIN_MAX], wire[RECORD_WIRE_MAX], back[RECORD_WIRE_MAX];
    for (size_t i = 0; i < n; i++)
        text[i] = (uint8_t)(i * 31 + n);
    struct iovec iov = {text, n};
    uint8_t type = 0;
    long len = record_engine_user.seal(tx, RECORD_DATA, &iov, 0, n, wire);
    cr_assert_gt(len, 0);
    cr_assert_eq(record_engine_user.open(rx, wire, (size_t)len, back, sizeof back, &type), (long)n);
    cr_assert_eq(type, RECORD_DATA);
    cr_assert_arr_eq(back, text, n);
}

#endif
