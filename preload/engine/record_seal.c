/* record_seal.c - plaintext in, one record out. The payload of a record that is not small is read once,
 * by the cipher, from where the program has it. */
#include <openssl/crypto.h>

#include "record_cache.h"
#include "record_parts.h"

/* Where the text begins: skips whole members. Only called when there are bytes to come. */
static const struct iovec *seek(const struct iovec *iov, size_t *skip) {
    while (*skip >= iov->iov_len)
        *skip -= iov++->iov_len;
    return iov;
}

static void gather(const struct iovec *iov, size_t skip, size_t n, uint8_t *out) {
    while (n) {
        iov = seek(iov, &skip);
        size_t here = iov->iov_len - skip < n ? iov->iov_len - skip : n;
        memcpy(out, (const uint8_t *)iov->iov_base + skip, here);
        out += here;
        skip += here;
        n -= here;
    }
}

static int seal_pieces(const struct record_cache_entry *e, const struct aead_head *h, const struct iovec *iov,
                       size_t skip, size_t n, const uint8_t *inner, uint8_t *out) {
    int rc = e->aead->begin(e->schedule, h, true);
    while (n && !rc) {
        iov = seek(iov, &skip);
        size_t here = iov->iov_len - skip < n ? iov->iov_len - skip : n;
        rc = e->aead->update(e->schedule, (const uint8_t *)iov->iov_base + skip, here, out);
        out += here;
        skip += here;
        n -= here;
    }
    if (inner && !rc)
        rc = e->aead->update(e->schedule, inner, 1, out++);
    return rc ? rc : e->aead->seal_end(e->schedule, out);
}

static int seal_text(const struct record_keys *k, const struct aead_head *h, uint8_t type,
                     const struct iovec *iov, size_t skip, size_t n, uint8_t *text) {
    struct record_cache_entry *e = record_cache_acquire(k);
    int rc;
    if (!e)
        return RECORD_INTERNAL;
    if (n <= RECORD_SMALL) {
        gather(iov, skip, n, text);
        text[n] = type; /* without an inner type the tag goes over it */
        rc = e->aead->seal(e->schedule, h, text, n + record_inner(k), text);
    } else {
        rc = seal_pieces(e, h, iov, skip, n, record_inner(k) ? &type : NULL, text);
    }
    record_cache_release(e);
    return rc;
}

long record_seal(struct record_keys *k, uint8_t type, const struct iovec *iov, size_t skip, size_t n,
                 uint8_t *out) {
    struct aead_head h;
    if (n > RECORD_PLAIN_MAX)
        return RECORD_TOO_LONG;
    if (!record_usable(k))
        return RECORD_INTERNAL;
    size_t text = RECORD_HEADER + record_explicit(k), sealed = n + record_inner(k) + AEAD_TAG;
    size_t len = text - RECORD_HEADER + sealed;
    out[0] = record_inner(k) ? RECORD_DATA : type;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
    /* RFC 5288 3: the explicit nonce only has to be unique; the sequence number is (I3). */
    for (size_t i = RECORD_HEADER; i < text; i++)
        out[i] = (uint8_t)(k->seq >> 8 * (text - 1 - i));
    record_head(k, out, n, &h);
    if (seal_text(k, &h, type, iov, skip, n, out + text)) {
        OPENSSL_cleanse(out + text, sealed);
        return RECORD_INTERNAL;
    }
    k->seq++;
    return (long)(text + sealed);
}
