/* record.c - the table of the user-space record engine, and what seal and open have in common. Nothing
 * here (nor in its parts) touches a descriptor or takes a lock. */
#include "record_parts.h"

#include <endian.h>
#include <string.h>

void record_head(const struct record_keys *k, const uint8_t *header, size_t n, struct aead_head *h) {
    uint64_t seq = htobe64(k->seq), varying; /* the last 8 bytes of the nonce, in one piece */
    memcpy(h->nonce, k->iv, sizeof h->nonce - sizeof varying);
    memcpy(&varying, k->iv + 4, sizeof varying);
    varying ^= seq;
    if (record_explicit(k))
        memcpy(&varying, header + RECORD_HEADER, sizeof varying);
    memcpy(h->nonce + 4, &varying, sizeof varying);
    if (k->version == RECORD_TLS13) {
        memcpy(h->aad, header, RECORD_HEADER);
        h->aad_len = RECORD_HEADER;
        return;
    }
    memcpy(h->aad, &seq, sizeof seq);
    memcpy(h->aad + 8, header, 3);
    h->aad[11] = (uint8_t)(n >> 8);
    h->aad[12] = (uint8_t)n;
    h->aad_len = 13;
}

const struct record_engine record_engine_user = {
    .name = "user",
    .seal = record_seal,
    .open = record_open,
    .update = record_keys_update,
};
