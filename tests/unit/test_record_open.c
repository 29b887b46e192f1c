/* test_record_open.c - opening: room and limits, in place, padding, forged and malformed records. Where
 * memory must not be touched, an unmapped page or a pattern stands. */
#include "test_record.h"

#include "aead.h"

enum { PATTERN = 0xa5 };

static void on_both_backends(void (*body)(struct test_suite), const char *backend) {
    test_backend(backend);
    for (size_t s = 0; s < TEST_SUITES; s++)
        body(test_suites[s]);
}
#define BOTH(name)                                                                                           \
    Test(record_open, name##_evp) {                                                                          \
        on_both_backends(name, "evp");                                                                       \
    }                                                                                                        \
    Test(record_open, name##_ipsecmb) {                                                                      \
        on_both_backends(name, "ipsecmb");                                                                   \
    }

static size_t text_at(const struct record_keys *k) {
    return k->version == 0x0303 && k->cipher != RECORD_CHACHA20_POLY1305 ? 13 : 5;
}

static bool all(const uint8_t *p, size_t n, uint8_t byte) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != byte)
            return false;
    return true;
}

/* A TLS 1.3 record with any inner text, made without the engine's seal. */
static size_t forge(const struct record_keys *k, const uint8_t *inner, size_t n, uint8_t *out) {
    size_t len = n + AEAD_TAG;
    struct aead_head h = {.aad = {23, 3, 3, (uint8_t)(len >> 8), (uint8_t)len}, .aad_len = 5};
    memcpy(h.nonce, k->iv, sizeof h.nonce);
    for (size_t i = 0; i < 8; i++)
        h.nonce[11 - i] ^= (uint8_t)(k->seq >> 8 * i);
    memcpy(out, h.aad, RECORD_HEADER);
    void *s = aead_evp.schedule_new(k->cipher, k->key);
    cr_assert_eq(aead_evp.seal(s, &h, inner, n, out + RECORD_HEADER), 0);
    aead_evp.schedule_free(s);
    return RECORD_HEADER + len;
}

static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 63, 64, 500, 1023, 1024, 1025, 1026, 4096, 16383, 16384};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* out ends where the page ends: exactly the room that the contract gives, every limit around it. */
static void exact_room(struct test_suite suite) {
    static uint8_t text[RECORD_PLAIN_MAX], rec[TEST_BUFFER];
    uint8_t *pages = test_guarded(20480), type = 0;
    struct record_keys tx = test_keys(suite, 1), rx = tx;
    for (size_t i = 0; i < SIZES; i++) {
        size_t n = sizes[i];
        uint8_t *out = pages + 20480 - n;
        test_fill(text, n, 3);
        size_t len = (size_t)test_seal(&tx, RECORD_DATA, text, n, rec);
        if (n) {
            cr_assert_eq(record_engine_user.open(&rx, rec, len, out, n - 1, &type), RECORD_TOO_LONG);
            cr_assert_eq(record_engine_user.open(&rx, rec, len, out, 0, &type), RECORD_TOO_LONG);
        }
        cr_assert_eq(rx.seq, i, "a refused record must still be there");
        memset(out, PATTERN, n);
        cr_assert_eq(record_engine_user.open(&rx, rec, len, out, i % 2 ? n : 65536, &type), (long)n);
        cr_assert_eq(type, RECORD_DATA);
        cr_assert_arr_eq(out, text, n);
    }
    test_guarded_free(pages, 20480);
}
BOTH(exact_room)

static void in_place(struct test_suite suite) {
    static uint8_t text[RECORD_PLAIN_MAX], rec[TEST_BUFFER];
    struct record_keys tx = test_keys(suite, 2), rx = tx;
    for (size_t i = 0; i < SIZES; i++) {
        uint8_t type = 0, *out = rec + text_at(&tx);
        test_fill(text, sizes[i], 3);
        size_t len = (size_t)test_seal(&tx, RECORD_HANDSHAKE + (sizes[i] == 0), text, sizes[i], rec);
        rec[len] = PATTERN;
        if (sizes[i])
            cr_assert_eq(record_engine_user.open(&rx, rec, len, out, sizes[i] - 1, &type), RECORD_TOO_LONG);
        cr_assert_eq(record_engine_user.open(&rx, rec, len, out, sizes[i], &type), (long)sizes[i]);
        cr_assert_eq(type, RECORD_HANDSHAKE + (sizes[i] == 0));
        cr_assert_arr_eq(out, text, sizes[i]);
        cr_assert_eq(rec[len], PATTERN);
    }
}
BOTH(in_place)

