/* record_parts.h - what the parts of the record engine share: the shape of a record. */
#ifndef MTLSWRAP_RECORD_PARTS_H
#define MTLSWRAP_RECORD_PARTS_H

#include <string.h>

#include "aead.h"
#include "record.h"

_Static_assert((int)RECORD_TAG == (int)AEAD_TAG, "one tag");

enum {
    /* Up to here a record is first laid out in one piece, because one call of the cipher beats
     * several by more than the copy costs. Measured: even at 1 KiB, the copy is 10 of 110 ns. */
    RECORD_SMALL = 1024,
};

static inline bool record_usable(const struct record_keys *k) {
    return (k->version == RECORD_TLS12 || k->version == RECORD_TLS13) && k->cipher >= RECORD_AES_128_GCM &&
           k->cipher <= RECORD_CHACHA20_POLY1305 && k->seq != UINT64_MAX; /* it must never wrap */
}

/* Nonce and associated data. header: the 5 bytes as on the wire, an explicit nonce behind them; n: bytes
 * of TLS 1.2 plaintext. */
void record_head(const struct record_keys *k, const uint8_t *header, size_t n, struct aead_head *h);

long record_seal(struct record_keys *k, uint8_t type, const struct iovec *iov, size_t skip, size_t n,
                 uint8_t *out);
long record_open(struct record_keys *k, const uint8_t *rec, size_t wire_len, uint8_t *out, size_t limit,
                 uint8_t *type);
int record_keys_update(struct record_keys *k);

#endif
