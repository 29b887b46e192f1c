/* test_record.c - published records (RFC 8448 3), header rules, sealing: sizes, gathering, limits. */
#include "test_record.h"

static const char client_secret[] = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";

static struct record_keys from_secret(const char *hex, const char *key, const char *iv) {
    struct record_keys k;
    uint8_t secret[32], expected[32];
    size_t n = test_hex(hex, secret);
    cr_assert_eq(record_keys_tls13(&k, RECORD_AES_128_GCM, secret, n), 0);
    cr_assert_eq(test_hex(key, expected), 16);
    cr_assert_arr_eq(k.key, expected, 16);
    cr_assert_eq(test_hex(iv, expected), 12);
    cr_assert_arr_eq(k.iv, expected, 12);
    return k;
}

/* One published record must come out of seal, and go back into what it was. */
static void both_ways(struct record_keys k, uint64_t seq, uint8_t type, const uint8_t *text, size_t n,
                      const char *wire_hex) {
    uint8_t wire[128], sealed[128], out[128];
    uint8_t got = 0;
    struct record_keys rx = k;
    size_t len = test_hex(wire_hex, wire);
    k.seq = rx.seq = seq;
    cr_assert_eq(test_seal(&k, type, text, n, sealed), (long)len);
    cr_assert_arr_eq(sealed, wire, len);
    cr_assert_eq(record_engine_user.open(&rx, wire, len, out, n, &got), (long)n);
    cr_assert_arr_eq(out, text, n);
    cr_assert_eq(got, type);
    cr_assert_eq(k.seq, seq + 1);
    cr_assert_eq(rx.seq, seq + 1);
}

static void simple_1rtt(void) {
    static const uint8_t close_notify[] = {1, 0};
    uint8_t data[50];
    for (uint8_t i = 0; i < sizeof data; i++)
        data[i] = i;
    struct record_keys client =
        from_secret(client_secret, "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9");
    struct record_keys server =
        from_secret(server_secret, "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984");
    both_ways(
        client, 0, RECORD_DATA, data, sizeof data,
        "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b"
        "62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4");
    both_ways(
        server, 1, RECORD_DATA, data, sizeof data, /* the server's record 0 is a ticket */
        "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8"
        "fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d");
    both_ways(client, 1, RECORD_ALERT, close_notify, sizeof close_notify,
              "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3");
    both_ways(server, 2, RECORD_ALERT, close_notify, sizeof close_notify,
              "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9");
}

Test(record, rfc8448_simple_1rtt_evp) {
    test_backend("evp");
    simple_1rtt();
}

Test(record, rfc8448_simple_1rtt_ipsecmb) {
    test_backend("ipsecmb");
    simple_1rtt();
}

static long wire_len(uint8_t type, uint8_t major, uint8_t minor, size_t len, uint16_t version) {
    uint8_t header[RECORD_HEADER] = {type, major, minor, (uint8_t)(len >> 8), (uint8_t)len};
    return record_wire_len(header, version);
}

Test(record, wire_len_of_good_headers) {
    cr_assert_eq(wire_len(22, 3, 1, 517, 0), 522);
    cr_assert_eq(wire_len(23, 3, 3, 1, 0x0304), 6);
    cr_assert_eq(wire_len(23, 3, 1, 64, 0x0304), 69); /* RFC 8446 5.1: the low byte is ignored */
    cr_assert_eq(wire_len(23, 3, 3, 16384 + 256, 0x0304), 16384 + 261);
    cr_assert_eq(wire_len(23, 3, 3, 16384 + 2048, 0x0303), RECORD_WIRE_MAX);
    cr_assert_eq(wire_len(20, 3, 3, 1, 0x0303), 6);
}

Test(record, wire_len_of_bad_headers) {
    cr_assert_eq(wire_len(23, 3, 3, 16384 + 257, 0x0304), RECORD_TOO_LONG);
    cr_assert_eq(wire_len(23, 3, 3, 16384 + 2049, 0x0303), RECORD_TOO_LONG);
    cr_assert_eq(wire_len(23, 3, 3, 65535, 0), RECORD_TOO_LONG);
    cr_assert_eq(wire_len(19, 3, 3, 10, 0), RECORD_BAD_FORMAT);
    cr_assert_eq(wire_len(24, 3, 3, 10, 0x0303), RECORD_BAD_FORMAT);
    cr_assert_eq(wire_len('G', 'E', 'T', 10, 0), RECORD_BAD_FORMAT);
    cr_assert_eq(wire_len(23, 2, 3, 10, 0x0304), RECORD_BAD_FORMAT);
    cr_assert_eq(wire_len(23, 3, 1, 10, 0x0303), RECORD_BAD_FORMAT);
    cr_assert_eq(wire_len(22, 3, 3, 0, 0), RECORD_BAD_FORMAT);
}

