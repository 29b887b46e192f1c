/* test_aead.c - published vectors against both back ends, and IPsec-MB against EVP: every variant that
 * this CPU can run, every length, every split. */
#include "test_record.h"

#include "aead.h"

struct vector {
    uint8_t cipher;
    const char *key, *nonce, *aad, *text, *sealed;
};

/* The GCM specification's test cases 1-3 and 13-15 (NIST SP 800-38D's), and RFC 8439 2.8.2. */
#define FEFF "feffe9928665731c6d6a8f9467308308"
#define ZERO "00000000000000000000000000000000"
#define D931                                                                                                 \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                                       \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
static const struct vector vectors[] = {
    {RECORD_AES_128_GCM, ZERO, "000000000000000000000000", "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {RECORD_AES_128_GCM, ZERO, "000000000000000000000000", "", ZERO,
     "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
    {RECORD_AES_128_GCM, FEFF, "cafebabefacedbaddecaf888", "", D931,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05"
     "1ba30b396a0aac973d58e091473f59854d5c2af327cd64a62cf35abd2ba6fab4"},
    {RECORD_AES_256_GCM, ZERO ZERO, "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {RECORD_AES_256_GCM, ZERO ZERO, "000000000000000000000000", "", ZERO,
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {RECORD_AES_256_GCM, FEFF FEFF, "cafebabefacedbaddecaf888", "", D931,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
     "c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c"},
    {RECORD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20496620492063"
     "6f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
     "637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
     "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"},
};

static void check_vector(const struct aead *aead, const struct vector *v) {
    uint8_t key[32], text[128], sealed[144], out[144];
    struct aead_head h;
    test_hex(v->key, key);
    test_hex(v->nonce, h.nonce);
    h.aad_len = (uint8_t)test_hex(v->aad, h.aad);
    size_t n = test_hex(v->text, text);
    cr_assert_eq(test_hex(v->sealed, sealed), n + AEAD_TAG);
    void *s = aead->schedule_new(v->cipher, key);
    cr_assert_not_null(s);
    cr_assert_eq(aead->seal(s, &h, text, n, out), 0);
    cr_assert_arr_eq(out, sealed, n + AEAD_TAG);
    cr_assert_eq(aead->open(s, &h, sealed, n, out), 0);
    cr_assert_arr_eq(out, text, n);
    sealed[n] ^= 1;
    cr_assert_eq(aead->open(s, &h, sealed, n, out), RECORD_BAD_MAC);
    aead->schedule_free(s);
}

/* One schedule through all keys, back and forth between the sizes. */
static void rekeyed(const struct aead *aead, uint8_t ciphers) {
    static const uint8_t text[40];
    uint8_t key[32], a[64], b[64];
    struct aead_head h = {.aad_len = 5};
    void *s = NULL;
    for (unsigned i = 0; i < 24; i++) {
        uint8_t cipher = (uint8_t)(RECORD_AES_128_GCM + (i * 5 / 3) % ciphers);
        test_fill(key, sizeof key, i);
        void *fresh = aead->schedule_new(cipher, key);
        cr_assert_not_null(fresh);
        if (s)
            cr_assert_eq(aead->schedule_rekey(s, cipher, key), 0);
        else
            s = aead->schedule_new(cipher, key);
        cr_assert_eq(aead->seal(fresh, &h, text, sizeof text, a), 0);
        cr_assert_eq(aead->seal(s, &h, text, sizeof text, b), 0);
        cr_assert_arr_eq(a, b, sizeof text + AEAD_TAG);
        aead->schedule_free(fresh);
    }
    cr_assert_lt(aead->schedule_rekey(s, 0, key), 0);
    aead->schedule_free(s);
}

Test(aead, rekey_equals_a_new_schedule_evp) {
    rekeyed(&aead_evp, 3);
}

Test(aead, published_vectors_evp) {
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        check_vector(&aead_evp, &vectors[i]);
}

#ifdef __x86_64__
static const char *const variants[] = {"sse", "avx", "avx2", "avx512", "vaes"};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* At least one variant must run wherever these tests do: any x86-64 with AES instructions. */
static void each_variant(void (*body)(void)) {
    size_t ran = 0;
    for (size_t i = 0; i < VARIANTS; i++)
        if (aead_ipsecmb_select(variants[i])) {
            body();
            ran++;
        } else {
            fprintf(stderr, "this CPU cannot run the %s code\n", variants[i]);
        }
    cr_assert_gt(ran, 0);
}

static void vectors_ipsecmb(void) {
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (vectors[i].cipher != RECORD_CHACHA20_POLY1305)
            check_vector(&aead_ipsecmb, &vectors[i]);
}

Test(aead, published_vectors_ipsecmb) {
    each_variant(vectors_ipsecmb);
}

static void rekeyed_ipsecmb(void) {
    rekeyed(&aead_ipsecmb, 2);
}

Test(aead, rekey_equals_a_new_schedule_ipsecmb) {
    each_variant(rekeyed_ipsecmb);
}

Test(aead, ipsecmb_knows_its_limits) {
    static const uint8_t key[32];
    cr_assert_not(aead_ipsecmb_select("mmx"));
    cr_assert(aead_ipsecmb_select(NULL));
    cr_assert_null(aead_ipsecmb.schedule_new(RECORD_CHACHA20_POLY1305, key));
    cr_assert_null(aead_ipsecmb.schedule_new(0, key));
    cr_assert_null(aead_evp.schedule_new(0, key));
    cr_assert_null(aead_evp.schedule_new(200, key));
}

struct pair {
    void *evp, *imb;
    struct aead_head h;
};

static struct pair pair_new(uint8_t cipher, unsigned seed) {
    struct pair p;
    uint8_t key[32];
    test_fill(key, sizeof key, seed);
    test_fill(p.h.nonce, sizeof p.h.nonce, seed + 1);
    test_fill(p.h.aad, sizeof p.h.aad, seed + 2);
    p.h.aad_len = seed % 2 ? 13 : 5;
    p.evp = aead_evp.schedule_new(cipher, key);
    p.imb = aead_ipsecmb.schedule_new(cipher, key);
    cr_assert(p.evp && p.imb);
    return p;
}

static void pair_free(struct pair *p) {
    aead_evp.schedule_free(p->evp);
    aead_ipsecmb.schedule_free(p->imb);
}

/* In pieces that end at cut[0..2], each way, against one call. */
static void pieces(struct pair *p, const uint8_t *text, const uint8_t *sealed, size_t n,
                   const size_t cut[3]) {
    static uint8_t out[TEST_BUFFER];
    size_t at[5] = {0, cut[0], cut[1], cut[2], n};
    for (int sealing = 0; sealing < 2; sealing++) {
        const uint8_t *in = sealing ? text : sealed;
        cr_assert_eq(aead_ipsecmb.begin(p->imb, &p->h, sealing), 0);
        for (size_t i = 0; i < 4; i++)
            cr_assert_eq(aead_ipsecmb.update(p->imb, in + at[i], at[i + 1] - at[i], out + at[i]), 0);
        if (sealing)
            cr_assert_eq(aead_ipsecmb.seal_end(p->imb, out + n), 0);
        else
            cr_assert_eq(aead_ipsecmb.open_end(p->imb, sealed + n), 0);
        cr_assert_arr_eq(out, sealing ? sealed : text, sealing ? n + AEAD_TAG : n,
                         "%zu bytes cut at %zu %zu %zu", n, cut[0], cut[1], cut[2]);
    }
}

static void cross_length(uint8_t cipher, size_t n) {
    static uint8_t text[TEST_BUFFER], a[TEST_BUFFER], b[TEST_BUFFER];
    struct pair p = pair_new(cipher, (unsigned)n + 1);
    test_fill(text, n, 9);
    cr_assert_eq(aead_evp.seal(p.evp, &p.h, text, n, a), 0);
    memset(b, 0xee, n + AEAD_TAG + 1);
    cr_assert_eq(aead_ipsecmb.seal(p.imb, &p.h, text, n, b), 0);
    cr_assert_arr_eq(a, b, n + AEAD_TAG, "%zu bytes", n);
    cr_assert_eq(b[n + AEAD_TAG], 0xee, "%zu bytes: wrote behind the tag", n);
    cr_assert_eq(aead_evp.open(p.evp, &p.h, b, n, b), 0);
    cr_assert_arr_eq(b, text, n);
    memcpy(b, a, n + AEAD_TAG);
    cr_assert_eq(aead_ipsecmb.open(p.imb, &p.h, b, n, b), 0, "%zu bytes in place", n);
    cr_assert_arr_eq(b, text, n);
    size_t third = n / 3, last = n ? n - 1 : 0;
    pieces(&p, text, a, n, (size_t[]){0, third, last > third ? last : third});
    pieces(&p, text, a, n, (size_t[]){n / 16 * 16 / 2, n / 2, n / 2});
    a[n] ^= 0x80;
    cr_assert_eq(aead_ipsecmb.open(p.imb, &p.h, a, n, b), RECORD_BAD_MAC);
    pair_free(&p);
}

static void cross_lengths(void) {
    for (uint8_t cipher = RECORD_AES_128_GCM; cipher <= RECORD_AES_256_GCM; cipher++) {
        for (size_t n = 0; n <= 640; n++)
            cross_length(cipher, n);
        for (size_t n = 641; n < 16200; n += 127)
            cross_length(cipher, n);
        for (size_t n = 16384 - 100; n <= 16384 + 257; n++)
            cross_length(cipher, n);
    }
}

Test(aead, ipsecmb_equals_evp_for_every_length) {
    each_variant(cross_lengths);
}

static void cross_splits(void) {
    static const size_t sizes[] = {1, 2, 15, 16, 17, 31, 33, 47, 48, 64, 65};
    static uint8_t text[128], sealed[160];
    for (uint8_t cipher = RECORD_AES_128_GCM; cipher <= RECORD_AES_256_GCM; cipher++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t n = sizes[i], step = n > 33 ? 3 : 1;
            struct pair p = pair_new(cipher, (unsigned)n);
            test_fill(text, n, 11);
            cr_assert_eq(aead_evp.seal(p.evp, &p.h, text, n, sealed), 0);
            for (size_t a = 0; a <= n; a += step)
                for (size_t b = a; b <= n; b += step)
                    for (size_t c = b; c <= n; c += step)
                        pieces(&p, text, sealed, n, (size_t[]){a, b, c});
            pair_free(&p);
        }
}

Test(aead, ipsecmb_equals_evp_for_every_split) {
    each_variant(cross_splits);
}

/* The last byte of a buffer ends a page: whoever reads or writes behind it, dies. */
static void page_ends(void) {
    enum { PAGE = 4096 };
    uint8_t *pages = test_guarded(PAGE);
    for (size_t n = 1; n <= 300; n++) {
        uint8_t sealed[400];
        struct pair p = pair_new(RECORD_AES_128_GCM, (unsigned)n);
        uint8_t *text = pages + PAGE - n;
        test_fill(text, n, 13);
        cr_assert_eq(aead_ipsecmb.seal(p.imb, &p.h, text, n, sealed), 0);
        cr_assert_eq(aead_ipsecmb.begin(p.imb, &p.h, false), 0);
        cr_assert_eq(aead_ipsecmb.update(p.imb, sealed, n, text), 0);
        cr_assert_eq(aead_ipsecmb.open_end(p.imb, sealed + n), 0);
        uint8_t *wire = pages + PAGE - n - AEAD_TAG;
        cr_assert_eq(aead_evp.seal(p.evp, &p.h, text, n, sealed), 0);
        memcpy(wire, sealed, n + AEAD_TAG);
        cr_assert_eq(aead_ipsecmb.open(p.imb, &p.h, wire, n, sealed), 0);
        cr_assert_eq(aead_ipsecmb.seal(p.imb, &p.h, sealed, n, wire), 0);
        pair_free(&p);
    }
    test_guarded_free(pages, PAGE);
}

Test(aead, ipsecmb_stays_inside_its_buffers) {
    each_variant(page_ends);
}
#endif

Test(aead, chacha_is_evp_always) {
    test_backend("ipsecmb");
    cr_assert_eq(aead_for(RECORD_CHACHA20_POLY1305), &aead_evp);
#ifdef __x86_64__
    cr_assert_eq(aead_for(RECORD_AES_128_GCM), &aead_ipsecmb);
#endif
}

Test(aead, environment_forces_evp) {
    test_backend("evp");
    cr_assert_eq(aead_for(RECORD_AES_128_GCM), &aead_evp);
    cr_assert_eq(aead_for(RECORD_AES_256_GCM), &aead_evp);
}
