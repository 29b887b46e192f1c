/* test_record_keys.c - key derivation against RFC 5869/8446 and RFC 5246 written out again over HMAC,
 * and chains of key updates on both sides. */
#include "test_record.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static const EVP_MD *md_of(bool sha384) {
    return sha384 ? EVP_sha384() : EVP_sha256();
}

/* HKDF-Expand-Label with an empty context, up to one hash long: HMAC(secret, HkdfLabel || 1). */
static void expand_label(const uint8_t *secret, size_t secret_len, const char *label, uint8_t *out,
                         size_t len) {
    uint8_t info[64], block[EVP_MAX_MD_SIZE];
    unsigned block_len;
    size_t label_len = strlen(label);
    info[0] = 0;
    info[1] = (uint8_t)len;
    info[2] = (uint8_t)(6 + label_len);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_len);
    info[9 + label_len] = 0;
    info[10 + label_len] = 1;
    cr_assert_not_null(
        HMAC(md_of(secret_len == 48), secret, (int)secret_len, info, 11 + label_len, block, &block_len));
    cr_assert_leq(len, block_len);
    memcpy(out, block, len);
}

static size_t key_len(uint8_t cipher) {
    return cipher == RECORD_AES_128_GCM ? 16 : 32;
}

static void check_tls13(const struct record_keys *k, const uint8_t *secret) {
    uint8_t key[32], iv[12];
    expand_label(secret, k->secret_len, "key", key, key_len(k->cipher));
    expand_label(secret, k->secret_len, "iv", iv, sizeof iv);
    cr_assert_arr_eq(k->key, key, key_len(k->cipher));
    cr_assert_arr_eq(k->iv, iv, sizeof iv);
    cr_assert_arr_eq(k->secret, secret, k->secret_len);
    cr_assert_eq(k->seq, 0);
    cr_assert_neq(k->key_id, 0);
    cr_assert_eq(k->version, 0x0304);
}

static void exchange(struct record_keys *tx, struct record_keys *rx, uint8_t mark) {
    uint8_t rec[64], out[8], type = 0;
    long len = test_seal(tx, RECORD_DATA, &mark, 1, rec);
    cr_assert_gt(len, 0);
    cr_assert_eq(record_engine_user.open(rx, rec, (size_t)len, out, sizeof out, &type), 1);
    cr_assert_eq(out[0], mark);
    cr_assert_eq(tx->seq, rx->seq);
}

static void update_chain(uint8_t cipher) {
    uint8_t secret[48], next[48], old[64], out[8], type;
    struct record_keys tx, rx;
    size_t len = cipher == RECORD_AES_256_GCM ? 48 : 32;
    test_fill(secret, len, cipher);
    cr_assert_eq(record_keys_tls13(&tx, cipher, secret, len), 0);
    cr_assert_eq(record_keys_tls13(&rx, cipher, secret, len), 0);
    cr_assert_neq(tx.key_id, rx.key_id);
    for (uint8_t generation = 0; generation < 50; generation++) {
        uint64_t id = tx.key_id;
        check_tls13(&tx, secret);
        exchange(&tx, &rx, generation);
        exchange(&tx, &rx, 99);
        long stale = test_seal(&tx, RECORD_DATA, (const uint8_t *)"x", 1, old);
        cr_assert_eq(record_engine_user.update(&tx), 0);
        cr_assert_eq(record_engine_user.update(&rx), 0);
        cr_assert_neq(tx.key_id, id);
        cr_assert_eq(record_engine_user.open(&rx, old, (size_t)stale, out, sizeof out, &type),
                     RECORD_BAD_MAC);
        expand_label(secret, len, "traffic upd", next, len);
        memcpy(secret, next, len);
    }
}

static void update_chains(const char *backend) {
    test_backend(backend);
    for (uint8_t cipher = RECORD_AES_128_GCM; cipher <= RECORD_CHACHA20_POLY1305; cipher++)
        update_chain(cipher);
}

