/* credentials.c - loads credentials from files and proves that they fit together before anyone sees them.
 * Keeps no state; opens files only during credentials_load (system roots: also later, by OpenSSL). */
#include "credentials.h"
#include "libctx.h"
#include "slimctx.h"
#include "peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { FILE_MAX = 8 << 20 };

static int fail(char *error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(char *error, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(error, HANDSHAKE_ERROR_MAX, fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return -1;
}

int64_t credentials_seconds(const ASN1_TIME *when) {
    struct tm tm;
    return when && ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MIN;
}

/* A whole file in memory: what is parsed is what was hashed, whatever happens to the file meanwhile. */
static BIO *read_file(const char *path, char *error) {
    FILE *f = fopen(path, "re");
    BIO *mem = f ? BIO_new(BIO_s_mem()) : NULL;
    char buf[512]; /* a program's thread may have little stack */
    size_t n, total = 0;
    if (!mem)
        fail(error, "%s: %s", path, strerror(errno));
    while (mem && (n = fread(buf, 1, sizeof buf, f)) > 0 && (total += n) <= FILE_MAX)
        if (BIO_write(mem, buf, (int)n) != (int)n)
            break;
    OPENSSL_cleanse(buf, sizeof buf);
    if (mem && (ferror(f) || !feof(f))) {
        fail(error, "%s: %s", path, ferror(f) ? strerror(errno) : "is too large");
        BIO_free(mem);
        mem = NULL;
    }
    if (f)
        fclose(f);
    return mem;
}

static X509 *next_cert(BIO *in) {
    X509 *cert = X509_new_ex(slimctx(), NULL);
    if (cert && PEM_read_bio_X509(in, &cert, NULL, "")) /* frees and clears cert on failure */
        return cert;
    X509_free(cert);
    return NULL;
}

/* All PEM was read when the only complaint is that no further block begins. */
static bool clean_end(void) {
    unsigned long e = ERR_peek_last_error();
    bool clean = e == 0 || (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE);
    ERR_clear_error();
    return clean;
}

static bool self_signed(X509 *cert) {
    return (X509_get_extension_flags(cert) & EXFLAG_SS) != 0;
}

/* Own certificate. */

static int parse_chain(BIO *in, struct credentials *c) {
    c->chain = sk_X509_new_null();
    c->leaf = next_cert(in);
    if (!c->leaf || !c->chain)
        return -1;
    for (X509 *cert; (cert = next_cert(in)) != NULL;) {
        /* The peer trusts its own copy of the root or none: sending it is waste. */
        if (self_signed(cert))
            X509_free(cert);
        else if (sk_X509_push(c->chain, cert) <= 0) {
            X509_free(cert);
            return -1;
        }
    }
    return clean_end() ? 0 : -1;
}

static int load_own(const char *chain, const char *key, struct credentials *c, char *error) {
    BIO *in = read_file(chain, error);
    if (!in)
        return -1;
    int rc = parse_chain(in, c);
    BIO_free(in);
    if (rc != 0)
        return fail(error, "%s: holds no readable certificate chain", chain);
    in = read_file(key, error);
    if (!in)
        return -1;
    c->key = PEM_read_bio_PrivateKey_ex(in, NULL, NULL, "", engine_libctx(), NULL);
    char *bytes = NULL;
    long len = BIO_get_mem_data(in, &bytes);
    OPENSSL_cleanse(bytes, len > 0 ? (size_t)len : 0);
    BIO_free(in);
    if (!c->key)
        return fail(error, "%s: holds no readable private key (is it encrypted?)", key);
    if (X509_check_private_key(c->leaf, c->key) != 1)
        return fail(error, "%s: does not belong to the certificate in %s", key, chain);
    c->leaf_end = credentials_seconds(X509_get0_notAfter(c->leaf));
    if (c->leaf_end <= (int64_t)time(NULL))
        return fail(error, "%s: the certificate has expired", chain);
    peer_name(c->leaf, c->id);
    if (X509_digest(c->leaf, EVP_sha256(), c->own_digest, NULL) != 1)
        return fail(error, "%s: cannot be hashed", chain);
    return 0;
}

/* Trust. */

static int hash_files(BIO *a, BIO *b, uint8_t out[32]) {
    char *bytes[2] = {NULL, NULL};
    long len[2] = {BIO_get_mem_data(a, &bytes[0]), b ? BIO_get_mem_data(b, &bytes[1]) : 0};
    EVP_MD *md = EVP_MD_fetch(slimctx(), "SHA256", NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) &&
              EVP_DigestUpdate(ctx, &len[0], sizeof len[0]) &&
              EVP_DigestUpdate(ctx, bytes[0], (size_t)len[0]) &&
              (len[1] == 0 || EVP_DigestUpdate(ctx, bytes[1], (size_t)len[1])) &&
              EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md);
    return ok ? 0 : -1;
}

static int parse_roots(BIO *in, X509_STORE *store) {
    int count = 0;
    for (X509 *cert; (cert = next_cert(in)) != NULL; count++) {
        int ok = X509_STORE_add_cert(store, cert);
        X509_free(cert);
        if (!ok)
            return -1;
    }
    return clean_end() && count > 0 ? 0 : -1;
}

static int parse_crls(BIO *in, struct credentials *c) {
    int count = 0;
    for (X509_CRL *crl; (crl = PEM_read_bio_X509_CRL(in, NULL, NULL, "")) != NULL; count++) {
        const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
        int64_t end = next ? credentials_seconds(next) : INT64_MAX;
        c->trust_end = end < c->trust_end ? end : c->trust_end;
        int ok = X509_STORE_add_crl(c->roots, crl);
        X509_CRL_free(crl);
        if (!ok)
            return -1;
    }
    return clean_end() && count > 0 ? 0 : -1;
}

/* A list that says nothing about an intermediate's issuer is no reason to refuse; one that says nothing about
 * the leaf's issuer is. */
static int tolerate(int ok, X509_STORE_CTX *ctx) {
    if (ok || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNABLE_TO_GET_CRL ||
        X509_STORE_CTX_get_error_depth(ctx) == 0)
        return ok;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static int load_crl(const char *path, BIO *crl, struct credentials *c, char *error) {
    if (parse_crls(crl, c) != 0)
        return fail(error, "%s: holds no readable revocation list", path);
    X509_STORE_set_flags(c->roots, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    X509_STORE_set_verify_cb(c->roots, tolerate);
    c->has_crl = true;
    return 0;
}

static int load_roots(const struct credentials_files *files, struct credentials *c, char *error) {
    struct stat st;
    bool has_crl = files->crl[0] && stat(files->crl, &st) == 0;
    BIO *roots = read_file(files->roots, error);
    if (!roots)
        return -1;
    BIO *crl = has_crl ? read_file(files->crl, error) : NULL;
    int rc = has_crl && !crl ? -1 : 0;
    if (rc == 0 && hash_files(roots, crl, c->trust_digest) != 0)
        rc = fail(error, "%s: cannot be hashed", files->roots);
    if (rc == 0 && parse_roots(roots, c->roots) != 0)
        rc = fail(error, "%s: holds no readable certificate", files->roots);
    if (rc == 0 && crl)
        rc = load_crl(files->crl, crl, c, error);
    BIO_free(crl);
    BIO_free(roots);
    return rc;
}

/* Hashed directories are looked into only when a chain is verified; bundles are parsed at once, so they are
 * the second choice. */
static int system_roots(struct credentials *c) {
    static const char DIRECTORY[] = "/etc/ssl/certs";
    static const char BUNDLE[] = "/etc/pki/tls/certs/ca-bundle.crt";
    memset(c->trust_digest, 0x5a, sizeof c->trust_digest);
    (void)X509_STORE_set_default_paths_ex(c->roots, slimctx(), NULL);
    (void)X509_STORE_load_path(c->roots, DIRECTORY);
    struct stat st;
    if (stat(DIRECTORY, &st) != 0 && stat(BUNDLE, &st) == 0)
        (void)X509_STORE_load_file_ex(c->roots, BUNDLE, slimctx(), NULL);
    ERR_clear_error();
    return 0;
}

static int check_own(const struct credentials_files *files, const struct credentials *c, char *error) {
    X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(slimctx(), NULL);
    int rc = 0;
    if (!ctx || !X509_STORE_CTX_init(ctx, c->roots, c->leaf, c->chain))
        rc = fail(error, "out of memory");
    else if (X509_verify_cert(ctx) != 1)
        rc = fail(error, "%s: does not verify against %s: %s", files->chain, files->roots,
                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    X509_STORE_CTX_free(ctx);
    return rc;
}

int credentials_load(const struct credentials_files *files, struct credentials *out, char *error) {
    memset(out, 0, sizeof *out);
    out->leaf_end = out->trust_end = INT64_MAX;
    ERR_clear_error();
    out->roots = X509_STORE_new();
    int rc = out->roots ? 0 : fail(error, "out of memory");
    if (rc == 0)
        X509_STORE_set_flags(out->roots, X509_V_FLAG_PARTIAL_CHAIN); /* whatever is listed is an anchor */
    if (rc == 0 && files->chain[0])
        rc = load_own(files->chain, files->key, out, error);
    if (rc == 0)
        rc = files->system_roots ? system_roots(out) : load_roots(files, out, error);
    if (rc == 0 && files->own_must_verify)
        rc = check_own(files, out, error);
    if (rc != 0)
        credentials_free(out);
    return rc;
}

void credentials_free(struct credentials *c) {
    EVP_PKEY_free(c->key);
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    X509_STORE_free(c->roots);
    memset(c, 0, sizeof *c);
}
