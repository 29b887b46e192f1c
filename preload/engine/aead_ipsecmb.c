/* aead_ipsecmb.c - AES-GCM through Intel IPsec-MB, x86-64 only.
 *
 * Calls the library's GCM code directly and never makes an IMB_MGR: a manager costs memory and start-up
 * time (self-tests included), and its job ring must not be shared between threads, whereas these
 * functions are reentrant. Which code the CPU can run is therefore decided here. */
#include "aead.h"

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include "record.h"

/* One key size of one variant. */
struct code {
    aes_gcm_pre_t pre;
    aes_gcm_enc_dec_t enc, dec;
    aes_gcm_init_t init;
    aes_gcm_enc_dec_update_t enc_update, dec_update;
    aes_gcm_enc_dec_finalize_t enc_finalize, dec_finalize;
};

/* The public header leaves these out, though the library has them: through the manager only. */
#define DECLARE(bits, v)                                                                                     \
    void aes_gcm_pre_##bits##_##v(const void *key, struct gcm_key_data *k);                                  \
    void aes_gcm_enc_##bits##_##v(const struct gcm_key_data *, struct gcm_context_data *, uint8_t *,         \
                                  uint8_t const *, uint64_t, const uint8_t *, uint8_t const *, uint64_t,     \
                                  uint8_t *, uint64_t);                                                      \
    void aes_gcm_dec_##bits##_##v(const struct gcm_key_data *, struct gcm_context_data *, uint8_t *,         \
                                  uint8_t const *, uint64_t, const uint8_t *, uint8_t const *, uint64_t,     \
                                  uint8_t *, uint64_t);                                                      \
    void aes_gcm_init_##bits##_##v(const struct gcm_key_data *, struct gcm_context_data *, const uint8_t *,  \
                                   uint8_t const *, uint64_t);                                               \
    void aes_gcm_enc_##bits##_update_##v(const struct gcm_key_data *, struct gcm_context_data *, uint8_t *,  \
                                         const uint8_t *, uint64_t);                                         \
    void aes_gcm_dec_##bits##_update_##v(const struct gcm_key_data *, struct gcm_context_data *, uint8_t *,  \
                                         const uint8_t *, uint64_t);                                         \
    void aes_gcm_enc_##bits##_finalize_##v(const struct gcm_key_data *, struct gcm_context_data *,           \
                                           uint8_t *, uint64_t);                                             \
    void aes_gcm_dec_##bits##_finalize_##v(const struct gcm_key_data *, struct gcm_context_data *,           \
                                           uint8_t *, uint64_t);

#define CODE(bits, v)                                                                                        \
    {                                                                                                        \
        aes_gcm_pre_##bits##_##v, aes_gcm_enc_##bits##_##v, aes_gcm_dec_##bits##_##v,                        \
            aes_gcm_init_##bits##_##v, aes_gcm_enc_##bits##_update_##v, aes_gcm_dec_##bits##_update_##v,     \
            aes_gcm_enc_##bits##_finalize_##v, aes_gcm_dec_##bits##_finalize_##v                             \
    }

DECLARE(128, avx512)
DECLARE(256, avx512)
DECLARE(128, vaes_avx512)
DECLARE(256, vaes_avx512)

static bool has_sse(void) {
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
           __builtin_cpu_supports("sse4.2");
}
static bool has_avx(void) {
    return has_sse() && __builtin_cpu_supports("avx");
}
static bool has_avx2(void) {
    return has_avx() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
/* Asked for directly: not every compiler's builtin knows the name. */
static bool has_vaes(void) {
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_VAES) && (c & bit_VPCLMULQDQ);
}

/* Fastest first: one 16 KiB record takes 1.2, 3.0, 2.9, 4.1, 4.8 us on a CPU that can do all. */
static const struct variant {
    const char *name;
    bool (*usable)(void);
    struct code aes128, aes256;
} variants[] = {
    {"vaes", has_vaes, CODE(128, vaes_avx512), CODE(256, vaes_avx512)},
    {"avx512", has_avx512, CODE(128, avx512), CODE(256, avx512)},
    {"avx2", has_avx2, CODE(128, avx_gen4), CODE(256, avx_gen4)},
    {"avx", has_avx, CODE(128, avx_gen2), CODE(256, avx_gen2)},
    {"sse", has_sse, CODE(128, sse), CODE(256, sse)},
};

