/* ca.c - the embedded certificate authority. Reads and writes only the directories that it is given, keeps
 * no state between calls, logs nothing, and uses a library context of its own, so that no
 * openssl.cnf has a say. */
#include "ca.h"
#include "ca_file.h"
#include "ca_read.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { CA_SECONDS = 3650 * 24 * 3600, CLOCK_SKEW = 60 };

/* Writing. */

static int write_bio(const char *dir, const char *name, BIO *mem, mode_t mode, char *err) {
    char *bytes = NULL;
    long len = BIO_get_mem_data(mem, &bytes);
    int rc = len > 0 ? ca_file_write(dir, name, bytes, (size_t)len, mode) : -1;
    if (rc != 0)
        ca_read_fail(err, "%s/%s: cannot write: %s", dir, name, strerror(errno));
    if (len > 0)
        OPENSSL_cleanse(bytes, (size_t)len);
    return rc;
}

static int write_certs(const char *dir, const char *name, X509 *first, X509 *second, char *err) {
    BIO *mem = BIO_new(BIO_s_mem());
    bool ok = mem && PEM_write_bio_X509(mem, first) && (!second || PEM_write_bio_X509(mem, second));
    int rc = ok ? write_bio(dir, name, mem, 0644, err) : ca_read_fail(err, "%s/%s: cannot encode", dir, name);
    BIO_free(mem);
    return rc;
}

static int write_key(const char *dir, const char *name, EVP_PKEY *key, char *err) {
    BIO *mem = BIO_new(BIO_s_mem());
    bool ok = mem && PEM_write_bio_PKCS8PrivateKey(mem, key, NULL, NULL, 0, NULL, NULL);
    int rc = ok ? write_bio(dir, name, mem, 0600, err) : ca_read_fail(err, "%s/%s: cannot encode", dir, name);
    BIO_free(mem);
    return rc;
}

/* Making certificates. */

static EVP_PKEY *new_key(OSSL_LIB_CTX *lib) {
    return EVP_PKEY_Q_keygen(lib, NULL, "EC", "P-256");
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

/* Names are put in as values, never as a configuration string, so no comma in one can add another. */
static bool push_name(GENERAL_NAMES *names, int type, const char *text) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_IPADD ? a2i_IPADDRESS(text) : ASN1_IA5STRING_new();
    if (name && value && (type == GEN_IPADD || ASN1_STRING_set(value, text, -1))) {
        GENERAL_NAME_set0_value(name, type, value);
        if (sk_GENERAL_NAME_push(names, name) > 0)
            return true;
        value = NULL; /* belongs to name now */
    }
    GENERAL_NAME_free(name);
    ASN1_STRING_free(value);
    return false;
}

static bool is_address(const char *text) {
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(text);
    ERR_clear_error();
    ASN1_OCTET_STRING_free(ip);
    return ip != NULL;
}

static bool add_names(X509 *cert, const char *uri, const char *const *more, size_t n, int critical) {
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok = names && push_name(names, GEN_URI, uri);
    for (size_t i = 0; ok && i < n; i++)
        ok = push_name(names, is_address(more[i]) ? GEN_IPADD : GEN_DNS, more[i]);
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical, 0) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static bool set_serial(OSSL_LIB_CTX *lib, X509 *cert) {
    unsigned char bytes[16];
    if (RAND_bytes_ex(lib, bytes, sizeof bytes, 0) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, never short */
    BIGNUM *bn = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert));
    BN_free(bn);
    return ok;
}

static X509 *begin_cert(OSSL_LIB_CTX *lib, EVP_PKEY *key, time_t now, long seconds) {
    X509 *cert = X509_new_ex(lib, NULL);
    if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(lib, cert) &&
        X509_set_pubkey(cert, key) && ASN1_TIME_adj(X509_getm_notBefore(cert), now, 0, -CLOCK_SKEW) &&
        ASN1_TIME_adj(X509_getm_notAfter(cert), now, 0, seconds))
        return cert;
    X509_free(cert);
    return NULL;
}

