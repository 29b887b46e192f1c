/* aead_evp.c - AEADs through OpenSSL's EVP. A schedule is an EVP_CIPHER_CTX that has its key. Only the
 * private library context is used, and each cipher is fetched once per process: a fetch costs more than
 * many records. */
#include "aead.h"

#include <limits.h>
#include <pthread.h>

#include <openssl/evp.h>

#include "libctx.h"
#include "record.h"

/* By enum record_cipher. Immutable once `once` has run, hence no lock. */
static EVP_CIPHER *ciphers[RECORD_CHACHA20_POLY1305 + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void) {
    OSSL_LIB_CTX *ctx = engine_libctx();
    if (!ctx)
        return;
    ciphers[RECORD_AES_128_GCM] = EVP_CIPHER_fetch(ctx, "AES-128-GCM", NULL);
    ciphers[RECORD_AES_256_GCM] = EVP_CIPHER_fetch(ctx, "AES-256-GCM", NULL);
    ciphers[RECORD_CHACHA20_POLY1305] = EVP_CIPHER_fetch(ctx, "ChaCha20-Poly1305", NULL);
}

static int evp_schedule_rekey(void *schedule, uint8_t cipher, const uint8_t *key) {
    (void)pthread_once(&once, fetch);
    if (cipher > RECORD_CHACHA20_POLY1305 || !ciphers[cipher])
        return RECORD_INTERNAL;
    /* Which direction does not matter yet: the key schedule is the same for both. */
    return EVP_EncryptInit_ex2(schedule, ciphers[cipher], key, NULL, NULL) == 1 ? 0 : RECORD_INTERNAL;
}

static void *evp_schedule_new(uint8_t cipher, const uint8_t *key) {
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || evp_schedule_rekey(ctx, cipher, key)) {
        EVP_CIPHER_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static void evp_schedule_free(void *schedule) {
    EVP_CIPHER_CTX_free(schedule);
}

static int evp_begin(void *schedule, const struct aead_head *h, bool sealing) {
    int len;
    if (EVP_CipherInit_ex2(schedule, NULL, NULL, h->nonce, sealing, NULL) != 1 ||
        EVP_CipherUpdate(schedule, NULL, &len, h->aad, h->aad_len) != 1)
        return RECORD_INTERNAL;
    return 0;
}

static int evp_update(void *schedule, const uint8_t *in, size_t n, uint8_t *out) {
    int len;
    if (n == 0) /* EVP takes an update without bytes for the end of the record */
        return 0;
    if (n > INT_MAX || EVP_CipherUpdate(schedule, out, &len, in, (int)n) != 1 || (size_t)len != n)
        return RECORD_INTERNAL;
    return 0;
}

static int evp_seal_end(void *schedule, uint8_t tag[AEAD_TAG]) {
    int len;
    uint8_t none[AEAD_TAG];
    if (EVP_CipherFinal_ex(schedule, none, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(schedule, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag) != 1)
        return RECORD_INTERNAL;
    return 0;
}

static int evp_open_end(void *schedule, const uint8_t tag[AEAD_TAG]) {
    int len;
    uint8_t none[AEAD_TAG], copy[AEAD_TAG]; /* the control's argument is not const */
    for (size_t i = 0; i < AEAD_TAG; i++)
        copy[i] = tag[i];
    if (EVP_CIPHER_CTX_ctrl(schedule, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, copy) != 1)
        return RECORD_INTERNAL;
    return EVP_CipherFinal_ex(schedule, none, &len) == 1 ? 0 : RECORD_BAD_MAC;
}

static int evp_seal(void *schedule, const struct aead_head *h, const uint8_t *in, size_t n, uint8_t *out) {
    if (evp_begin(schedule, h, true) || evp_update(schedule, in, n, out))
        return RECORD_INTERNAL;
    return evp_seal_end(schedule, out + n);
}

static int evp_open(void *schedule, const struct aead_head *h, const uint8_t *in, size_t n, uint8_t *out) {
    if (evp_begin(schedule, h, false) || evp_update(schedule, in, n, out))
        return RECORD_INTERNAL;
    return evp_open_end(schedule, in + n);
}

const struct aead aead_evp = {
    .name = "evp",
    .schedule_new = evp_schedule_new,
    .schedule_rekey = evp_schedule_rekey,
    .schedule_free = evp_schedule_free,
    .seal = evp_seal,
    .open = evp_open,
    .begin = evp_begin,
    .update = evp_update,
    .seal_end = evp_seal_end,
    .open_end = evp_open_end,
};