/* Set by aead_ipsecmb_select before the first schedule is made; a schedule keeps the code it began with. */
static const struct variant *chosen;

bool aead_ipsecmb_select(const char *variant) {
    __builtin_cpu_init();
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        if ((variant && strcmp(variant, variants[i].name) != 0) || !variants[i].usable())
            continue;
        chosen = &variants[i];
        return true;
    }
    return false;
}

struct schedule {
    struct gcm_key_data key; /* first: aligned to 64 bytes */
    struct gcm_context_data ctx;
    const struct code *code;
    bool sealing;
};

static int imb_schedule_rekey(void *schedule, uint8_t cipher, const uint8_t *key) {
    struct schedule *s = schedule;
    if (!chosen || (cipher != RECORD_AES_128_GCM && cipher != RECORD_AES_256_GCM))
        return RECORD_INTERNAL;
    s->code = cipher == RECORD_AES_128_GCM ? &chosen->aes128 : &chosen->aes256;
    /* The hash keys are overwritten, but AES-128 leaves the last rounds of an AES-256 key. */
    OPENSSL_cleanse(s->key.expanded_keys + 11 * 16, sizeof s->key.expanded_keys - 11 * 16);
    s->code->pre(key, &s->key);
    return 0;
}

static void *imb_schedule_new(uint8_t cipher, const uint8_t *key) {
    struct schedule *s = aligned_alloc(_Alignof(struct schedule), sizeof *s);
    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    if (imb_schedule_rekey(s, cipher, key)) {
        free(s);
        return NULL;
    }
    return s;
}

static void imb_schedule_free(void *schedule) {
    OPENSSL_cleanse(schedule, sizeof(struct schedule));
    free(schedule);
}

static int imb_seal(void *schedule, const struct aead_head *h, const uint8_t *in, size_t n, uint8_t *out) {
    struct schedule *s = schedule;
    s->code->enc(&s->key, &s->ctx, out, in, n, h->nonce, h->aad, h->aad_len, out + n, AEAD_TAG);
    return 0;
}

static int imb_open(void *schedule, const struct aead_head *h, const uint8_t *in, size_t n, uint8_t *out) {
    struct schedule *s = schedule;
    uint8_t tag[AEAD_TAG];
    s->code->dec(&s->key, &s->ctx, out, in, n, h->nonce, h->aad, h->aad_len, tag, sizeof tag);
    return CRYPTO_memcmp(tag, in + n, sizeof tag) == 0 ? 0 : RECORD_BAD_MAC;
}

static int imb_begin(void *schedule, const struct aead_head *h, bool sealing) {
    struct schedule *s = schedule;
    s->sealing = sealing;
    s->code->init(&s->key, &s->ctx, h->nonce, h->aad, h->aad_len);
    return 0;
}

static int imb_update(void *schedule, const uint8_t *in, size_t n, uint8_t *out) {
    struct schedule *s = schedule;
    if (s->sealing)
        s->code->enc_update(&s->key, &s->ctx, out, in, n);
    else
        s->code->dec_update(&s->key, &s->ctx, out, in, n);
    return 0;
}

static int imb_seal_end(void *schedule, uint8_t tag[AEAD_TAG]) {
    struct schedule *s = schedule;
    s->code->enc_finalize(&s->key, &s->ctx, tag, AEAD_TAG);
    return 0;
}

static int imb_open_end(void *schedule, const uint8_t tag[AEAD_TAG]) {
    struct schedule *s = schedule;
    uint8_t computed[AEAD_TAG];
    s->code->dec_finalize(&s->key, &s->ctx, computed, sizeof computed);
    return CRYPTO_memcmp(computed, tag, sizeof computed) == 0 ? 0 : RECORD_BAD_MAC;
}

const struct aead aead_ipsecmb = {
    .name = "ipsecmb",
    .schedule_new = imb_schedule_new,
    .schedule_rekey = imb_schedule_rekey,
    .schedule_free = imb_schedule_free,
    .seal = imb_seal,
    .open = imb_open,
    .begin = imb_begin,
    .update = imb_update,
    .seal_end = imb_seal_end,
    .open_end = imb_open_end,
};
