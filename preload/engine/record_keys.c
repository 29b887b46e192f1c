/* record_keys.c - traffic keys out of secrets: TLS 1.3 (RFC 8446 7.2, 7.3) and TLS 1.2 (RFC 5246 6.3).
 * Derives and wipes; seals nothing. Whatever is left of a secret on the stack is cleansed. */
#include "record_parts.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "libctx.h"

/* Fetched once; immutable once `once` has run, hence no lock. */
static EVP_KDF *tls13_kdf, *tls12_prf;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void) {
    OSSL_LIB_CTX *ctx = engine_libctx();
    if (!ctx)
        return;
    tls13_kdf = EVP_KDF_fetch(ctx, "TLS13-KDF", NULL);
    tls12_prf = EVP_KDF_fetch(ctx, "TLS1-PRF", NULL);
}

static size_t key_len(uint8_t cipher) {
    return cipher == RECORD_AES_128_GCM ? 16 : 32;
}

static size_t tls13_secret_len(uint8_t cipher) {
    return cipher == RECORD_AES_256_GCM ? 48 : 32;
}

static bool known(uint8_t cipher) {
    return cipher >= RECORD_AES_128_GCM && cipher <= RECORD_CHACHA20_POLY1305;
}

static int derive(EVP_KDF *kdf, uint8_t *out, size_t len, const OSSL_PARAM *params) {
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    return ok ? 0 : RECORD_INTERNAL;
}

/* OSSL_PARAM has no const; the KDFs only read what they are given. */
static void *readable(const void *p) {
    return (void *)(uintptr_t)p;
}

static int expand_label(const uint8_t *secret, size_t secret_len, const char *label, uint8_t *out,
                        size_t len) {
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    char sha256[] = "SHA256", sha384[] = "SHA384", prefix[] = "tls13 ";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, secret_len == 48 ? sha384 : sha256, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, readable(secret), secret_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, strlen(prefix)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, readable(label), strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    (void)pthread_once(&once, fetch);
    return derive(tls13_kdf, out, len, params);
}

/* An id that no other key has, in this process or in any that shares its slots. 0 means none. */
static int new_id(struct record_keys *k) {
    OSSL_LIB_CTX *ctx = engine_libctx();
    uint8_t id[sizeof k->key_id];
    do {
        if (!ctx || RAND_bytes_ex(ctx, id, sizeof id, 0) != 1)
            return RECORD_INTERNAL;
        memcpy(&k->key_id, id, sizeof id);
    } while (!k->key_id);
    return 0;
}

void record_wipe(struct record_keys *k) {
    OPENSSL_cleanse(k, sizeof *k);
}

int record_keys_tls13(struct record_keys *k, uint8_t cipher, const uint8_t *secret, size_t secret_len) {
    struct record_keys made = {.version = 0x0304, .cipher = cipher, .secret_len = (uint8_t)secret_len};
    int rc = RECORD_INTERNAL;
    if (known(cipher) && secret_len == tls13_secret_len(cipher)) {
        memcpy(made.secret, secret, secret_len);
        rc = expand_label(secret, secret_len, "key", made.key, key_len(cipher));
        if (!rc)
            rc = expand_label(secret, secret_len, "iv", made.iv, sizeof made.iv);
        if (!rc)
            rc = new_id(&made);
    }
    if (rc)
        record_wipe(&made);
    *k = made;
    record_wipe(&made);
    return rc;
}

static int key_block(uint8_t *block, size_t len, bool sha384, const uint8_t *master, size_t master_len,
                     const uint8_t *client_random, const uint8_t *server_random) {
    static const char label[] = "key expansion";
    char name256[] = "SHA256", name384[] = "SHA384";
    uint8_t seed[sizeof label - 1 + 64];
    memcpy(seed, label, sizeof label - 1);
    memcpy(seed + sizeof label - 1, server_random, 32);
    memcpy(seed + sizeof label - 1 + 32, client_random, 32);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha384 ? name384 : name256, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, readable(master), master_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    (void)pthread_once(&once, fetch);
    return derive(tls12_prf, block, len, params);
}

/* One direction's share: keys of both sides come first, then the IVs (AEADs have no MAC keys). */
static int from_block(struct record_keys *k, uint8_t cipher, const uint8_t *key, const uint8_t *iv,
                      size_t iv_len) {
    *k = (struct record_keys){.version = 0x0303, .cipher = cipher};
    memcpy(k->key, key, key_len(cipher));
    memcpy(k->iv, iv, iv_len);
    return new_id(k);
}

int record_keys_tls12(struct record_keys *client_write, struct record_keys *server_write, uint8_t cipher,
                      bool sha384, const uint8_t *master, size_t master_len, const uint8_t client_random[32],
                      const uint8_t server_random[32]) {
    uint8_t block[2 * 32 + 2 * 12];
    size_t key = key_len(cipher), iv = cipher == RECORD_CHACHA20_POLY1305 ? 12 : 4;
    int rc = RECORD_INTERNAL;
    if (known(cipher))
        rc = key_block(block, 2 * key + 2 * iv, sha384, master, master_len, client_random, server_random);
    if (!rc)
        rc = from_block(client_write, cipher, block, block + 2 * key, iv);
    if (!rc)
        rc = from_block(server_write, cipher, block + key, block + 2 * key + iv, iv);
    if (rc) {
        record_wipe(client_write);
        record_wipe(server_write);
    }
    OPENSSL_cleanse(block, sizeof block);
    return rc;
}

/* The table's update (RFC 8446 7.2). On failure the old generation stays, so the caller can still say
 * goodbye under it. */
int record_keys_update(struct record_keys *k) {
    struct record_keys next;
    uint8_t secret[sizeof k->secret];
    if (k->version != 0x0304 || !known(k->cipher) || k->secret_len != tls13_secret_len(k->cipher))
        return RECORD_INTERNAL;
    int rc = expand_label(k->secret, k->secret_len, "traffic upd", secret, k->secret_len);
    if (!rc)
        rc = record_keys_tls13(&next, k->cipher, secret, k->secret_len);
    if (!rc) {
        record_cache_forget(k->key_id);
        *k = next;
        record_wipe(&next);
    }
    OPENSSL_cleanse(secret, sizeof secret);
    return rc;
}
