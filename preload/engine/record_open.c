/* record_open.c - one record in, plaintext out. Nothing is written to the caller's memory beyond the room
 * that the contract gives, and nothing of a forged record stays there.
 *
 * TLS 1.3 hides the type behind the text, so what is decrypted is longer than what the caller has room
 * for. Four ways, by size and room:
 *   small     decrypted on the stack, copied when it is known to be good
 *   in place  where the ciphertext was, which has room for all of it
 *   direct    the text to the caller's memory, the one byte behind it to a local
 *   scratch   padding fills more than the caller's room: through memory of our own (rare)
 */
#include <stdlib.h>

#include <openssl/crypto.h>

#include "record_cache.h"
#include "record_parts.h"

/* One call of record_open, taken apart. */
struct job {
    const struct record_cache_entry *e;
    struct aead_head h;
    const uint8_t *in; /* n bytes of ciphertext, the tag behind */
    size_t n;          /* text, and under TLS 1.3 padding and type */
    bool inner;
    uint8_t *out;
    size_t limit;
    uint8_t type;
};

/* RFC 8446 5.4: the type is the last byte that is not 0. last stands behind the n - 1 bytes of text. */
static long strip(struct job *j, const uint8_t *text, uint8_t last) {
    size_t n = j->n - 1;
    while (!last && n)
        last = text[--n];
    if (last < RECORD_ALERT || last > RECORD_DATA)
        return RECORD_BAD_FORMAT;
    if (!n && last != RECORD_DATA) /* RFC 8446 5.1 allows only application data to be empty */
        return RECORD_BAD_FORMAT;
    j->type = last;
    return (long)n;
}

static long open_at(struct job *j, uint8_t *text) {
    long rc = j->e->aead->open(j->e->schedule, &j->h, j->in, j->n, text);
    if (!rc)
        rc = j->inner ? strip(j, text, text[j->n - 1]) : (long)j->n;
    if (rc < 0)
        OPENSSL_cleanse(text, j->n);
    return rc;
}

static long open_copy(struct job *j, uint8_t *scratch) {
    long rc = open_at(j, scratch);
    if (rc >= 0 && (size_t)rc > j->limit)
        rc = RECORD_TOO_LONG;
    if (rc > 0)
        memcpy(j->out, scratch, (size_t)rc);
    OPENSSL_cleanse(scratch, j->n);
    return rc;
}

static long open_small(struct job *j) {
    uint8_t scratch[RECORD_SMALL + 1];
    return open_copy(j, scratch);
}

static long open_scratch(struct job *j) {
    uint8_t *scratch = malloc(j->n);
    long rc = scratch ? open_copy(j, scratch) : RECORD_INTERNAL;
    free(scratch);
    return rc;
}

static long open_direct(struct job *j) {
    const struct aead *aead = j->e->aead;
    void *schedule = j->e->schedule;
    size_t n = j->n - 1;
    uint8_t last = 0;
    long rc = aead->begin(schedule, &j->h, false);
    if (!rc)
        rc = aead->update(schedule, j->in, n, j->out);
    if (!rc)
        rc = aead->update(schedule, j->in + n, 1, &last);
    if (!rc)
        rc = aead->open_end(schedule, j->in + j->n);
    if (!rc)
        rc = strip(j, j->out, last);
    if (rc < 0)
        OPENSSL_cleanse(j->out, n);
    return rc;
}

/* True when out lies where the ciphertext is. */
static bool in_place(const struct job *j) {
    return j->out == j->in;
}

static bool overlaps(const struct job *j) {
    uintptr_t in = (uintptr_t)j->in, out = (uintptr_t)j->out;
    return in < out + j->n && out < in + j->n;
}

static long open_text(struct job *j) {
    size_t room = j->n - j->inner;
    if (!j->inner && room > j->limit)
        return RECORD_TOO_LONG;
    if (j->n <= RECORD_SMALL + 1 && !in_place(j))
        return open_small(j);
    if (room > j->limit || (overlaps(j) && !in_place(j)))
        return open_scratch(j);
    return !j->inner || in_place(j) ? open_at(j, j->out) : open_direct(j);
}

/* What the header alone can tell. The version bytes are left to the cipher, which authenticates them. */
static long check(const struct record_keys *k, const uint8_t *rec, size_t wire_len) {
    size_t extra = RECORD_HEADER + record_explicit(k) + record_inner(k) + AEAD_TAG;
    if (wire_len < extra || ((size_t)rec[3] << 8 | rec[4]) != wire_len - RECORD_HEADER)
        return RECORD_BAD_FORMAT;
    if (record_inner(k) ? rec[0] != RECORD_DATA : rec[0] < RECORD_CHANGE_CIPHER_SPEC || rec[0] > RECORD_DATA)
        return RECORD_BAD_FORMAT;
    return wire_len - extra > RECORD_PLAIN_MAX ? RECORD_TOO_LONG : RECORD_OK;
}

long record_open(struct record_keys *k, const uint8_t *rec, size_t wire_len, uint8_t *out, size_t limit,
                 uint8_t *type) {
    if (!record_usable(k))
        return RECORD_INTERNAL;
    long rc = check(k, rec, wire_len);
    if (rc)
        return rc;
    size_t head = RECORD_HEADER + record_explicit(k);
    struct job j = {.in = rec + head,
                    .n = wire_len - head - AEAD_TAG,
                    .inner = record_inner(k) != 0,
                    .out = out,
                    .limit = limit,
                    .type = rec[0]};
    record_head(k, rec, j.n, &j.h);
    struct record_cache_entry *e = record_cache_acquire(k);
    if (!e)
        return RECORD_INTERNAL;
    j.e = e;
    rc = open_text(&j);
    record_cache_release(e);
    if (rc >= 0) {
        *type = j.type;
        k->seq++;
    }
    return rc;
}
