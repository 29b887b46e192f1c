/* ca_read.c - the embedded certificate authority's reading half: what a file holds, whether it is due.
 * Writes nothing. */
#include "ca.h"
#include "ca_read.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

int ca_read_fail(char *err, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err, CA_ERROR_MAX, fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return -1;
}

/* Kept for the life of the process: what is looked up in a context may be remembered by its address. */
static OSSL_LIB_CTX *library;

static void make_library(void) {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    ERR_clear_error();
    library = OSSL_LIB_CTX_new();
}

OSSL_LIB_CTX *ca_read_library(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_library);
    return library;
}

bool ca_read_join(char *path, size_t size, const char *dir, const char *name) {
    int n = snprintf(path, size, "%s/%s", dir, name);
    return n > 0 && (size_t)n < size;
}

static BIO *open_file(const char *path, char *err) {
    struct stat st;
    const char *why = stat(path, &st) != 0  ? strerror(errno)
                      : S_ISREG(st.st_mode) ? NULL
                                            : "is no regular file";
    BIO *in = why ? NULL : BIO_new_file(path, "re");
    if (!in)
        ca_read_fail(err, "%s: %s", path, why ? why : strerror(errno));
    return in;
}

X509 *ca_read_cert(OSSL_LIB_CTX *lib, const char *path, char *err) {
    BIO *in = open_file(path, err);
    if (!in)
        return NULL;
    X509 *cert = X509_new_ex(lib, NULL);
    if (cert && !PEM_read_bio_X509(in, &cert, NULL, "")) {
        ca_read_fail(err, "%s: holds no readable certificate", path);
        X509_free(cert);
        cert = NULL;
    }
    BIO_free(in);
    return cert;
}

EVP_PKEY *ca_read_key(OSSL_LIB_CTX *lib, const char *path, char *err) {
    BIO *in = open_file(path, err);
    if (!in)
        return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(in, NULL, NULL, "", lib, NULL);
    if (!key)
        ca_read_fail(err, "%s: holds no readable private key", path);
    BIO_free(in);
    return key;
}

bool ca_read_uri(X509 *cert, char *out, size_t size) {
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !out[0]; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI)
            (void)snprintf(out, size, "%.*s", ASN1_STRING_length(name->d.uniformResourceIdentifier),
                           (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier));
    }
    GENERAL_NAMES_free(names);
    return out[0] != '\0';
}

/* Descriptions. */

static void one_line(const X509_NAME *name, char *out, size_t size) {
    BIO *mem = BIO_new(BIO_s_mem());
    out[0] = '\0';
    if (mem && X509_NAME_print_ex(mem, name, 0, XN_FLAG_RFC2253) >= 0) {
        int n = BIO_read(mem, out, (int)size - 1);
        out[n > 0 ? n : 0] = '\0';
    }
    BIO_free(mem);
}

static int64_t seconds_of(const ASN1_TIME *when) {
    struct tm tm;
    return ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static bool name_text(const GENERAL_NAME *name, char *out, size_t size) {
    if (name->type == GEN_DNS)
        return snprintf(out, size, "%.*s", ASN1_STRING_length(name->d.dNSName),
                        (const char *)ASN1_STRING_get0_data(name->d.dNSName)) > 0;
    if (name->type != GEN_IPADD)
        return false;
    int len = ASN1_STRING_length(name->d.iPAddress);
    int family = len == 4 ? AF_INET : AF_INET6;
    return (len == 4 || len == 16) &&
           inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), out, (socklen_t)size);
}

static void list_names(X509 *cert, char *out, size_t size) {
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char text[256];
        if (!name_text(sk_GENERAL_NAME_value(names, i), text, sizeof text))
            continue;
        int n = snprintf(out + used, size - used, "%s%s", used ? ", " : "", text);
        if (n < 0 || (size_t)n >= size - used)
            break; /* cut, but terminated */
        used += (size_t)n;
    }
    GENERAL_NAMES_free(names);
}

static void hex(const unsigned char *bytes, size_t n, char *out, size_t size) {
    out[0] = '\0';
    for (size_t i = 0; i < n && 2 * i + 2 < size; i++)
        (void)snprintf(out + 2 * i, size - 2 * i, "%02x", bytes[i]);
}

