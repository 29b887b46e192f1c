/* verify.c - verification of the peer's chain and identity, and its repetition at resumption. The only
 * state is a bounded table of chains that X509_verify_cert accepted; identities are compared every time. */
#include "verify.h"
#include "slimctx.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

/* Chains known to be good: a direct-mapped table, so a new chain replaces at most one other. */
enum { KNOWN_MAX = 256 };
struct known {
    uint8_t key[32]; /* SHA-256 over trust generation, direction and every certificate that was sent */
    int64_t begin, end;
};
static struct known known[KNOWN_MAX];
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t known_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256; /* immutable after known_once */

static void known_init(void) {
    sha256 = EVP_MD_fetch(slimctx(), "SHA256", NULL);
}

static bool add_cert(EVP_MD_CTX *md, X509 *cert) {
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    bool ok = len > 0 && EVP_DigestUpdate(md, &len, sizeof len) && EVP_DigestUpdate(md, der, (size_t)len);
    OPENSSL_free(der);
    return ok;
}

static bool known_key(const struct handshake *h, X509_STORE_CTX *ctx, uint8_t key[32]) {
    (void)pthread_once(&known_once, known_init);
    EVP_MD_CTX *md = sha256 ? EVP_MD_CTX_new() : NULL;
    const uint8_t direction = h->policy.server;
    bool ok = md && EVP_DigestInit_ex2(md, sha256, NULL) &&
              EVP_DigestUpdate(md, h->context->cred.trust_digest, 32) &&
              EVP_DigestUpdate(md, &direction, 1) && add_cert(md, X509_STORE_CTX_get0_cert(ctx));
    /* The leaf comes twice, which does no harm: the rest is what may help to build the chain. */
    const STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(ctx);
    for (int i = 0; ok && i < sk_X509_num(sent); i++)
        ok = add_cert(md, sk_X509_value(sent, i));
    ok = ok && EVP_DigestFinal_ex(md, key, NULL);
    EVP_MD_CTX_free(md);
    return ok;
}

static int64_t known_until(const uint8_t key[32], int64_t now) {
    struct known *slot = &known[key[0] % KNOWN_MAX];
    pthread_mutex_lock(&known_lock);
    bool hit = memcmp(slot->key, key, 32) == 0 && slot->begin <= now && now < slot->end;
    int64_t end = hit ? slot->end : 0;
    pthread_mutex_unlock(&known_lock);
    return end;
}

static void known_add(const uint8_t key[32], int64_t begin, int64_t end) {
    struct known *slot = &known[key[0] % KNOWN_MAX];
    pthread_mutex_lock(&known_lock);
    memcpy(slot->key, key, 32);
    slot->begin = begin;
    slot->end = end;
    pthread_mutex_unlock(&known_lock);
}

/* When the verified chain as a whole begins and ceases to be good. */
static void chain_bounds(X509_STORE_CTX *ctx, const struct handshake *h, int64_t *begin, int64_t *end) {
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    *begin = 0;
    *end = h->context->cred.trust_end;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t from = credentials_seconds(X509_get0_notBefore(sk_X509_value(chain, i)));
        int64_t to = credentials_seconds(X509_get0_notAfter(sk_X509_value(chain, i)));
        *begin = from > *begin ? from : *begin;
        *end = to < *end ? to : *end;
    }
}

static bool chain_good(struct handshake *h, X509_STORE_CTX *ctx) {
    uint8_t key[32];
    bool keyed = known_key(h, ctx, key);
    h->chain_end = keyed ? known_until(key, (int64_t)time(NULL)) : 0;
    if (h->chain_end) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return true;
    }
    if (X509_verify_cert(ctx) != 1)
        return false;
    int64_t begin;
    chain_bounds(ctx, h, &begin, &h->chain_end);
    if (keyed)
        known_add(key, begin, h->chain_end);
    return true;
}

int verify_chain(X509_STORE_CTX *ctx, void *unused) {
    (void)unused;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct handshake *h = state_of(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    if (!h || !leaf)
        return 0;
    peer_name(leaf, h->peer);
    if (h->policy.insecure) {
        h->chain_end = INT64_MAX;
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    if (!chain_good(h, ctx)) {
        h->refused = true;
        return 0;
    }
    if (peer_accepts(&h->policy, leaf, h->reason, sizeof h->reason))
        return 1;
    h->refused = true;
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
    return 0;
}

bool verify_again(const struct handshake *h, X509 *leaf, int64_t chain_end, char *why, size_t size) {
    const struct peer_policy *p = &h->policy;
    int64_t now = (int64_t)time(NULL);
    if (!leaf) {
        bool fine = p->server && p->client_auth != CLIENT_AUTH_REQUIRED;
        if (!fine)
            (void)snprintf(why, size, "peer offered no certificate in the session that it resumed");
        return fine;
    }
    if (p->insecure)
        return true;
    if (now >= chain_end || now >= credentials_seconds(X509_get0_notAfter(leaf))) {
        (void)snprintf(why, size, "peer's certificate has expired since the session began");
        return false;
    }
    return peer_accepts(p, leaf, why, size);
}
