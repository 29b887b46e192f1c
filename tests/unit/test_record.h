/* test_record.h - what the tests of the record engine share: hex, keys, one record there and back. */
#ifndef MTLSWRAP_TEST_RECORD_H
#define MTLSWRAP_TEST_RECORD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <criterion/criterion.h>

#include "record.h"

enum { TEST_BUFFER = RECORD_WIRE_MAX + 64 };

/* Every kind of key there is: version and cipher. */
struct test_suite {
    uint16_t version;
    uint8_t cipher;
};
static const struct test_suite test_suites[] = {
    {0x0304, RECORD_AES_128_GCM}, {0x0304, RECORD_AES_256_GCM}, {0x0304, RECORD_CHACHA20_POLY1305},
    {0x0303, RECORD_AES_128_GCM}, {0x0303, RECORD_AES_256_GCM}, {0x0303, RECORD_CHACHA20_POLY1305},
};
enum { TEST_SUITES = sizeof test_suites / sizeof *test_suites };

/* Bytes that a seed decides; not meant to be random, only different. */
static inline void test_fill(uint8_t *p, size_t n, unsigned seed) {
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
}

static inline struct record_keys test_keys(struct test_suite suite, unsigned seed) {
    struct record_keys k = {.version = suite.version, .cipher = suite.cipher};
    k.secret_len = suite.cipher == RECORD_AES_256_GCM ? 48 : 32;
    test_fill(k.key, sizeof k.key, seed);
    test_fill(k.iv, sizeof k.iv, seed + 1);
    test_fill(k.secret, k.secret_len, seed + 2);
    k.key_id = seed * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)suite.version * 8 + suite.cipher;
    return k;
}

static inline size_t test_hex(const char *hex, uint8_t *out) {
    size_t n = 0;
    unsigned byte;
    for (; *hex; hex += 2) {
        while (*hex == ' ')
            hex++;
        cr_assert_eq(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (uint8_t)byte;
    }
    return n;
}

static inline long test_seal(struct record_keys *k, uint8_t type, const uint8_t *text, size_t n,
                             uint8_t *out) {
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = n};
    return record_engine_user.seal(k, type, &iov, 0, n, out);
}

/* n bytes (a multiple of the page size) with a page behind them that nobody may touch. */
static inline uint8_t *test_guarded(size_t n) {
    uint8_t *p = mmap(NULL, n + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(p, MAP_FAILED);
    cr_assert_eq(mprotect(p + n, 4096, PROT_NONE), 0);
    return p;
}

static inline void test_guarded_free(uint8_t *p, size_t n) {
    cr_assert_eq(munmap(p, n + 4096), 0);
}

/* The forced back end of this process; tests run in processes of their own. */
static inline void test_backend(const char *name) {
    cr_assert_eq(setenv("MTLSWRAP_AEAD", name, 1), 0);
}
static const char *const test_backends[] = {"evp", "ipsecmb"};

#endif