static void describe_key(X509 *cert, char *out, size_t size) {
    EVP_PKEY *key = X509_get0_pubkey(cert);
    const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;
    (void)snprintf(out, size, "%s %d", type ? type : "unknown", key ? EVP_PKEY_get_bits(key) : 0);
}

static void describe(X509 *cert, struct ca_description *out) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    (void)ca_read_uri(cert, out->spiffe_id, sizeof out->spiffe_id);
    one_line(X509_get_subject_name(cert), out->subject, sizeof out->subject);
    one_line(X509_get_issuer_name(cert), out->issuer, sizeof out->issuer);
    list_names(cert, out->names, sizeof out->names);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), out->serial, sizeof out->serial);
    if (X509_digest(cert, EVP_sha256(), digest, &n))
        hex(digest, n, out->sha256, sizeof out->sha256);
    describe_key(cert, out->key, sizeof out->key);
    out->not_before = seconds_of(X509_get0_notBefore(cert));
    out->not_after = seconds_of(X509_get0_notAfter(cert));
    out->is_ca = X509_check_ca(cert) == 1;
    ERR_clear_error();
}

/* The key that belongs to a certificate read from dir: key.pem beside a chain, ca-key.pem beside a root. */
static bool key_fits(OSSL_LIB_CTX *lib, const char *dir, const char *name, X509 *cert) {
    char path[PATH_MAX], ignored[CA_ERROR_MAX];
    if (!ca_read_join(path, sizeof path, dir, name))
        return false;
    EVP_PKEY *key = ca_read_key(lib, path, ignored);
    bool fits = key && X509_check_private_key(cert, key) == 1;
    ERR_clear_error();
    EVP_PKEY_free(key);
    return fits;
}

/* Which file stands for path, and which key belongs to it (NULL: path is a file, not a directory). */
static int choose(const char *path, char *file, size_t size, const char **key, char *err) {
    struct stat st;
    bool dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    *key = NULL;
    if (!dir)
        return snprintf(file, size, "%s", path) < (int)size ? 0
                                                            : ca_read_fail(err, "%s: name too long", path);
    *key = CA_READ_KEY;
    if (ca_read_join(file, size, path, CA_READ_CHAIN) && stat(file, &st) == 0)
        return 0;
    *key = CA_READ_CA_KEY;
    if (ca_read_join(file, size, path, CA_READ_ROOT) && stat(file, &st) == 0)
        return 0;
    return ca_read_fail(err, "%s: holds neither " CA_READ_CHAIN " nor " CA_READ_ROOT, path);
}

static int describe_path(OSSL_LIB_CTX *lib, const char *path, struct ca_description *out, char *err) {
    char file[PATH_MAX];
    const char *key;
    if (choose(path, file, sizeof file, &key, err) != 0)
        return -1;
    X509 *cert = ca_read_cert(lib, file, err);
    if (!cert)
        return -1;
    (void)snprintf(out->file, sizeof out->file, "%.*s", (int)sizeof out->file - 1, file);
    describe(cert, out);
    out->has_key = key && key_fits(lib, path, key, cert);
    X509_free(cert);
    return 0;
}

int ca_describe(const char *path, struct ca_description *out, char *err) {
    memset(out, 0, sizeof *out);
    OSSL_LIB_CTX *lib = ca_read_library();
    int rc = lib ? describe_path(lib, path, out, err) : ca_read_fail(err, "out of memory");
    return rc;
}

bool ca_needs_renewal(const char *out_dir) {
    struct ca_description d;
    char ignored[CA_ERROR_MAX], root[PATH_MAX];
    struct stat st;
    if (!ca_read_join(root, sizeof root, out_dir, CA_READ_ROOT) || stat(root, &st) != 0)
        return true;
    if (ca_describe(out_dir, &d, ignored) != 0 || !d.has_key || d.is_ca)
        return true;
    int64_t half = d.not_before + (d.not_after - d.not_before) / 2;
    return (int64_t)time(NULL) >= half;
}
