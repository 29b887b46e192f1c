/* ticket.c - ticket keys and what is looked at before a ticket is accepted. The secret never leaves this
 * file. */
#include "ticket.h"
#include "slimctx.h"
#include "state.h"
#include "verify.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

/* Under lock; the secret of this period and of the one before. */
static struct {
    bool ready;
    uint64_t period;
    uint8_t secret[2][32];
} ring;
/* Under lock; what was derived last: most programs have one context that gives tickets. */
static struct {
    bool made;
    uint8_t label[32];
    struct keys {
        uint8_t name[32], cipher[32], mac[32];
    } keys[2]; /* by the secret's age */
} latest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *aes; /* immutable after once */

/* What a ticket carries beside OpenSSL's own: until when the client's chain is good. */
struct remembered {
    uint8_t trust[32];
    int64_t chain_end;
};

static void start(void) {
    aes = EVP_CIPHER_fetch(slimctx(), "AES-256-CBC", NULL);
    ring.ready = RAND_bytes_ex(slimctx(), ring.secret[0], 32, 0) == 1 &&
                 RAND_bytes_ex(slimctx(), ring.secret[1], 32, 0) == 1;
    ring.period = (uint64_t)time(NULL) / TICKET_PERIOD;
}

static bool mac(const uint8_t key[32], const void *data, size_t len, uint8_t out[32]) {
    size_t n = 0;
    return EVP_Q_mac(slimctx(), "HMAC", NULL, "SHA256", NULL, key, 32, data, len, out, 32, &n) != NULL;
}

/* A clock that was set back uses the newest secret: hashing has no way back. Under lock. */
static bool turn(void) {
    uint64_t now = (uint64_t)time(NULL) / TICKET_PERIOD;
    bool ok = ring.ready;
    while (ok && ring.period < now) {
        uint8_t next[32];
        ok = mac(ring.secret[0], "next period", 11, next);
        memcpy(ring.secret[1], ring.secret[0], 32);
        memcpy(ring.secret[0], next, 32);
        OPENSSL_cleanse(next, sizeof next);
        ring.period++;
        OPENSSL_cleanse(&latest, sizeof latest);
    }
    return ok;
}

static bool make_keys(const uint8_t secret[32], const uint8_t label[32], struct keys *out) {
    uint8_t bound[32];
    bool ok = mac(secret, label, 32, bound) && mac(bound, "name", 4, out->name) &&
              mac(bound, "cipher", 6, out->cipher) && mac(bound, "mac", 3, out->mac);
    OPENSSL_cleanse(bound, sizeof bound);
    return ok;
}

static bool derive(const struct handshake *h, size_t age, struct keys *out) {
    const uint8_t *label = h->context->label;
    pthread_mutex_lock(&lock);
    bool ok = turn();
    if (ok && !(latest.made && memcmp(latest.label, label, 32) == 0)) {
        memcpy(latest.label, label, 32);
        ok = make_keys(ring.secret[0], label, &latest.keys[0]) &&
             make_keys(ring.secret[1], label, &latest.keys[1]);
        latest.made = ok;
    }
    *out = latest.keys[age];
    pthread_mutex_unlock(&lock);
    return ok;
}

static bool set_mac(EVP_MAC_CTX *ctx, struct keys *k) {
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(ctx, params) == 1;
}

static int seal(const struct handshake *h, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *hmac) {
    struct keys k;
    bool ok = derive(h, 0, &k) && RAND_bytes_ex(slimctx(), iv, 16, 0) == 1 &&
              EVP_EncryptInit_ex2(cipher, aes, k.cipher, iv, NULL) && set_mac(hmac, &k);
    memcpy(name, k.name, 16);
    OPENSSL_cleanse(&k, sizeof k);
    return ok ? 1 : -1;
}

/* 1: good, 2: good but of the last period, so a new one is due, 0: not ours any more. */
static int open_(const struct handshake *h, const unsigned char name[16], unsigned char *iv,
                 EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *hmac) {
    struct keys k;
    int rc = 0;
    for (size_t age = 0; age < 2 && rc == 0; age++) {
        if (!derive(h, age, &k))
            rc = -1;
        else if (CRYPTO_memcmp(name, k.name, 16) == 0)
            rc =
                EVP_DecryptInit_ex2(cipher, aes, k.cipher, iv, NULL) && set_mac(hmac, &k) ? (int)age + 1 : -1;
    }
    OPENSSL_cleanse(&k, sizeof k);
    return rc;
}

static int key_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                        EVP_MAC_CTX *hmac, int enc) {
    const struct handshake *h = state_of(ssl);
    if (!h || !aes)
        return -1;
    return enc ? seal(h, name, iv, cipher, hmac) : open_(h, name, iv, cipher, hmac);
}

static int remember(SSL *ssl, void *unused) {
    (void)unused;
    const struct handshake *h = state_of(ssl);
    struct remembered r = {.chain_end = h->chain_end};
    memcpy(r.trust, h->context->cred.trust_digest, 32);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &r, sizeof r);
}

static bool acceptable(struct handshake *h, SSL_SESSION *session) {
    struct remembered r;
    void *data = NULL;
    size_t len = 0;
    char why[HANDSHAKE_ERROR_MAX];
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != sizeof r)
        return false;
    memcpy(&r, data, sizeof r);
    if (memcmp(r.trust, h->context->cred.trust_digest, 32) != 0 ||
        !verify_again(h, SSL_SESSION_get0_peer(session), r.chain_end, why, sizeof why))
        return false;
    h->chain_end = r.chain_end;
    return true;
}

/* A ticket that is not good any more costs a full handshake, never the connection. */
static SSL_TICKET_RETURN inspect(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                                 SSL_TICKET_STATUS status, void *unused) {
    (void)name, (void)name_len, (void)unused;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (!acceptable(state_of(ssl), session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int ticket_setup(SSL_CTX *ctx) {
    (void)pthread_once(&once, start);
    return aes && ring.ready && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, key_callback) &&
           SSL_CTX_set_session_ticket_cb(ctx, remember, inspect, NULL) && SSL_CTX_set_num_tickets(ctx, 0);
}