/* Each bit position cycles over the bytes of a record: nothing forged may pass or leave a trace. */
static void flipped_bits_of(struct test_suite suite, size_t n) {
    static uint8_t text[RECORD_PLAIN_MAX], rec[TEST_BUFFER], bad[TEST_BUFFER], out[TEST_BUFFER];
    struct record_keys tx = test_keys(suite, (unsigned)n), rx = tx;
    uint8_t type = PATTERN;
    memset(text, 0x5c, n); /* easy to recognise: no byte of it may show up */
    size_t len = (size_t)test_seal(&tx, RECORD_DATA, text, n, rec), step = n > 2000 ? 61 : 1;
    for (size_t i = 0; i < len; i += i < 32 || i + 32 > len ? 1 : step) {
        memcpy(bad, rec, len);
        bad[i] ^= (uint8_t)(1u << i % 8);
        memset(out, 0x5d, sizeof out);
        long rc = record_engine_user.open(&rx, bad, len, out, n, &type);
        if (i == 0 || i == 3 || i == 4) /* type and length may be refused before the cipher runs */
            cr_assert(rc == RECORD_BAD_FORMAT || rc == RECORD_BAD_MAC, "byte %zu: %ld", i, rc);
        else
            cr_assert_eq(rc, RECORD_BAD_MAC, "byte %zu of %zu: %ld", i, len, rc);
        cr_assert_null(memchr(out, 0x5c, sizeof out), "byte %zu: plaintext of a forged record", i);
        rc = record_engine_user.open(&rx, bad, len, bad + text_at(&rx), n, &type);
        cr_assert_lt(rc, 0);
        if (rc == RECORD_BAD_MAC)
            cr_assert(all(bad + text_at(&rx), n, 0), "byte %zu in place", i);
    }
    cr_assert_eq(type, PATTERN);
    cr_assert_eq(rx.seq, 0);
    cr_assert_eq(record_engine_user.open(&rx, rec, len, out, n, &type), (long)n, "the good one still opens");
}

static void flipped_bits(struct test_suite suite) {
    flipped_bits_of(suite, 0);
    flipped_bits_of(suite, 1);
    flipped_bits_of(suite, 70);
    flipped_bits_of(suite, 1100);
    flipped_bits_of(suite, 16384);
}
BOTH(flipped_bits)

static void wrong_sequence(struct test_suite suite) {
    uint8_t rec[64], out[32], type = 0;
    struct record_keys tx = test_keys(suite, 8), rx = tx;
    size_t len = (size_t)test_seal(&tx, RECORD_DATA, (const uint8_t *)"first", 5, rec);
    cr_assert_eq(record_engine_user.open(&rx, rec, len, out, 32, &type), 5);
    cr_assert_eq(record_engine_user.open(&rx, rec, len, out, 32, &type), RECORD_BAD_MAC, "a replay");
    rx.seq = UINT64_MAX;
    cr_assert_eq(record_engine_user.open(&rx, rec, len, out, 32, &type), RECORD_INTERNAL);
}
BOTH(wrong_sequence)

static void malformed(struct test_suite suite) {
    static uint8_t rec[TEST_BUFFER], out[TEST_BUFFER];
    struct record_keys k = test_keys(suite, 9);
    uint8_t type = 0;
    size_t overhead = record_overhead(&k);
    for (size_t len = 0; len < overhead; len++) {
        memcpy(rec, (const uint8_t[]){23, 3, 3, 0, (uint8_t)(len - 5)}, 5);
        cr_assert_eq(record_engine_user.open(&k, rec, len, out, 64, &type), RECORD_BAD_FORMAT);
    }
    memcpy(rec, (const uint8_t[]){23, 3, 3, 0, 60}, 5);
    cr_assert_eq(record_engine_user.open(&k, rec, 64, out, 64, &type), RECORD_BAD_FORMAT, "64 is not 5 + 60");
    memcpy(rec, (const uint8_t[]){suite.version == 0x0304 ? 22 : 19, 3, 3, 0, 60}, 5);
    cr_assert_eq(record_engine_user.open(&k, rec, 65, out, 64, &type), RECORD_BAD_FORMAT);
    size_t len = RECORD_PLAIN_MAX + 1 + overhead;
    memcpy(rec, (const uint8_t[]){23, 3, 3, (uint8_t)((len - 5) >> 8), (uint8_t)(len - 5)}, 5);
    cr_assert_eq(record_engine_user.open(&k, rec, len, out, sizeof out, &type), RECORD_TOO_LONG);
    k.version = 0;
    cr_assert_eq(record_engine_user.open(&k, rec, len, out, sizeof out, &type), RECORD_INTERNAL);
}
BOTH(malformed)

