/* session.c - a table of at most SESSION_MAX sessions, least recently used first out. A TLS 1.3 session
 * leaves it when it is offered: a ticket that is used twice lets an observer link connections (RFC 8446 C.4).
 */
#include "session.h"
#include "slimctx.h"
#include "verify.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

enum { SESSION_MAX = 256, PER_KEY_MAX = 8 };

struct remembered {
    SSL_SESSION *session; /* NULL: free */
    uint8_t key[32];
    int64_t chain_end;
    uint64_t used; /* of clock_ */
};
static struct remembered table[SESSION_MAX]; /* under lock */
static uint64_t clock_;                      /* under lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A child that offered its parent's single-use sessions too would link the two. */
static void forget_in_child(void) {
    for (size_t i = 0; i < SESSION_MAX; i++)
        table[i].session =
            NULL; /* abandoned like every object of the parent: freeing takes OpenSSL's locks */
}

static void start(void) {
    (void)pthread_atfork(NULL, NULL, forget_in_child);
}

static bool add_string(EVP_MD_CTX *md, const char *s) {
    size_t n = s ? strlen(s) + 1 : 0; /* the length parts one string from the next */
    return EVP_DigestUpdate(md, &n, sizeof n) && EVP_DigestUpdate(md, s ? s : "", n);
}

bool session_key(struct handshake *h, const struct handshake_config *cfg) {
    (void)pthread_once(&once, start);
    EVP_MD *sha256 = EVP_MD_fetch(slimctx(), "SHA256", NULL);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const struct credentials *c = &h->context->cred;
    const uint8_t flags[2] = {h->policy.spiffe, h->policy.insecure};
    bool ok = sha256 && md && EVP_DigestInit_ex2(md, sha256, NULL) &&
              EVP_DigestUpdate(md, c->own_digest, sizeof c->own_digest) &&
              EVP_DigestUpdate(md, c->trust_digest, sizeof c->trust_digest) &&
              EVP_DigestUpdate(md, flags, sizeof flags) && add_string(md, cfg->destination) &&
              add_string(md, cfg->sni) && add_string(md, cfg->trust_domain);
    for (size_t i = 0; ok && i < cfg->name_count; i++)
        ok = add_string(md, cfg->names[i]);
    ok = ok && EVP_DigestFinal_ex(md, h->session_key, NULL);
    EVP_MD_CTX_free(md);
    EVP_MD_free(sha256);
    return ok;
}

static bool matches(const struct remembered *r, const struct handshake *h) {
    return r->session && memcmp(r->key, h->session_key, 32) == 0;
}

static struct remembered *newest(const struct handshake *h) {
    struct remembered *best = NULL;
    for (size_t i = 0; i < SESSION_MAX; i++)
        if (matches(&table[i], h) && (!best || table[i].used > best->used))
            best = &table[i];
    return best;
}

/* The caller owns a reference to what is returned. */
static SSL_SESSION *take(const struct handshake *h, int64_t *chain_end) {
    SSL_SESSION *s = NULL;
    pthread_mutex_lock(&lock);
    struct remembered *r = newest(h);
    if (r) {
        s = r->session;
        *chain_end = r->chain_end;
        r->used = ++clock_;
        if (SSL_SESSION_get_protocol_version(s) >= TLS1_3_VERSION)
            r->session = NULL;
        else if (!SSL_SESSION_up_ref(s))
            s = NULL;
    }
    pthread_mutex_unlock(&lock);
    return s;
}

static void drop(const SSL_SESSION *s) {
    SSL_SESSION *found = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < SESSION_MAX && !found; i++)
        if (table[i].session == s) {
            found = table[i].session;
            table[i].session = NULL;
        }
    pthread_mutex_unlock(&lock);
    SSL_SESSION_free(found);
}

static bool still_good(const struct handshake *h, const SSL_SESSION *s, int64_t chain_end) {
    char why[HANDSHAKE_ERROR_MAX];
    /* SSL_SESSION_get0_peer takes no const, but only reads. */
    X509 *leaf = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)s);
    long age = (long)time(NULL) - SSL_SESSION_get_time(s);
    return age >= 0 && age < SSL_SESSION_get_timeout(s) && verify_again(h, leaf, chain_end, why, sizeof why);
}

void session_offer(struct handshake *h) {
    int64_t end = 0;
    SSL_SESSION *s;
    while ((s = take(h, &end)) != NULL) {
        if (still_good(h, s, end) && SSL_set_session(h->ssl, s)) {
            h->chain_end = end;
            SSL_SESSION_free(s);
            return;
        }
        drop(s);
        SSL_SESSION_free(s);
    }
    ERR_clear_error();
}

/* Where a new session goes: a free place, unless its key has its share already; else the oldest. */
static struct remembered *place(const struct handshake *h) {
    struct remembered *free_ = NULL, *oldest = NULL, *oldest_same = NULL;
    unsigned same = 0;
    for (size_t i = 0; i < SESSION_MAX; i++) {
        struct remembered *r = &table[i];
        if (!r->session) {
            free_ = r;
            continue;
        }
        if (!oldest || r->used < oldest->used)
            oldest = r;
        if (!matches(r, h))
            continue;
        same++;
        if (!oldest_same || r->used < oldest_same->used)
            oldest_same = r;
    }
    return same >= PER_KEY_MAX ? oldest_same : free_ ? free_ : oldest;
}

int session_captured(SSL *ssl, SSL_SESSION *session) {
    struct handshake *h = state_of(ssl);
    if (!h || !h->resume || !SSL_SESSION_is_resumable(session))
        return 0;
    pthread_mutex_lock(&lock);
    struct remembered *r = place(h);
    SSL_SESSION *old = r->session;
    r->session = session; /* returning 1 keeps OpenSSL's reference for us */
    memcpy(r->key, h->session_key, 32);
    r->chain_end = h->chain_end;
    r->used = ++clock_;
    pthread_mutex_unlock(&lock);
    SSL_SESSION_free(old);
    h->tickets++;
    return 1;
}

unsigned session_count(const struct handshake *h) {
    unsigned n = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < SESSION_MAX; i++)
        n += matches(&table[i], h);
    pthread_mutex_unlock(&lock);
    return n;
}
