/* peer.c - reads identities out of certificates and compares them with what is expected. Touches no
 * connection, no file and no global state. */
#include "peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

static const char SCHEME[] = "spiffe://";
enum { SCHEME_LEN = sizeof SCHEME - 1, URI_MAX = 2048 };

/* Expectations. */

static size_t size_of_strings(const struct handshake_config *cfg) {
    size_t n = cfg->trust_domain ? strlen(cfg->trust_domain) + 1 : 1;
    for (size_t i = 0; i < cfg->name_count; i++)
        n += strlen(cfg->names[i]) + 1;
    return n;
}

static char *append(char *to, const char *from, const char **where) {
    size_t n = strlen(from) + 1;
    memcpy(to, from, n);
    *where = to;
    return to + n;
}

int peer_policy_copy(struct peer_policy *p, const struct handshake_config *cfg) {
    size_t table = cfg->name_count * sizeof(char *);
    p->block = malloc(table + size_of_strings(cfg));
    if (!p->block)
        return -1;
    p->server = cfg->server;
    p->spiffe = cfg->spiffe;
    p->insecure = cfg->insecure_skip_verify && !cfg->server && !cfg->spiffe;
    p->client_auth = cfg->client_auth;
    p->names = p->block;
    p->name_count = cfg->name_count;
    char *text = (char *)p->block + table;
    text = append(text, cfg->trust_domain ? cfg->trust_domain : "", &p->trust_domain);
    for (size_t i = 0; i < cfg->name_count; i++)
        text = append(text, cfg->names[i], &p->names[i]);
    return 0;
}

void peer_policy_free(struct peer_policy *p) {
    free(p->block);
    memset(p, 0, sizeof *p);
}

/* Names in certificates. */

/* Copies the first URI and returns how many there are; a URI that is too long or holds anything but
 * printable ASCII (a NUL above all) becomes empty, which matches nothing. */
static int read_uris(const GENERAL_NAMES *names, char *out, size_t size) {
    int count = 0;
    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI || count++ > 0)
            continue;
        const unsigned char *text = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        size_t n = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
        bool clean = n < size;
        for (size_t j = 0; clean && j < n; j++)
            clean = text[j] > ' ' && text[j] < 0x7f;
        if (!clean)
            continue;
        memcpy(out, text, n);
        out[n] = '\0';
    }
    return count;
}

static void subject_line(X509 *leaf, char *out, size_t size) {
    BIO *mem = BIO_new(BIO_s_mem());
    int n = 0;
    if (mem && X509_NAME_print_ex(mem, X509_get_subject_name(leaf), 0, XN_FLAG_RFC2253) >= 0)
        n = BIO_read(mem, out, (int)size - 1);
    out[n > 0 ? n : 0] = '\0';
    BIO_free(mem);
}

static void first_dns(const GENERAL_NAMES *names, char *out, size_t size) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        (void)snprintf(out, size, "%.*s", ASN1_STRING_length(name->d.dNSName),
                       (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        return;
    }
}

void peer_name(X509 *leaf, char out[HANDSHAKE_NAME_MAX]) {
    char uri[URI_MAX];
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    out[0] = '\0';
    if (read_uris(names, uri, sizeof uri) == 1)
        (void)snprintf(out, HANDSHAKE_NAME_MAX, "%.*s", HANDSHAKE_NAME_MAX - 1, uri);
    if (!out[0])
        subject_line(leaf, out, HANDSHAKE_NAME_MAX);
    if (!out[0])
        first_dns(names, out, HANDSHAKE_NAME_MAX);
    if (!out[0])
        (void)snprintf(out, HANDSHAKE_NAME_MAX, "a certificate without a name");
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    GENERAL_NAMES_free(names);
}

/* SPIFFE. */

static const char *skip_part(const char *p, const char *prefix) {
    size_t n = strlen(prefix);
    if (!p || strncmp(p, prefix, n) != 0)
        return NULL;
    p += n;
    n = strcspn(p, "/");
    return n > 0 ? p + n : NULL;
}

bool peer_is_workload(const char *uri, const char *trust_domain) {
    size_t n = strlen(trust_domain);
    if (n == 0 || strncmp(uri, SCHEME, SCHEME_LEN) != 0 || strncmp(uri + SCHEME_LEN, trust_domain, n) != 0)
        return false;
    const char *end = skip_part(skip_part(uri + SCHEME_LEN + n, "/ns/"), "/sa/");
    return end && *end == '\0';
}

static bool listed(const struct peer_policy *p, const char *uri) {
    for (size_t i = 0; i < p->name_count; i++)
        if (strcmp(p->names[i], uri) == 0)
            return true;
    return false;
}

static bool spiffe_shape(const struct peer_policy *p, int uris, const char *uri, char *why, size_t size) {
    if (uris == 0)
        (void)snprintf(why, size, "peer's certificate holds no SPIFFE identity");
    else if (uris > 1)
        (void)snprintf(why, size,
                       "peer's certificate holds %d URI names where a SPIFFE identity is exactly one", uris);
    else if (!peer_is_workload(uri, p->trust_domain))
        (void)snprintf(why, size, "peer's identity is not of the form spiffe://%s/ns/NAMESPACE/sa/ACCOUNT",
                       p->trust_domain);
    else
        return true;
    return false;
}

static bool accepts_spiffe(const struct peer_policy *p, X509 *leaf, int uris, const char *uri, char *why,
                           size_t size) {
    if (!spiffe_shape(p, uris, uri, why, size))
        return false;
    if (X509_get_extension_flags(leaf) & EXFLAG_CA) {
        (void)snprintf(why, size, "peer's certificate is a CA's, not a workload's");
        return false;
    }
    if (p->server || p->name_count == 0 || listed(p, uri))
        return true;
    (void)snprintf(why, size, "peer has the wrong identity: expected %.120s%s", p->names[0],
                   p->name_count > 1 ? " or another of the list" : "");
    return false;
}

/* Names of SIMPLE and MUTUAL. */

static bool is_address(const char *text) {
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool name_matches(X509 *leaf, const char *name, int uris, const char *uri) {
    if (strstr(name, "://"))
        return uris == 1 && strcmp(uri, name) == 0;
    if (is_address(name))
        return X509_check_ip_asc(leaf, name, 0) == 1;
    return X509_check_host(leaf, name, strlen(name), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool accepts_name(const struct peer_policy *p, X509 *leaf, int uris, const char *uri, char *why,
                         size_t size) {
    for (size_t i = 0; i < p->name_count; i++)
        if (name_matches(leaf, p->names[i], uris, uri))
            return true;
    if (p->name_count == 0)
        (void)snprintf(why, size, "no name is known to check the peer's certificate against");
    else
        (void)snprintf(why, size, "peer's certificate is not for %.120s%s", p->names[0],
                       p->name_count > 1 ? " nor another of the list" : "");
    return false;
}

bool peer_accepts(const struct peer_policy *p, X509 *leaf, char *why, size_t size) {
    if (p->insecure)
        return true;
    char uri[URI_MAX];
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int uris = read_uris(names, uri, sizeof uri);
    GENERAL_NAMES_free(names);
    bool ok = p->spiffe   ? accepts_spiffe(p, leaf, uris, uri, why, size)
              : p->server ? true /* the chain alone says who may come */
                          : accepts_name(p, leaf, uris, uri, why, size);
    ERR_clear_error();
    return ok;
}
