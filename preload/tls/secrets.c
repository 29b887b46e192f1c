/* secrets.c - traffic keys: for TLS 1.3 from the secrets that the key-log callback saw, for TLS 1.2 from the
 * master key and the randoms. Every copy made here is wiped here. */
#include "secrets.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

uint8_t secrets_cipher(const struct handshake *h) {
    const SSL_CIPHER *c = SSL_get_current_cipher(h->ssl);
    switch (c ? SSL_CIPHER_get_cipher_nid(c) : NID_undef) {
    case NID_aes_128_gcm:
        return RECORD_AES_128_GCM;
    case NID_aes_256_gcm:
        return RECORD_AES_256_GCM;
    case NID_chacha20_poly1305:
        return RECORD_CHACHA20_POLY1305;
    default:
        return 0;
    }
}

static int export_tls13(const struct handshake *h, struct record_keys *client, struct record_keys *server) {
    uint8_t cipher = secrets_cipher(h);
    int rc = record_keys_tls13(client, cipher, h->secret[0], h->secret_len[0]);
    return rc == 0 ? record_keys_tls13(server, cipher, h->secret[1], h->secret_len[1]) : rc;
}

static int export_tls12(const struct handshake *h, struct record_keys *client, struct record_keys *server) {
    uint8_t master[SSL_MAX_MASTER_KEY_LENGTH], random[2][32];
    size_t len = SSL_SESSION_get_master_key(SSL_get_session(h->ssl), master, sizeof master);
    int rc = -1;
    if (len > 0 && SSL_get_client_random(h->ssl, random[0], 32) == 32 &&
        SSL_get_server_random(h->ssl, random[1], 32) == 32) {
        const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(h->ssl));
        rc = record_keys_tls12(client, server, secrets_cipher(h), md && EVP_MD_get_size(md) == 48, master,
                               len, random[0], random[1]);
    }
    /* The two Finished were the records 0. */
    client->seq = server->seq = 1;
    OPENSSL_cleanse(master, sizeof master);
    return rc;
}

int secrets_export(const struct handshake *h, struct handshake_result *out) {
    struct record_keys *client = h->policy.server ? &out->rx : &out->tx;
    struct record_keys *server = h->policy.server ? &out->tx : &out->rx;
    bool tls13 = SSL_version(h->ssl) == TLS1_3_VERSION;
    int rc = tls13 ? export_tls13(h, client, server) : export_tls12(h, client, server);
    if (rc != 0) {
        record_wipe(client);
        record_wipe(server);
        return rc;
    }
    if (tls13 && h->policy.server)
        server->seq = h->tickets;
    return 0;
}