Test(record_keys, update_chains_agree_evp) {
    update_chains("evp");
}

Test(record_keys, update_chains_agree_ipsecmb) {
    update_chains("ipsecmb");
}

/* P_hash of RFC 5246 5, 136 bytes at most are ever needed. */
static void prf(bool sha384, const uint8_t master[48], const uint8_t *seed, size_t seed_len, uint8_t *out,
                size_t len) {
    uint8_t a[EVP_MAX_MD_SIZE + 128], block[EVP_MAX_MD_SIZE];
    unsigned n;
    cr_assert_not_null(HMAC(md_of(sha384), master, 48, seed, seed_len, a, &n));
    for (size_t done = 0; done < len; done += n) {
        memcpy(a + n, seed, seed_len);
        cr_assert_not_null(HMAC(md_of(sha384), master, 48, a, n + seed_len, block, &n));
        memcpy(out + done, block, len - done < n ? len - done : n);
        cr_assert_not_null(HMAC(md_of(sha384), master, 48, a, n, block, NULL));
        memcpy(a, block, n);
    }
}

static void check_tls12(uint8_t cipher, bool sha384) {
    uint8_t master[48], seed[13 + 64], block[88], *at = block;
    struct record_keys client, server, peer;
    size_t key = key_len(cipher), iv = cipher == RECORD_CHACHA20_POLY1305 ? 12 : 4;
    test_fill(master, sizeof master, cipher);
    memcpy(seed, "key expansion", 13);
    test_fill(seed + 13, 64, 21); /* the server's random, then the client's */
    prf(sha384, master, seed, sizeof seed, block, sizeof block);
    cr_assert_eq(record_keys_tls12(&client, &server, cipher, sha384, master, 48, seed + 13 + 32, seed + 13),
                 0);
    cr_assert_arr_eq(client.key, at, key);
    cr_assert_arr_eq(server.key, at += key, key);
    cr_assert_arr_eq(client.iv, at += key, iv);
    cr_assert_arr_eq(server.iv, at += iv, iv);
    cr_assert_eq(client.version, 0x0303);
    cr_assert_neq(client.key_id, server.key_id);
    cr_assert_eq(record_engine_user.update(&client), RECORD_INTERNAL, "TLS 1.2 has no KeyUpdate");
    peer = client;
    exchange(&client, &peer, 3);
}

Test(record_keys, tls12_key_block) {
    check_tls12(RECORD_AES_128_GCM, false);
    check_tls12(RECORD_AES_256_GCM, true);
    check_tls12(RECORD_CHACHA20_POLY1305, false);
}

static bool zeroed(const struct record_keys *k) {
    static const struct record_keys none;
    return memcmp(k, &none, sizeof none) == 0;
}

Test(record_keys, refuses_what_does_not_fit) {
    static const uint8_t secret[48], random[32];
    struct record_keys k, other;
    memset(&k, 1, sizeof k);
    cr_assert_lt(record_keys_tls13(&k, RECORD_AES_128_GCM, secret, 48), 0);
    cr_assert(zeroed(&k));
    cr_assert_lt(record_keys_tls13(&k, RECORD_AES_256_GCM, secret, 32), 0);
    cr_assert_lt(record_keys_tls13(&k, 0, secret, 32), 0);
    cr_assert_lt(record_keys_tls13(&k, RECORD_CHACHA20_POLY1305 + 1, secret, 32), 0);
    memset(&k, 1, sizeof k);
    memset(&other, 1, sizeof other);
    cr_assert_lt(record_keys_tls12(&k, &other, 9, false, secret, 48, random, random), 0);
    cr_assert(zeroed(&k) && zeroed(&other));
}

Test(record_keys, wipe_leaves_nothing) {
    struct record_keys k = test_keys(test_suites[0], 5);
    record_wipe(&k);
    cr_assert(zeroed(&k));
    cr_assert_eq(test_seal(&k, RECORD_DATA, (const uint8_t *)"x", 1, (uint8_t[64]){0}), RECORD_INTERNAL);
}
