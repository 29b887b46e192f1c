/* bench_aead.c - what one record costs: seal and open of 64 B, 1400 B and 16 KiB, and a cache hit and
 * miss, in ns. MTLSWRAP_AEAD chooses the back end. Prints the best of several rounds, as a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aead.h"
#include "record.h"

enum { ROUNDS = 15, KEYS = 4096 };

static uint8_t text[RECORD_PLAIN_MAX], rec[RECORD_WIRE_MAX], out[RECORD_PLAIN_MAX];

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int ok) {
    if (!ok) {
        fputs("bench_aead: a record failed\n", stderr);
        exit(1);
    }
}

static struct record_keys keys(uint8_t cipher, uint64_t id) {
    struct record_keys k = {.version = 0x0304, .cipher = cipher, .key_id = id};
    memset(k.key, (int)id, sizeof k.key);
    return k;
}

static long seal(struct record_keys *k, size_t n) {
    struct iovec iov = {.iov_base = text, .iov_len = n};
    return record_engine_user.seal(k, RECORD_DATA, &iov, 0, n, rec);
}

static double seal_ns(uint8_t cipher, size_t n) {
    struct record_keys k = keys(cipher, 1);
    int count = n > 4000 ? 2000 : 20000;
    double best = 1e18;
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        for (int i = 0; i < count; i++)
            must(seal(&k, n) > 0);
        double each = (now_ns() - start) / count;
        best = each < best ? each : best;
    }
    return best;
}

static double open_ns(uint8_t cipher, size_t n) {
    struct record_keys k = keys(cipher, 1), rx = k;
    int count = n > 4000 ? 2000 : 20000;
    double best = 1e18;
    uint8_t type;
    size_t len = (size_t)seal(&k, n);
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        for (int i = 0; i < count; i++) {
            rx.seq = 0;
            must(record_engine_user.open(&rx, rec, len, out, sizeof out, &type) == (long)n);
        }
        double each = (now_ns() - start) / count;
        best = each < best ? each : best;
    }
    return best;
}

/* One 64 byte seal per key: more keys than the cache has slots, so each is expanded anew. */
static double miss_ns(uint8_t cipher) {
    double best = 1e18;
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        for (uint64_t id = 1; id <= KEYS; id++) {
            struct record_keys k = keys(cipher, id);
            must(seal(&k, 64) > 0);
        }
        double each = (now_ns() - start) / KEYS;
        best = each < best ? each : best;
    }
    return best;
}

int main(void) {
    static const char *const names[] = {"", "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
    static const size_t sizes[] = {64, 1400, 16384};
    printf("%-18s %-8s %6s %10s %10s\n", "cipher", "back end", "bytes", "seal ns", "open ns");
    for (uint8_t c = RECORD_AES_128_GCM; c <= RECORD_CHACHA20_POLY1305; c++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            printf("%-18s %-8s %6zu %10.0f %10.0f\n", names[c], aead_for(c)->name, sizes[i],
                   seal_ns(c, sizes[i]), open_ns(c, sizes[i]));
        printf("%-18s %-8s %6d %10.0f (key not in the cache)\n", names[c], aead_for(c)->name, 64, miss_ns(c));
    }
    return 0;
}
