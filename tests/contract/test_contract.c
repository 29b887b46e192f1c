/* test_contract.c - one body over every pair of {ours, OpenSSL}: handshake, bytes in every split, key
 * updates and an orderly end, through rings of 1, 2, 5 and 512 bytes. */
#include "contract.h"

static struct test_cert ca, sleep_cert, httpbin_cert;
static const char *client_dir, *server_dir;

static void setup(void) {
    ca = test_ca("test CA");
    sleep_cert = test_workload(&ca, TEST_ID("sleep"));
    httpbin_cert = test_workload(&ca, TEST_ID("httpbin"));
    client_dir = test_identity(test_subdir("client"), &sleep_cert, NULL, ca.cert);
    server_dir = test_identity(test_subdir("server"), &httpbin_cert, NULL, ca.cert);
}

static void teardown(void) {
    test_cert_free(&ca);
    test_cert_free(&sleep_cert);
    test_cert_free(&httpbin_cert);
    test_dir_remove();
}

TestSuite(contract, .init = setup, .fini = teardown, .timeout = 120);

static const size_t rooms[] = {1, 2, 5, 512};
enum { ROOMS = sizeof rooms / sizeof *rooms };

struct suite {
    int version;
    const char *name;
};
static const struct suite suites[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"},        {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384"},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256"},  {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384"}, {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305"},
};
enum { SUITES = sizeof suites / sizeof *suites };

/* One direction: what goes in, what came out. parts says where writes end (bit i: after byte i); 0 with a
 * seed: at random. */
struct stream {
    uint8_t *bytes;
    size_t total, sent, got;
    uint32_t parts, seed;
    bool updates, ended;
};

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static size_t write_size(struct stream *s) {
    size_t left = s->total - s->sent, n = 1;
    if (s->parts) {
        while (n < left && !(s->parts >> (s->sent + n - 1) & 1u))
            n++;
        return n;
    }
    static const size_t sizes[] = {1, 2, 100, 1400, 16383, 16384, 16385, 20000};
    n = next(&s->seed) % 2 ? sizes[next(&s->seed) % 8] : 1 + next(&s->seed) % 700;
    return n < left ? n : left;
}

static bool stream_step(struct stream *s, struct end *from, struct end *to) {
    uint8_t back[4096];
    size_t before = s->sent + s->got;
    if (s->sent < s->total) {
        size_t taken = from->kind->write(from->self, s->bytes + s->sent, write_size(s));
        s->sent += taken;
        if (taken && s->updates && next(&s->seed) % 8 == 0)
            from->kind->update(from->self, next(&s->seed) % 2);
        if (s->sent == s->total)
            from->kind->close(from->self);
    }
    size_t want = s->parts ? 1 + s->parts % 3 : 1 + next(&s->seed) % sizeof back;
    long n = to->kind->read(to->self, back, want);
    if (n == READ_END) {
        cr_assert_eq(s->got, s->total, "end after %zu of %zu", s->got, s->total);
        s->ended = true;
    } else if (n > 0) {
        cr_assert_leq(s->got + (size_t)n, s->total);
        cr_assert_arr_eq(back, s->bytes + s->got, (size_t)n);
        s->got += (size_t)n;
    }
    return s->sent + s->got > before;
}

static void shake(struct end *client, struct end *server, struct ring *up, struct ring *down) {
    bool moved = true;
    while (!client->kind->ready(client->self) || !server->kind->ready(server->self)) {
        cr_assert(moved, "handshake of %s with %s stands still", client->kind->name, server->kind->name);
        moved = client->kind->move(client->self, down, up);
        moved |= server->kind->move(server->self, up, down);
    }
}

/* The body. Both streams run at once; each side's close_notify follows its last byte. */
static void talk(struct end client, struct end server, size_t room, struct stream *a, struct stream *b) {
    struct ring up = {.room = room}, down = {.room = room};
    shake(&client, &server, &up, &down);
    int still = 0;
    while (!a->ended || !b->ended) {
        bool moved = stream_step(a, &client, &server);
        moved |= stream_step(b, &server, &client);
        moved |= client.kind->move(client.self, &down, &up);
        moved |= server.kind->move(server.self, &up, &down);
        still = moved ? 0 : still + 1;
        cr_assert_lt(still, 3, "%s with %s, ring %zu: %zu of %zu, %zu of %zu", client.kind->name,
                     server.kind->name, room, a->got, a->total, b->got, b->total);
    }
    client.kind->free_(client.self);
    server.kind->free_(server.self);
}