static X509 *make_ca(OSSL_LIB_CTX *lib, EVP_PKEY *key, const char *trust_domain) {
    char uri[CA_NAME_MAX];
    (void)snprintf(uri, sizeof uri, "spiffe://%s", trust_domain);
    X509 *cert = begin_cert(lib, key, time(NULL), CA_SECONDS);
    if (!cert)
        return NULL;
    X509_NAME *name = X509_get_subject_name(cert);
    int cn = (int)strnlen(trust_domain, 64); /* X.520's bound; the URI has it whole */
    if (X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC,
                                   (const unsigned char *)"mtlswrap", -1, -1, 0) &&
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)trust_domain,
                                   cn, -1, 0) &&
        X509_set_issuer_name(cert, name) &&
        add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        add_extension(cert, cert, NID_subject_key_identifier, "hash") && add_names(cert, uri, NULL, 0, 0) &&
        X509_sign(cert, key, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

struct request {
    const char *uri;
    const char *const *names;
    size_t n;
    long seconds;
};

/* The subject stays empty, hence the critical names (RFC 5280 4.1.2.6, SPIFFE X509-SVID 2). */
static X509 *make_leaf(OSSL_LIB_CTX *lib, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key,
                       const struct request *r) {
    X509 *cert = begin_cert(lib, key, time(NULL), r->seconds);
    if (!cert)
        return NULL;
    bool ok = ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(ca)) <= 0 ||
              X509_set1_notAfter(cert, X509_get0_notAfter(ca));
    if (ok && X509_set_issuer_name(cert, X509_get_subject_name(ca)) &&
        add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(cert, ca, NID_key_usage, "critical,digitalSignature") &&
        add_extension(cert, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
        add_extension(cert, ca, NID_subject_key_identifier, "hash") &&
        add_extension(cert, ca, NID_authority_key_identifier, "keyid:always") &&
        add_names(cert, r->uri, r->names, r->n, 1) && X509_sign(cert, ca_key, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

static bool valid_trust_domain(const char *td) {
    size_t n = strlen(td);
    return n > 0 && n <= CA_NAME_MAX - 32 && strspn(td, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == n;
}

/* A leaf outside of the CA's own trust domain would be refused by every peer: say so now. */
static int check_uri(X509 *ca, const char *uri, char *err) {
    char domain[CA_NAME_MAX];
    size_t n = strlen(uri);
    if (strncmp(uri, "spiffe://", 9) != 0 || n >= CA_NAME_MAX)
        return ca_read_fail(err, "%s: is no SPIFFE identity (expected spiffe://TRUSTDOMAIN/ns/NS/sa/SA)",
                            uri);
    for (const char *p = uri; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || strchr("\"<>\\^`{|}%?#", *p))
            return ca_read_fail(err, "%s: holds a character that no SPIFFE identity may hold", uri);
    if (!ca_read_uri(ca, domain, sizeof domain))
        return 0;
    size_t d = strlen(domain);
    if (strncmp(uri, domain, d) != 0 || uri[d] != '/' || !uri[d + 1])
        return ca_read_fail(err, "%s: is no identity of the CA's trust domain %s", uri, domain);
    return 0;
}

/* The public calls. */

static int init_locked(OSSL_LIB_CTX *lib, const char *dir, const char *trust_domain, char *err) {
    char path[PATH_MAX];
    struct stat st;
    if (!ca_read_join(path, sizeof path, dir, CA_READ_CA_KEY))
        return ca_read_fail(err, "%s: name too long", dir);
    if (stat(path, &st) == 0)
        return 1;
    EVP_PKEY *key = new_key(lib);
    X509 *cert = key ? make_ca(lib, key, trust_domain) : NULL;
    int rc = cert ? 0 : ca_read_fail(err, "%s: cannot make a CA certificate", dir);
    /* The key last: a CA exists when its key does. */
    rc = rc == 0 ? write_certs(dir, CA_READ_ROOT, cert, NULL, err) : rc;
    rc = rc == 0 ? write_key(dir, CA_READ_CA_KEY, key, err) : rc;
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

int ca_init(const char *dir, const char *trust_domain, char *err) {
    if (!valid_trust_domain(trust_domain))
        return ca_read_fail(err, "\"%s\" is no trust domain (lower case letters, digits, '.', '-', '_')",
                            trust_domain);
    int lock = ca_file_mkdirs(dir) == 0 ? ca_file_lock(dir) : -1;
    if (lock < 0)
        return ca_read_fail(err, "%s: %s", dir, strerror(errno));
    OSSL_LIB_CTX *lib = ca_read_library();
    int rc = lib ? init_locked(lib, dir, trust_domain, err) : ca_read_fail(err, "out of memory");
    close(lock);
    return rc;
}

/* Readers take the three files only when they fit together, so the order does not matter to them. */
static int write_identity(OSSL_LIB_CTX *lib, const char *dir, X509 *ca, EVP_PKEY *ca_key,
                          const struct request *r, char *err) {
    int lock = ca_file_mkdirs(dir) == 0 ? ca_file_lock(dir) : -1;
    if (lock < 0)
        return ca_read_fail(err, "%s: %s", dir, strerror(errno));
    EVP_PKEY *key = new_key(lib);
    X509 *leaf = key ? make_leaf(lib, key, ca, ca_key, r) : NULL;
    int rc = leaf ? 0 : ca_read_fail(err, "%s: cannot make a certificate for %s", dir, r->uri);
    rc = rc == 0 ? write_certs(dir, CA_READ_ROOT, ca, NULL, err) : rc;
    rc = rc == 0 ? write_key(dir, CA_READ_KEY, key, err) : rc;
    rc = rc == 0 ? write_certs(dir, CA_READ_CHAIN, leaf, ca, err) : rc;
    X509_free(leaf);
    EVP_PKEY_free(key);
    close(lock);
    return rc;
}

static int issue(OSSL_LIB_CTX *lib, const char *ca_dir, const char *out_dir, const struct request *r,
                 char *err) {
    char cert_path[PATH_MAX], key_path[PATH_MAX];
    if (!ca_read_join(cert_path, sizeof cert_path, ca_dir, CA_READ_ROOT) ||
        !ca_read_join(key_path, sizeof key_path, ca_dir, CA_READ_CA_KEY))
        return ca_read_fail(err, "%s: name too long", ca_dir);
    X509 *ca = ca_read_cert(lib, cert_path, err);
    EVP_PKEY *key = ca ? ca_read_key(lib, key_path, err) : NULL;
    int rc = ca && key ? 0 : -1;
    if (rc == 0 && X509_check_private_key(ca, key) != 1)
        rc = ca_read_fail(err, "%s: does not belong to %s", key_path, cert_path);
    if (rc == 0 && X509_cmp_current_time(X509_get0_notAfter(ca)) <= 0)
        rc = ca_read_fail(err, "%s: the CA's certificate has expired", cert_path);
    rc = rc == 0 ? check_uri(ca, r->uri, err) : rc;
    rc = rc == 0 ? write_identity(lib, out_dir, ca, key, r, err) : rc;
    EVP_PKEY_free(key);
    X509_free(ca);
    return rc;
}

int ca_issue(const char *ca_dir, const char *out_dir, const char *spiffe_uri, const char *const *names,
             size_t n, long lifetime, char *err) {
    const struct request r = {spiffe_uri, names, n, lifetime > 0 ? lifetime : CA_LEAF_SECONDS};
    OSSL_LIB_CTX *lib = ca_read_library();
    int rc = lib ? issue(lib, ca_dir, out_dir, &r, err) : ca_read_fail(err, "out of memory");
    return rc;
}
