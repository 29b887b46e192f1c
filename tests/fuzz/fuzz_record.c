/* fuzz_record.c - libFuzzer target for what a peer can send: record_wire_len, open with every suite,
 * room and place, and a round trip that shows that open undoes what seal and padding did.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/fuzz_record.c preload/engine/record*.c \
 *     preload/engine/aead*.c preload/engine/libctx.c -lcrypto -lIPSec_MB
 *
 * Input: one byte of suite and mode, two of limit, one of sequence number and stretch, then the bytes of
 * the peer. Stretching puts a run of the last byte (a 0 makes it padding) where a fuzzer, which grows its
 * inputs slowly, would not get for hours: beyond the sizes at which the engine changes its ways. */
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

static struct record_keys keys_of(uint8_t mode) {
    struct record_keys k = {.version = mode & 1 ? 0x0304 : 0x0303, .cipher = (uint8_t)(1 + (mode >> 1) % 3)};
    k.key_id = 1 + (mode & 15);
    memset(k.key, mode & 15, sizeof k.key);
    memset(k.iv, 7, sizeof k.iv);
    return k;
}

/* Exactly as large as the contract says, so that the sanitizer sees each byte too many. */
static void open_exact(struct record_keys *k, const uint8_t *rec, size_t len, size_t limit) {
    size_t overhead = record_overhead(k), room = len > overhead ? len - overhead : 0;
    uint64_t seq = k->seq;
    uint8_t type = 0, *copy = malloc(len + 1), *out = malloc((limit < room ? limit : room) + !room);
    CHECK(copy && out);
    memcpy(copy, rec, len);
    long n = record_engine_user.open(k, copy, len, out, limit, &type);
    CHECK(n <= (long)limit && n <= (long)room);
    CHECK(memcmp(copy, rec, len) == 0);
    CHECK(k->seq == seq + (n >= 0));
    if (n >= 0)
        CHECK(type >= RECORD_CHANGE_CIPHER_SPEC && type <= RECORD_DATA);
    if (len >= overhead) {
        size_t text = RECORD_HEADER + (overhead == RECORD_OVERHEAD_MAX ? 8 : 0);
        k->seq = seq;
        CHECK(record_engine_user.open(k, copy, len, copy + text, limit, &type) == n);
        CHECK(n <= 0 || memcmp(copy + text, out, (size_t)n) == 0);
    }
    free(copy);
    free(out);
}

/* The peer's bytes as they are: a forgery. */
static void foreign(struct record_keys k, const uint8_t *data, size_t size, size_t limit) {
    if (size < RECORD_HEADER)
        return;
    long len = record_wire_len(data, k.version);
    CHECK(len <= RECORD_WIRE_MAX && (len < 0 || len > RECORD_HEADER));
    (void)record_wire_len(data, 0);
    open_exact(&k, data, size, limit);
    if (len > 0 && (size_t)len <= size)
        open_exact(&k, data, (size_t)len, limit);
}

/* The peer's bytes as an authentic inner plaintext (TLS 1.3), so that padding and types are reached. */
static void authentic(struct record_keys k, const uint8_t *inner, size_t n, size_t limit) {
    size_t len = n + AEAD_TAG;
    struct aead_head h = {.aad = {23, 3, 3, (uint8_t)(len >> 8), (uint8_t)len}, .aad_len = 5};
    uint8_t *rec = malloc(RECORD_HEADER + len);
    const struct aead *aead = aead_for(k.cipher);
    void *s = aead->schedule_new(k.cipher, k.key);
    CHECK(rec && s);
    memcpy(h.nonce, k.iv, sizeof h.nonce);
    h.nonce[11] ^= (uint8_t)k.seq;
    memcpy(rec, h.aad, RECORD_HEADER);
    CHECK(aead->seal(s, &h, inner, n, rec + RECORD_HEADER) == 0);
    aead->schedule_free(s);
    open_exact(&k, rec, RECORD_HEADER + len, limit);
    free(rec);
}

static void round_trip(struct record_keys k, uint8_t type, const uint8_t *text, size_t n, size_t limit) {
    uint8_t *rec = malloc(n + RECORD_OVERHEAD_MAX);
    struct iovec iov[2] = {{(void *)(uintptr_t)text, n / 3}, {(void *)(uintptr_t)(text + n / 3), n - n / 3}};
    struct record_keys rx = k;
    CHECK(rec);
    long len = record_engine_user.seal(&k, type, iov, 0, n, rec);
    CHECK(len > 0 && record_wire_len(rec, k.version) == len);
    open_exact(&rx, rec, (size_t)len, limit);
    free(rec);
}

static size_t stretch(const uint8_t *data, size_t size, uint8_t how, uint8_t *to) {
    static const size_t lengths[] = {0, 1000, 1030, RECORD_PLAIN_MAX - 10};
    size_t n = size > lengths[how & 3] ? 0 : lengths[how & 3];
    memcpy(to, data, size);
    memset(to + size, size ? data[size - 1] : 0, n);
    return size + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t stretched[65536 + RECORD_PLAIN_MAX];
    if (size < 4 || size > 65536)
        return 0;
    struct record_keys k = keys_of(data[0]);
    size_t limit = (size_t)data[1] << 8 | data[2];
    k.seq = data[3];
    uint8_t mode = data[0] >> 4;
    size = stretch(data + 4, size - 4, data[3] >> 6, stretched);
    data = stretched;
    foreign(k, data, size, limit);
    if (size > RECORD_PLAIN_MAX)
        return 0;
    if (k.version == 0x0304)
        authentic(k, data, size, limit);
    round_trip(k, (uint8_t)(RECORD_ALERT + mode % 3), data, size, limit);
    return 0;
}
