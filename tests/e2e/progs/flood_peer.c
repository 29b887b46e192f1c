/* flood_peer.c - a TLS 1.3 peer that shakes hands as it should (OpenSSL) and then seals whatever records it
 * likes.
 *
 *   flood_peer client|server ADDRESS PORT KIND COUNT CERTIFICATES
 *
 * COUNT records of one KIND, then the data "after the flood\n", then close_notify. KIND: update, asked
 * (KeyUpdate without and with a request), ticket, empty, padded (16 KiB of nothing), byte (data), cancel (the
 * alert user_canceled), ccs, warning (the alert no_renegotiation). What the other side sends is counted and
 * printed. CERTIFICATES is a directory with key.pem, cert-chain.pem and root-cert.pem; the peer is not
 * checked. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HASH = 32, KEY = 16, NONCE = 12, TAG = 16, ALERT = 21, HANDSHAKE = 22, DATA = 23, BATCH = 200000 };

static int server, fd;
static uint8_t secret[HASH], iv[NONCE];
static uint64_t seq;
static EVP_CIPHER_CTX *aes;
static uint8_t batch[BATCH];
static size_t filled, heard;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "flood_peer: %s\n", what);
    exit(1);
}

static void keylog(const SSL *ssl, const char *line) {
    (void)ssl;
    const char *label = server ? "SERVER_TRAFFIC_SECRET_0 " : "CLIENT_TRAFFIC_SECRET_0 ";
    const char *hex = strrchr(line, ' ');
    if (strncmp(line, label, strlen(label)) || strlen(hex + 1) != 2 * HASH)
        return;
    for (int i = 0; i < HASH; i++)
        sscanf(hex + 1 + 2 * i, "%2hhx", &secret[i]);
}

/* HKDF-Expand-Label of RFC 8446, section 7.1, with an empty context, for at most one block of the hash. */
static void expand(const char *label, uint8_t *out, size_t n) {
    uint8_t info[64] = {0, (uint8_t)n}, block[HASH];
    size_t len = strlen(label);
    unsigned got = HASH;
    info[2] = (uint8_t)(6 + len);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, len);
    info[10 + len] = 1; /* behind the empty context: the number of the block */
    HMAC(EVP_sha256(), secret, HASH, info, 11 + len, block, &got);
    memcpy(out, block, n);
}

static void use_secret(void) {
    uint8_t key[KEY];
    expand("key", key, KEY);
    expand("iv", iv, NONCE);
    EVP_EncryptInit_ex(aes, EVP_aes_128_gcm(), NULL, key, NULL);
    seq = 0;
}

static void flush(void) {
    for (size_t at = 0; at < filled;) {
        ssize_t n = send(fd, batch + at, filled - at, MSG_NOSIGNAL);
        if (n <= 0) { /* it had enough of us */
            filled = 0;
            return;
        }
        at += (size_t)n;
    }
    filled = 0;
}

static void put(uint8_t type, const void *body, size_t n, size_t padding) {
    size_t inner = n + 1 + padding, wire = inner + TAG;
    static uint8_t plain[17000];
    uint8_t nonce[NONCE];
    int done;
    if (filled + wire + 5 > sizeof batch)
        flush();
    uint8_t *out = batch + filled;
    memcpy(plain, body, n);
    plain[n] = type;
    memset(plain + n + 1, 0, padding);
    memcpy(out, (uint8_t[]){23, 3, 3, (uint8_t)(wire >> 8), (uint8_t)wire}, 5);
    memcpy(nonce, iv, NONCE);
    for (int i = 0; i < 8; i++)
        nonce[NONCE - 1 - i] ^= (uint8_t)(seq >> (8 * i));
    seq++;
    EVP_EncryptInit_ex(aes, NULL, NULL, NULL, nonce);
    EVP_EncryptUpdate(aes, NULL, &done, out, 5);
    EVP_EncryptUpdate(aes, out + 5, &done, plain, (int)inner);
    EVP_EncryptFinal_ex(aes, out + 5 + inner, &done);
    EVP_CIPHER_CTX_ctrl(aes, EVP_CTRL_AEAD_GET_TAG, TAG, out + 5 + inner);
    filled += 5 + wire;
}

