/* record.h - the record engine: one direction's keys in, sealed or opened records out.
 *
 * Everything that a direction needs is the plain data of struct record_keys; it lies in memory that
 * processes share, so it holds no pointer. Expanded key schedules are a private cache, found by
 * key_id, and can always be rebuilt. Nothing here touches a descriptor. The caller holds the
 * direction's lock (I3: a sequence number is advanced under it, before the record can leave).
 */
#ifndef MTLSWRAP_RECORD_H
#define MTLSWRAP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    RECORD_HEADER = 5,
    RECORD_PLAIN_MAX = 16384,
    RECORD_WIRE_MAX = RECORD_HEADER + RECORD_PLAIN_MAX + 2048, /* RFC 5246 6.2.3 */
    RECORD_TAG = 16,
    RECORD_OVERHEAD_MAX = 29, /* TLS 1.2 GCM: 5 + 8 + 16 */
};

enum record_version { RECORD_TLS12 = 0x0303, RECORD_TLS13 = 0x0304 };

enum record_type {
    RECORD_CHANGE_CIPHER_SPEC = 20,
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
    RECORD_DATA = 23
};

enum record_cipher {
    RECORD_AES_128_GCM = 1,
    RECORD_AES_256_GCM,
    RECORD_CHACHA20_POLY1305,
};

/* One direction of one connection. Zeroed = no keys. Wiped by record_wipe. */
struct record_keys {
    uint64_t key_id;  /* random, unique per (key, direction); finds the expanded schedule */
    uint64_t seq;     /* of the next record */
    uint16_t version; /* enum record_version */
    uint8_t cipher;   /* enum record_cipher */
    uint8_t secret_len;
    uint8_t key[32];
    uint8_t iv[12];     /* TLS 1.2 GCM: the 4 byte salt first */
    uint8_t secret[48]; /* TLS 1.3 traffic secret, for KeyUpdate */
};

/* What record_open says beside success. */
enum record_error {
    RECORD_OK = 0,
    RECORD_BAD_MAC = -1,    /* authentication failed */
    RECORD_BAD_FORMAT = -2, /* header, type or length is not a record of this version */
    RECORD_TOO_LONG = -3,   /* record_overflow */
    RECORD_INTERNAL = -4,   /* out of memory, library failure */
};

/* What one record has beside its text: bytes of nonce between header and ciphertext (TLS 1.2 GCM, RFC 5288,
 * section 3), bytes of inner type behind the text (TLS 1.3). */
static inline size_t record_explicit(const struct record_keys *k) {
    return k->version == RECORD_TLS12 && k->cipher != RECORD_CHACHA20_POLY1305 ? 8 : 0;
}
static inline size_t record_inner(const struct record_keys *k) {
    return k->version == RECORD_TLS13 ? 1 : 0;
}
/* Bytes on the wire beyond the plaintext of one application record. */
static inline size_t record_overhead(const struct record_keys *k) {
    return RECORD_HEADER + record_explicit(k) + record_inner(k) + RECORD_TAG;
}
/* Records after which the sender must update its key. RFC 8446 5.5: 2^24.5 full records for AES-GCM;
 * ChaCha20-Poly1305 would first run out of sequence numbers, and 2^60 leaves room to act on the answer. */
static inline uint64_t record_limit(const struct record_keys *k) {
    return k->cipher == RECORD_CHACHA20_POLY1305 ? UINT64_C(1) << 60 : UINT64_C(1) << 23;
}

/* The table through which the core uses an engine (a later one may be the kernel's). */
struct record_engine {
    const char *name;

    /* Seals one record of `type` with n <= RECORD_PLAIN_MAX bytes gathered from iov, starting
     * `skip` bytes into it, to out (n + overhead bytes, may not overlap the input). iov is not
     * looked at when n is 0. Returns the wire length, or < 0 (enum record_error); on failure out holds
     * no plaintext. Advances k->seq on success. */
    long (*seal)(struct record_keys *k, uint8_t type, const struct iovec *iov, size_t skip, size_t n,
                 uint8_t *out);

    /* Opens one whole record (wire_len bytes, header included). The plaintext goes to out, which has
     * room for wire_len - overhead bytes and either does not overlap the record or equals
     * rec + RECORD_HEADER (+ 8 for TLS 1.2 GCM: explicit nonce). At most limit plaintext bytes are ever
     * written: the engine refuses RECORD_TOO_LONG otherwise, and then (given a limit below
     * wire_len - overhead) the record is as it was, so the call may be repeated with more room. *type is
     * the true (inner) type. Returns the plaintext length (may be 0), or < 0; on failure out holds no
     * plaintext. Advances k->seq on success. When the peer padded the record, bytes of out behind
     * the plaintext (never beyond the room above) may have been set to 0.
     * TLS 1.3: a change_cipher_spec record never comes here. */
    long (*open)(struct record_keys *k, const uint8_t *rec, size_t wire_len, uint8_t *out, size_t limit,
                 uint8_t *type);

    /* TLS 1.3 KeyUpdate: next generation of secret, key, IV; seq = 0, new key_id. Returns 0 or < 0. */
    int (*update)(struct record_keys *k);
};

/* This engine: the AEAD runs in user space, in the calling thread. */
extern const struct record_engine record_engine_user;

/* Fills *k for the first record under a TLS 1.3 traffic secret (RFC 8446 7.3): key, IV, seq 0, a new
 * key_id, and the secret itself for KeyUpdate. secret_len is 32, or 48 for AES-256-GCM. Returns 0 or < 0
 * (enum record_error); then *k is zeroed. */
__attribute__((warn_unused_result)) int record_keys_tls13(struct record_keys *k, uint8_t cipher,
                                                          const uint8_t *secret, size_t secret_len);

/* The same for both directions of a TLS 1.2 connection (RFC 5246 6.3). sha384: the suite's PRF. seq is 0;
 * the Finished messages count, so the handshake sets it to 1 before application records. */
__attribute__((warn_unused_result)) int record_keys_tls12(struct record_keys *client_write,
                                                          struct record_keys *server_write, uint8_t cipher,
                                                          bool sha384, const uint8_t *master,
                                                          size_t master_len, const uint8_t client_random[32],
                                                          const uint8_t server_random[32]);

/* Zeroes the keys so that no compiler leaves them out. Does not touch the cache. */
void record_wipe(struct record_keys *k);

/* Wipes and frees the calling thread's expanded schedule of a key that is no longer used. The copies of
 * other threads go when their slot is needed or the thread ends. Unknown ids are ignored. */
void record_cache_forget(uint64_t key_id);

/* From the header alone: the wire length of the record, or < 0 when it cannot be one of `version`
 * (0 before a version is agreed). Needs RECORD_HEADER bytes. Empty records are refused: no version has any
 * under a cipher, and none may carry handshake messages or alerts. */
static inline long record_wire_len(const uint8_t *header, uint16_t version) {
    size_t max = version == 0x0304 ? RECORD_PLAIN_MAX + 256 : RECORD_PLAIN_MAX + 2048;
    size_t len = (size_t)header[3] << 8 | header[4];
    if (header[0] < RECORD_CHANGE_CIPHER_SPEC || header[0] > RECORD_DATA || header[1] != 3 || !len)
        return RECORD_BAD_FORMAT;
    /* RFC 8446 5.1: TLS 1.3 ignores the low byte, and before an agreement it varies. */
    if (version == 0x0303 && header[2] != 3)
        return RECORD_BAD_FORMAT;
    return len > max ? RECORD_TOO_LONG : (long)(RECORD_HEADER + len);
}

#endif