/* A text of n bytes in up to four members (some of them empty), from offset skip on. */
static void seal_split(struct record_keys *k, const uint8_t *text, size_t n, const size_t cut[3],
                       const uint8_t *expected, long len) {
    static uint8_t out[TEST_BUFFER], shifted[RECORD_PLAIN_MAX + 7];
    size_t at[5] = {0, cut[0], cut[1], cut[2], n + 7};
    struct iovec iov[6] = {{NULL, 0}, {NULL, 0}};
    memcpy(shifted + 7, text, n);
    for (size_t i = 0; i < 4; i++)
        iov[i + 1] = (struct iovec){shifted + at[i], at[i + 1] - at[i]};
    cr_assert_eq(record_engine_user.seal(k, RECORD_DATA, iov, 7, n, out), len);
    cr_assert_arr_eq(out, expected, (size_t)len, "%zu bytes cut at %zu %zu %zu", n, cut[0], cut[1], cut[2]);
}

static void every_split(struct test_suite suite, size_t n, size_t step) {
    static uint8_t text[RECORD_PLAIN_MAX], whole[TEST_BUFFER];
    struct record_keys k = test_keys(suite, (unsigned)n + 3);
    test_fill(text, n, 5);
    long len = test_seal(&k, RECORD_DATA, text, n, whole);
    cr_assert_eq(len, (long)(n + record_overhead(&k)));
    for (size_t a = 0; a <= n + 7; a += step)
        for (size_t b = a; b <= n + 7; b += step)
            for (size_t c = b; c <= n + 7; c += step) {
                k.seq = 0;
                seal_split(&k, text, n, (size_t[]){a, b, c}, whole, len);
            }
}

static void splits(void) {
    static const size_t sizes[] = {64, 300, 1023, 1024, 1025, 1040, 4097, 16383, 16384};
    for (size_t s = 0; s < TEST_SUITES; s++) {
        for (size_t n = 0; n <= 18; n++)
            every_split(test_suites[s], n, 1);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            every_split(test_suites[s], sizes[i], sizes[i] / 7 | 1);
    }
}

Test(record, gathers_every_split_evp) {
    test_backend("evp");
    splits();
}

Test(record, gathers_every_split_ipsecmb) {
    test_backend("ipsecmb");
    splits();
}

Test(record, overhead_and_limit) {
    static const size_t overhead[TEST_SUITES] = {22, 22, 22, 29, 29, 21};
    for (size_t s = 0; s < TEST_SUITES; s++) {
        struct record_keys k = test_keys(test_suites[s], 1);
        cr_assert_eq(record_overhead(&k), overhead[s]);
        cr_assert_leq(record_overhead(&k), RECORD_OVERHEAD_MAX);
        if (test_suites[s].cipher == RECORD_CHACHA20_POLY1305)
            cr_assert_gt(record_limit(&k), UINT64_C(1) << 50);
        else
            cr_assert_eq(record_limit(&k), UINT64_C(1) << 23);
    }
    cr_assert_str_eq(record_engine_user.name, "user");
}

Test(record, refuses_what_must_not_be_sealed) {
    static uint8_t text[RECORD_PLAIN_MAX + 1], out[TEST_BUFFER];
    for (size_t s = 0; s < TEST_SUITES; s++) {
        struct record_keys k = test_keys(test_suites[s], 2);
        cr_assert_eq(test_seal(&k, RECORD_DATA, text, sizeof text, out), RECORD_TOO_LONG);
        cr_assert_eq(k.seq, 0);
        k.seq = UINT64_MAX - 1;
        cr_assert_gt(test_seal(&k, RECORD_DATA, text, 10, out), 0);
        cr_assert_eq(k.seq, UINT64_MAX);
        cr_assert_eq(test_seal(&k, RECORD_DATA, text, 10, out), RECORD_INTERNAL, "the sequence would wrap");
        cr_assert_eq(k.seq, UINT64_MAX);
    }
    struct record_keys none = {0};
    cr_assert_eq(test_seal(&none, RECORD_DATA, text, 10, out), RECORD_INTERNAL);
}

Test(record, tls12_explicit_nonce_is_the_sequence_number) {
    uint8_t out[64];
    struct record_keys k = test_keys((struct test_suite){0x0303, RECORD_AES_128_GCM}, 4);
    k.seq = UINT64_C(0x0102030405060708);
    cr_assert_eq(test_seal(&k, RECORD_ALERT, (const uint8_t *)"\1\0", 2, out), 31);
    cr_assert_arr_eq(out, ((const uint8_t[]){21, 3, 3, 0, 26, 1, 2, 3, 4, 5, 6, 7, 8}), 13);
}
