/* record.c - the table of the user-space record engine, and what seal and open have in common. Nothing
 * here (nor in its parts) touches a descriptor or takes a lock. */
#include "record_parts.h"

static void put64(uint8_t *p, uint64_t v) {
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

void record_head(const struct record_keys *k, const uint8_t *header, size_t n, struct aead_head *h) {
    uint8_t seq[8];
    put64(seq, k->seq);
    memcpy(h->nonce, k->iv, sizeof h->nonce);
    if (record_explicit(k))
        memcpy(h->nonce + 4, header + RECORD_HEADER, sizeof seq);
    else
        for (size_t i = 0; i < sizeof seq; i++)
            h->nonce[4 + i] ^= seq[i];
    if (k->version == RECORD_TLS13) {
        memcpy(h->aad, header, RECORD_HEADER);
        h->aad_len = RECORD_HEADER;
        return;
    }
    memcpy(h->aad, seq, sizeof seq);
    memcpy(h->aad + 8, header, 3);
    h->aad[11] = (uint8_t)(n >> 8);
    h->aad[12] = (uint8_t)n;
    h->aad_len = 13;
}

static size_t record_overhead(const struct record_keys *k) {
    return RECORD_HEADER + record_explicit(k) + record_inner(k) + AEAD_TAG;
}

/* RFC 8446 5.5: 2^24.5 full records for AES-GCM; ChaCha20-Poly1305 would first run out of sequence
 * numbers, and 2^60 leaves room to act on the answer. */
static uint64_t record_limit(const struct record_keys *k) {
    return k->cipher == RECORD_CHACHA20_POLY1305 ? UINT64_C(1) << 60 : UINT64_C(1) << 23;
}

const struct record_engine record_engine_user = {
    .name = "user",
    .overhead = record_overhead,
    .seal = record_seal,
    .open = record_open,
    .update = record_keys_update,
    .limit = record_limit,
};