enum pairing { OURS_OURS, OURS_ORACLE, ORACLE_OURS, ORACLE_ORACLE };

static struct end make_client(enum pairing p, const struct suite *s) {
    if (p == OURS_OURS || p == OURS_ORACLE)
        return ours_handshake(test_client(client_dir));
    return oracle_new(
        (struct test_peer){.version = s->version, .suite = s->name, .leaf = &sleep_cert, .roots = &ca});
}

static struct end make_server(enum pairing p, const struct suite *s) {
    if (p == OURS_OURS || p == ORACLE_OURS)
        return ours_handshake(test_server(server_dir));
    return oracle_new((struct test_peer){.server = true,
                                         .demand = true,
                                         .version = s->version,
                                         .suite = s->name,
                                         .leaf = &httpbin_cert,
                                         .roots = &ca});
}

static struct stream new_stream(size_t total, uint32_t parts, uint32_t seed) {
    struct stream s = {.bytes = malloc(total), .total = total, .parts = parts, .seed = seed};
    cr_assert(s.bytes);
    test_fill(s.bytes, total, seed);
    return s;
}

static void one(struct end client, struct end server, size_t room, struct stream a, struct stream b) {
    talk(client, server, room, &a, &b);
    free(a.bytes);
    free(b.bytes);
}

static void random_streams(enum pairing p, const struct suite *s, uint32_t seed) {
    for (size_t r = 0; r < ROOMS; r++) {
        size_t total = rooms[r] < 5 ? 20000 : 90000;
        struct stream a = new_stream(total, 0, seed), b = new_stream(total / 3, 0, seed + 1);
        a.updates = b.updates = s->version == TLS1_3_VERSION;
        one(make_client(p, s), make_server(p, s), rooms[r], a, b);
    }
}

static void all_suites(enum pairing p) {
    for (uint32_t i = 0; i < SUITES; i++)
        random_streams(p, &suites[i], 100 * i + (uint32_t)p);
}

/* Between two of ours the suite is theirs to choose. */
Test(contract, ours_with_ours) {
    for (uint32_t seed = 1; seed < 5; seed++)
        random_streams(OURS_OURS, &suites[0], seed);
}

Test(contract, ours_with_oracle) {
    all_suites(OURS_ORACLE);
}

Test(contract, oracle_with_ours) {
    all_suites(ORACLE_OURS);
}

/* Shows that the body itself asks for nothing that TLS does not give. */
Test(contract, oracle_with_oracle) {
    all_suites(ORACLE_ORACLE);
}

enum { SHORT = 8, SPLITS = 1 << (SHORT - 1) };

static void every_split(enum pairing p, const struct suite *s) {
    for (size_t r = 0; r < ROOMS; r++)
        for (uint32_t parts = 0; parts < SPLITS; parts += s->version == TLS1_3_VERSION ? 1 : 3)
            one(make_client(p, s), make_server(p, s), rooms[r], new_stream(SHORT, parts | SPLITS, parts),
                new_stream(SHORT, (SPLITS - 1 - parts) | SPLITS, parts + 1));
}

Test(contract, every_split_ours_with_ours) {
    every_split(OURS_OURS, &suites[0]);
}

Test(contract, every_split_ours_with_oracle) {
    every_split(OURS_ORACLE, &suites[0]);
    every_split(OURS_ORACLE, &suites[3]);
}

Test(contract, every_split_oracle_with_ours) {
    every_split(ORACLE_OURS, &suites[0]);
    every_split(ORACLE_OURS, &suites[3]);
}

/* Every suite between two record engines, whatever a handshake would have chosen. */
static void keyed(struct test_suite suite, size_t room, bool split, uint32_t seed) {
    struct record_keys up = test_keys(suite, seed), down = test_keys(suite, seed + 7);
    struct stream a = new_stream(split ? SHORT : 50000, split ? seed % SPLITS | SPLITS : 0, seed);
    struct stream b = new_stream(split ? SHORT : 9000, split ? SPLITS : 0, seed);
    a.updates = b.updates = suite.version == 0x0304;
    one(ours_keyed(down, up), ours_keyed(up, down), room, a, b);
}

Test(contract, every_suite_of_the_engine) {
    for (size_t i = 0; i < TEST_SUITES; i++)
        for (size_t r = 0; r < ROOMS; r++) {
            keyed(test_suites[i], rooms[r], false, (uint32_t)i + 1);
            for (uint32_t parts = 0; parts < SPLITS; parts++)
                keyed(test_suites[i], rooms[r], true, parts);
        }
}