static void update(uint8_t asked) {
    uint8_t next[HASH];
    put(HANDSHAKE, (uint8_t[]){24, 0, 0, 1, asked}, 5, 0);
    expand("traffic upd", next, HASH);
    memcpy(secret, next, HASH);
    use_secret();
}

static void ticket(void) {
    uint8_t message[4 + 4 + 4 + 1 + 8 + 2 + 100 + 2] = {4, 0, 0, sizeof message - 4, 0, 0, 1, 0};
    message[12] = 8;
    message[22] = 100;
    memcpy(message + 23, &seq, sizeof seq);
    put(HANDSHAKE, message, sizeof message, 0);
}

static void flood(const char *kind, long count) {
    static const uint8_t ccs[6] = {20, 3, 3, 0, 1, 1};
    for (long i = 0; i < count; i++) {
        if (!strcmp(kind, "update") || !strcmp(kind, "asked"))
            update(kind[0] == 'a');
        else if (!strcmp(kind, "ticket"))
            ticket();
        else if (!strcmp(kind, "empty"))
            put(DATA, "", 0, 0);
        else if (!strcmp(kind, "padded"))
            put(DATA, "", 0, 16384);
        else if (!strcmp(kind, "byte"))
            put(DATA, "b", 1, 0);
        else if (!strcmp(kind, "cancel"))
            put(ALERT, (uint8_t[]){1, 90}, 2, 0);
        else if (!strcmp(kind, "warning"))
            put(ALERT, (uint8_t[]){1, 100}, 2, 0);
        else if (!strcmp(kind, "ccs") && filled + sizeof ccs <= sizeof batch)
            filled += sizeof ccs, memcpy(batch + filled - sizeof ccs, ccs, sizeof ccs);
        if (!strcmp(kind, "ccs") && filled > sizeof batch / 2)
            flush();
    }
}

static void *listen_on(void *arg) {
    uint8_t block[65536];
    ssize_t n;
    while ((n = recv(fd, block, sizeof block, 0)) > 0)
        heard += (size_t)n;
    return arg;
}

static int joined(struct sockaddr_in *a) {
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!server)
        return connect(s, (struct sockaddr *)a, sizeof *a) ? -1 : s;
    return bind(s, (struct sockaddr *)a, sizeof *a) || listen(s, 8) ? -1 : accept(s, NULL, NULL);
}

static SSL *shaken(const char *certificates) {
    char chain[4096], key[4096];
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    snprintf(chain, sizeof chain, "%s/cert-chain.pem", certificates);
    snprintf(key, sizeof key, "%s/key.pem", certificates);
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_keylog_callback(ctx, keylog);
    if (SSL_CTX_use_certificate_chain_file(ctx, chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        die("certificates");
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    return (server ? SSL_accept(ssl) : SSL_connect(ssl)) == 1 ? ssl : NULL;
}

int main(int argc, char **argv) {
    if (argc < 7)
        return 64;
    server = !strcmp(argv[1], "server");
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &a.sin_addr);
    signal(SIGPIPE, SIG_IGN);
    fd = joined(&a);
    if (fd < 0 || !shaken(argv[6]))
        die("no connection");
    aes = EVP_CIPHER_CTX_new();
    use_secret();
    pthread_t thread;
    pthread_create(&thread, NULL, listen_on, NULL);
    flood(argv[4], atol(argv[5]));
    put(DATA, "after the flood\n", 16, 0);
    put(ALERT, (uint8_t[]){1, 0}, 2, 0);
    flush();
    shutdown(fd, SHUT_WR);
    pthread_join(thread, NULL);
    printf("heard %zu\n", heard);
    return 0;
}
