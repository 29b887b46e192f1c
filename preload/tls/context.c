/* context.c - makes SSL_CTX, keeps the few that are in use, and replaces one when its files have changed and
 * the new ones fit together. Never runs a handshake. */
#include "context.h"
#include "slimctx.h"
#include "session.h"
#include "state.h"
#include "ticket.h"
#include "tls_log.h"
#include "verify.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

enum { ENTRY_MAX = 32, LOOK_EVERY_MS = 1000, TRY_AGAIN_MS = 5000, PSK_DHE_KE = 1 /* RFC 8446 4.2.9 */ };

static const char TLS13_SUITES[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char TLS12_SUITES[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                   "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                   "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* One configuration's context. All of it under lock. */
struct entry {
    struct entry *next;
    struct context *live;
    struct credentials_files files;
    struct credentials_stamp stamp;   /* of what is live */
    struct credentials_stamp refused; /* of what was looked at last and not taken */
    uint64_t refused_at;              /* 0: never */
    uint64_t looked, used;            /* milliseconds of the monotonic clock */
    char key[];                       /* what differs between contexts */
};
static struct entry *entries;
static bool frozen; /* under lock: no file may be looked at any more */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void) {
    /* libssl would read openssl.cnf on its own otherwise; libctx.c has seen to libcrypto. */
    if (slimctx())
        (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

static int fail(char *error, const char *what) {
    (void)snprintf(error, HANDSHAKE_ERROR_MAX, "%s", what);
    ERR_clear_error();
    return -1;
}

static uint64_t milliseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Callbacks that need no file of their own. */

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned int in_len, void *unused) {
    static const unsigned char ISTIO[] = {5, 'i', 's', 't', 'i', 'o'};
    (void)ssl, (void)unused;
    for (unsigned int i = 0; i < in_len; i += in[i] + 1u)
        if (in[i] == 5 && in_len - i >= sizeof ISTIO && memcmp(in + i, ISTIO, sizeof ISTIO) == 0) {
            *out = in + i + 1;
            *out_len = 5;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK; /* never a reason to fail */
}

/* RFC 8446 D.4: a client that sends a session id gets the change_cipher_spec it hopes for. 4.2.9: one that
 * names no PSK mode with (EC)DHE gets no ticket. */
static int client_hello(SSL *ssl, int *alert, void *unused) {
    (void)alert, (void)unused;
    struct handshake *h = state_of(ssl);
    const unsigned char *data;
    size_t len;
    if (!h)
        return SSL_CLIENT_HELLO_SUCCESS;
    h->spoke_tls = true;
    if (SSL_client_hello_get0_session_id(ssl, &data) > 0)
        SSL_set_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    h->takes_tickets = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk_kex_modes, &data, &len) == 1 &&
                       len > 1 && memchr(data + 1, PSK_DHE_KE, len - 1) != NULL;
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* A line is LABEL, client random, secret; only the two application secrets are of interest. */
static void key_line(const SSL *ssl, const char *line) {
    struct handshake *h = state_of(ssl);
    int which = strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0   ? 0
                : strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0 ? 1
                                                                     : -1;
    const char *hex = strrchr(line, ' ');
    if (!h || which < 0 || !hex)
        return;
    size_t n = 0;
    for (hex++; hex[0] && hex[1] && n < sizeof h->secret[0]; hex += 2) {
        int high = hex_digit(hex[0]), low = hex_digit(hex[1]);
        if (high < 0 || low < 0)
            return;
        h->secret[which][n++] = (uint8_t)(high << 4 | low);
    }
    h->secret_len[which] = n;
}

/* Making one. */

static bool set_protocol(SSL_CTX *ctx) {
    SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_timeout(ctx, TICKET_PERIOD);
    SSL_CTX_set_keylog_callback(ctx, key_line);
    SSL_CTX_set_cert_verify_callback(ctx, verify_chain, NULL);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
           SSL_CTX_set_ciphersuites(ctx, TLS13_SUITES) && SSL_CTX_set_cipher_list(ctx, TLS12_SUITES) &&
           SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
}

static bool set_role(SSL_CTX *ctx, const struct handshake_config *cfg, const uint8_t label[32]) {
    if (!cfg->server) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, session_captured);
        return true;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_client_hello_cb(ctx, client_hello, NULL);
    if (cfg->alpn_istio)
        SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    return SSL_CTX_set_session_id_context(ctx, label, 32) && ticket_setup(ctx);
}

static bool set_credentials(SSL_CTX *ctx, const struct credentials *c) {
    SSL_CTX_set1_cert_store(ctx, c->roots);
    if (!c->key)
        return true;
    return SSL_CTX_use_certificate(ctx, c->leaf) && SSL_CTX_use_PrivateKey(ctx, c->key) &&
           (sk_X509_num(c->chain) == 0 || SSL_CTX_set1_chain(ctx, c->chain));
}

static bool make_label(const struct handshake_config *cfg, struct context *c) {
    EVP_MD *sha256 = EVP_MD_fetch(slimctx(), "SHA256", NULL);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const char *domain = cfg->trust_domain ? cfg->trust_domain : "";
    const uint8_t spiffe = cfg->spiffe;
    bool ok = sha256 && md && EVP_DigestInit_ex2(md, sha256, NULL) &&
              EVP_DigestUpdate(md, c->cred.trust_digest, 32) &&
              EVP_DigestUpdate(md, c->cred.id, strlen(c->cred.id) + 1) && EVP_DigestUpdate(md, &spiffe, 1) &&
              EVP_DigestUpdate(md, domain, strlen(domain)) && EVP_DigestFinal_ex(md, c->label, NULL);
    EVP_MD_CTX_free(md);
    EVP_MD_free(sha256);
    return ok;
}

static struct context *make(const struct handshake_config *cfg, const struct credentials_files *files,
                            char *error) {
    struct context *c = calloc(1, sizeof *c);
    if (!c) {
        fail(error, "out of memory");
        return NULL;
    }
    c->refs = 1;
    if (credentials_load(files, &c->cred, error) != 0) {
        free(c);
        return NULL;
    }
    c->ssl = SSL_CTX_new_ex(slimctx(), NULL, cfg->server ? TLS_server_method() : TLS_client_method());
    if (c->ssl && make_label(cfg, c) && set_protocol(c->ssl) && set_role(c->ssl, cfg, c->label) &&
        set_credentials(c->ssl, &c->cred))
        return c;
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    (void)snprintf(error, HANDSHAKE_ERROR_MAX, "%.256s: cannot be used for TLS: %.96s", files->chain,
                   why ? why : "out of memory");
    ERR_clear_error();
    context_put(c);
    return NULL;
}

void context_put(struct context *c) {
    if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    SSL_CTX_free(c->ssl);
    credentials_free(&c->cred);
    free(c);
}

/* Finding one. */

static const char *or_empty(const char *s) {
    return s ? s : "";
}

/* To be freed; NULL: out of memory. Long names are too much for the stack of a small thread. */
static char *make_key(const struct handshake_config *cfg) {
    char *out = NULL;
    int n = asprintf(&out, "%d%d%d\n%s\n%s\n%s\n%s\n%s\n%s\n%s", cfg->server, cfg->spiffe, cfg->alpn_istio,
                     or_empty(cfg->identity_dir), or_empty(cfg->namespace_), or_empty(cfg->account),
                     or_empty(cfg->certificate), or_empty(cfg->private_key), or_empty(cfg->ca_file),
                     or_empty(cfg->trust_domain));
    return n > 0 ? out : NULL;
}

static void free_entry(struct entry *e) {
    context_put(e->live);
    free(e);
}

/* Handshakes under way keep their context; only the way to it goes. */
static void trim(void) {
    unsigned count = 0;
    struct entry **oldest = NULL;
    for (struct entry **e = &entries; *e; e = &(*e)->next) {
        count++;
        if (!oldest || (*e)->used < (*oldest)->used)
            oldest = e;
    }
    if (count < ENTRY_MAX || !oldest)
        return;
    struct entry *gone = *oldest;
    *oldest = gone->next;
    free_entry(gone);
}

static struct entry *find(const char *key) {
    for (struct entry *e = entries; e; e = e->next)
        if (strcmp(e->key, key) == 0)
            return e;
    return NULL;
}

static struct entry *add(const struct handshake_config *cfg, const char *key, char *error) {
    size_t len = strlen(key);
    struct entry *e = calloc(1, sizeof *e + len + 1);
    if (!e) {
        fail(error, "out of memory");
        return NULL;
    }
    memcpy(e->key, key, len + 1);
    if (credentials_files(cfg, &e->files, error) == 0) {
        credentials_stamp(&e->files, &e->stamp); /* before reading: a later change shows */
        e->live = make(cfg, &e->files, error);
    }
    if (!e->live) {
        free(e);
        return NULL;
    }
    trim();
    e->next = entries;
    entries = e;
    return e;
}

static bool same_stamp(const struct credentials_stamp *a, const struct credentials_stamp *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static void take(struct entry *e, struct context *fresh, const struct credentials_files *files,
                 const struct credentials_stamp *stamp) {
    struct context *old = e->live;
    e->live = fresh;
    e->files = *files;
    e->stamp = *stamp;
    e->refused_at = 0;
    tls_log(LOG_LEVEL_INFO, "credentials reloaded from %s%s%s", files->chain[0] ? files->chain : files->roots,
            fresh->cred.id[0] ? ": now " : "", fresh->cred.id);
    context_put(old);
}

static void refuse(struct entry *e, const struct credentials_stamp *stamp, uint64_t now, const char *error) {
    bool said = e->refused_at && same_stamp(stamp, &e->refused);
    e->refused = *stamp;
    e->refused_at = now;
    if (!said)
        tls_log(LOG_LEVEL_WARN, "changed credentials do not fit together, the old ones stay: %s", error);
}

/* Files that did not do may do later without having been touched: a certificate whose time comes. */
static bool due(const struct entry *e, const struct credentials_stamp *stamp, uint64_t now) {
    if (same_stamp(stamp, &e->stamp))
        return false;
    return !e->refused_at || !same_stamp(stamp, &e->refused) || now - e->refused_at >= TRY_AGAIN_MS;
}

/* Prepare, then commit or keep the old; one line per set of files that was refused. */
static void reload(struct entry *e, const struct handshake_config *cfg, uint64_t now) {
    struct credentials_files *files = malloc(sizeof *files);
    struct credentials_stamp stamp;
    char error[HANDSHAKE_ERROR_MAX];
    if (files && credentials_files(cfg, files, error) == 0) {
        credentials_stamp(files, &stamp);
        bool try_ = due(e, &stamp, now);
        struct context *fresh = try_ ? make(cfg, files, error) : NULL;
        if (fresh)
            take(e, fresh, files, &stamp);
        else if (try_)
            refuse(e, &stamp, now, error);
    }
    free(files);
}

void context_freeze(void) {
    pthread_mutex_lock(&lock);
    frozen = true;
    pthread_mutex_unlock(&lock);
}

struct context *context_get(const struct handshake_config *cfg, char *error) {
    char *key = make_key(cfg);
    (void)pthread_once(&once, start);
    if (!key || !slimctx()) {
        fail(error, key ? "OpenSSL cannot be initialised" : "out of memory");
        free(key);
        return NULL;
    }
    struct context *c = NULL;
    uint64_t now = milliseconds();
    pthread_mutex_lock(&lock);
    struct entry *e = find(key);
    if (!e && frozen)
        fail(error, "the program's seccomp filter forbids to read certificates now");
    else if (!e)
        e = add(cfg, key, error);
    else if (!frozen && now - e->looked >= LOOK_EVERY_MS)
        reload(e, cfg, now);
    else
        now = e->looked; /* nothing was looked at */
    if (e) {
        e->looked = now;
        e->used = milliseconds();
        c = e->live;
        __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&lock);
    free(key);
    return c;
}