/* text, type, pad zeros: through every room from the text's length up to the whole. */
static void padded(struct record_keys k, size_t n, size_t pad) {
    static uint8_t inner[RECORD_PLAIN_MAX + 1], rec[TEST_BUFFER];
    uint8_t *pages = test_guarded(20480), type = 0;
    test_fill(inner, n, 4);
    inner[n] = RECORD_DATA;
    memset(inner + n + 1, 0, pad);
    size_t len = forge(&k, inner, n + 1 + pad, rec), limits[] = {n, n + 1, n + pad, 65536};
    for (size_t i = 0; i < 4; i++) {
        size_t room = limits[i] < n + pad ? limits[i] : n + pad;
        struct record_keys rx = k;
        uint8_t *out = pages + 20480 - room;
        cr_assert_eq(record_engine_user.open(&rx, rec, len, out, limits[i], &type), (long)n);
        cr_assert_arr_eq(out, inner, n);
        cr_assert_eq(type, RECORD_DATA);
        if (n)
            cr_assert_eq(record_engine_user.open(&k, rec, len, out, n - 1, &type), RECORD_TOO_LONG);
    }
    cr_assert_eq(k.seq, 77);
    cr_assert_eq(record_engine_user.open(&k, rec, len, rec + 5, n, &type), (long)n);
    cr_assert_arr_eq(rec + 5, inner, n);
    test_guarded_free(pages, 20480);
}

static void padding(struct test_suite suite) {
    static const size_t cases[][2] = {{0, 1},        {0, 500},   {0, 2000}, {1, 1},    {5, 1019},
                                      {5, 1020},     {5, 1021},  {5, 5000}, {1030, 1}, {1030, 70},
                                      {1000, 15384}, {16383, 1}, {0, 16384}};
    if (suite.version != 0x0304)
        return; /* TLS 1.2 AEADs have no padding */
    struct record_keys k = test_keys(suite, 10);
    k.seq = 77;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        padded(k, cases[i][0], cases[i][1]);
}
BOTH(padding)

/* Authentic, and still not allowed: nothing of it may stay in out. */
static void refused(struct record_keys k, const uint8_t *inner, size_t n) {
    static uint8_t rec[TEST_BUFFER], out[TEST_BUFFER];
    uint8_t type = PATTERN;
    memset(out, 0, sizeof out);
    size_t len = forge(&k, inner, n, rec);
    cr_assert_eq(record_engine_user.open(&k, rec, len, out, sizeof out, &type), RECORD_BAD_FORMAT);
    cr_assert(all(out, sizeof out, 0));
    cr_assert_eq(record_engine_user.open(&k, rec, len, rec + 5, n, &type), RECORD_BAD_FORMAT);
    cr_assert(all(rec + 5, n, 0));
    cr_assert_eq(type, PATTERN);
    cr_assert_eq(k.seq, 0);
}

static void bad_inner_types(struct test_suite suite) {
    static uint8_t inner[RECORD_PLAIN_MAX + 1];
    if (suite.version != 0x0304)
        return; /* the type is outside under TLS 1.2 */
    struct record_keys k = test_keys(suite, 11);
    refused(k, inner, 1);
    refused(k, inner, 900);
    refused(k, inner, sizeof inner);
    for (size_t n = 1; n <= 4097; n += 512) {
        memset(inner, 0x5c, n - 1);
        inner[n - 1] = RECORD_CHANGE_CIPHER_SPEC;
        refused(k, inner, n);
        inner[n - 1] = 24;
        refused(k, inner, n);
    }
    refused(k, (const uint8_t[]){RECORD_ALERT}, 1);
    refused(k, (const uint8_t[]){RECORD_HANDSHAKE, 0, 0}, 3);
}
BOTH(bad_inner_types)
