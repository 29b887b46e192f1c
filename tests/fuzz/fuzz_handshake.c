/* fuzz_handshake.c - libFuzzer target for what a peer can send into a handshake: raw records from the first
 * byte on, and a true handshake in which one record is changed on its way.
 *
 *   clang -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/fuzz_handshake.c \
 *     $(ls preload/tls/?*.c preload/engine/?*.c) -lssl -lcrypto -lIPSec_MB
 *
 * Input: one byte of role and mode, then raw: bytes that are cut into records by their headers; changed:
 * number of the record, two bytes of offset, what to do there, and the bytes to do it with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca.h"
#include "handshake.h"

extern struct mtlswrap_engine mtlswrap_engine;
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define API (mtlswrap_engine.handshake)
#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

static char dir[] = "/tmp/mtlswrap-fuzz-XXXXXX";

static void clean_up(void) {
    static const char *const FILES[] = {"a/key.pem", "a/cert-chain.pem", "a/root-cert.pem",
                                        "a",         "ca-key.pem",       "root-cert.pem"};
    char path[128];
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, FILES[i]);
        (void)remove(path);
    }
    (void)rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    char error[CA_ERROR_MAX], leaf[64];
    CHECK(mkdtemp(dir) && atexit(clean_up) == 0);
    (void)snprintf(leaf, sizeof leaf, "%s/a", dir);
    CHECK(ca_init(dir, "cluster.local", error) == 0);
    CHECK(ca_issue(dir, leaf, "spiffe://cluster.local/ns/a/sa/a", NULL, 0, 1000000, error) == 0);
    return 0;
}

static struct handshake *begin(bool server) {
    static char identity[64], error[HANDSHAKE_ERROR_MAX];
    (void)snprintf(identity, sizeof identity, "%s/a", dir);
    const struct handshake_config cfg = {.server = server,
                                         .spiffe = true,
                                         .client_auth = CLIENT_AUTH_REQUIRED,
                                         .trust_domain = "cluster.local",
                                         .identity_dir = identity,
                                         .alpn_istio = true,
                                         .destination = "1.2.3.4:5"};
    struct handshake *h = API->new_(&cfg, error);
    CHECK(h);
    return h;
}

/* What must hold whatever was fed. */
static void check(struct handshake *h, enum handshake_status status) {
    struct handshake_result r;
    size_t len;
    const uint8_t *p = API->output(h, &len);
    CHECK((p != NULL) == (len > 0));
    if (status == HANDSHAKE_FAILED) {
        CHECK(API->error(h)[0] && !strchr(API->error(h), '\n'));
        CHECK(API->step(h) == HANDSHAKE_FAILED && API->export_(h, &r) != 0);
    } else if (status == HANDSHAKE_DONE) {
        CHECK(API->export_(h, &r) == 0 && r.peer[0] && r.tx.cipher && r.rx.cipher);
    }
}

static void raw(bool server, const uint8_t *data, size_t size) {
    struct handshake *h = begin(server);
    enum handshake_status status = API->step(h);
    while (status == HANDSHAKE_WANT_READ && size > 0) {
        size_t n = size < 5 ? size : 5 + ((size_t)data[3] << 8 | data[4]);
        n = n > size ? size : n;
        uint8_t *copy = malloc(n); /* exactly as large, so that the sanitizer sees each byte too many */
        CHECK(copy);
        memcpy(copy, data, n);
        status = API->feed(h, copy, n);
        free(copy);
        data += n;
        size -= n;
    }
    check(h, status);
    API->free_(h);
}

struct change {
    unsigned record, at, how;
    const uint8_t *bytes;
    size_t n;
};

/* Returns the record's new length; its header tells the truth except where the change says otherwise. */
static size_t apply(const struct change *c, uint8_t *rec, size_t len, size_t room) {
    size_t at = c->at % len, n = c->n < len - at ? c->n : len - at;
    if (c->how % 3 == 0) {
        memcpy(rec + at, c->bytes, n);
        return len;
    }
    if (c->how % 3 == 1 && len + c->n <= room) {
        memmove(rec + at + c->n, rec + at, len - at);
        memcpy(rec + at, c->bytes, c->n);
        len += c->n;
    } else {
        memmove(rec + at, rec + at + n, len - at - n);
        len -= n;
    }
    if (len >= 5) {
        rec[3] = (uint8_t)((len - 5) >> 8);
        rec[4] = (uint8_t)(len - 5);
    }
    return len;
}

/* Everything that one side has to say, record by record, into the other. */
static enum handshake_status carry(struct handshake *from, struct handshake *to, enum handshake_status status,
                                   const struct change *c, unsigned *count) {
    static uint8_t bytes[65536];
    size_t len, total = 0;
    const uint8_t *p = API->output(from, &len);
    CHECK(len <= sizeof bytes);
    if (len)
        memcpy(bytes, p, len);
    API->output_taken(from, len);
    while (total + 5 <= len && status == HANDSHAKE_WANT_READ) {
        size_t n = 5 + ((size_t)bytes[total + 3] << 8 | bytes[total + 4]);
        CHECK(total + n <= len);
        uint8_t *copy = malloc(n + c->n);
        CHECK(copy);
        memcpy(copy, bytes + total, n);
        size_t m = (*count)++ == c->record ? apply(c, copy, n, n + c->n) : n;
        status = API->feed(to, copy, m);
        free(copy);
        total += n;
    }
    return status;
}

static void changed(const struct change *c) {
    struct handshake *side[2] = {begin(false), begin(true)};
    enum handshake_status status[2] = {API->step(side[0]), API->step(side[1])};
    unsigned count = 0;
    for (int round = 0; round < 8; round++) {
        status[1] = carry(side[0], side[1], status[1], c, &count);
        status[0] = carry(side[1], side[0], status[0], c, &count);
    }
    check(side[0], status[0]);
    check(side[1], status[1]);
    API->free_(side[0]);
    API->free_(side[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    if (data[0] & 2) {
        raw(data[0] & 1, data + 1, size - 1);
        return 0;
    }
    if (size < 5)
        return 0;
    const struct change c = {data[1] % 16, (unsigned)data[2] << 8 | data[3], data[4], data + 5, size - 5};
    changed(&c);
    return 0;
}
