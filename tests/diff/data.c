/* data.c - bytes, digests, vector and flag notation, and the clock.
 *
 * Nothing here touches a descriptor.
 */
#include "diff.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

void data_make(uint8_t *to, size_t n, size_t offset, unsigned salt) {
    for (size_t i = 0; i < n; i++) {
        size_t at = offset + i;
        to[i] = (uint8_t)(at * 131 + (at >> 8) * 17 + (at >> 16) + salt * 29);
    }
}

size_t data_check(const uint8_t *from, size_t n, size_t offset, unsigned salt) {
    for (size_t i = 0; i < n; i++) {
        size_t at = offset + i;
        if (from[i] != (uint8_t)(at * 131 + (at >> 8) * 17 + (at >> 16) + salt * 29))
            return i;
    }
    return n;
}

uint32_t data_digest(uint32_t digest, const uint8_t *from, size_t n) {
    for (size_t i = 0; i < n; i++)
        digest = (digest ^ from[i]) * 16777619u;
    return digest;
}

int data_vectors(const char *spec, uint8_t *buf, struct iovec *vec, size_t *total) {
    int count = 0;
    *total = 0;
    while (*spec && count < DIFF_VECS) {
        char *end;
        size_t n = strtoul(spec, &end, 10);
        vec[count++] = (struct iovec){.iov_base = buf + *total, .iov_len = n};
        *total += n;
        spec = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            break;
    }
    return count;
}

int data_flags(const char *letters) {
    static const struct {
        char letter;
        int flag;
    } table[] = {{'p', MSG_PEEK}, {'w', MSG_WAITALL},  {'d', MSG_DONTWAIT}, {'t', MSG_TRUNC},
                 {'m', MSG_MORE}, {'n', MSG_NOSIGNAL}, {'o', MSG_OOB},      {'e', MSG_ERRQUEUE}};
    int flags = 0;
    for (; *letters; letters++)
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
            if (table[i].letter == *letters)
                flags |= table[i].flag;
    return flags;
}

struct data_fill *data_fill_of(const char *name) {
    enum { FILLS = 26 * 11 };
    static struct data_fill *fills;
    if (!fills) {
        fills = mmap(NULL, FILLS * sizeof *fills, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (fills == MAP_FAILED)
            abort();
    }
    size_t digit = name[1] ? (size_t)(name[1] - '0') + 1 : 0;
    return &fills[((size_t)(name[0] - 'a') * 11 + digit) % FILLS];
}

int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void pause_ms(int ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}
