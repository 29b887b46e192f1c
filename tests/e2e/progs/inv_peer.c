/* inv_peer.c - a TLS peer made of OpenSSL alone that does what it is told, record by record and byte by byte.
 *
 *   inv_peer SOCKET ADDRESS PORT CERTIFICATES
 *
 * CERTIFICATES holds client/ and server/, each with cert-chain.pem, key.pem and root-cert.pem.
 * Serves one commander after another on the AF_UNIX socket SOCKET. A command is one line; the answer is one
 * line: plaintext bytes of the records that are whole on the wire, 1 when the stream has ended there, bytes
 * that wait to be sent.
 *
 *   accept VERSION     waits for a connection at ADDRESS, one above PORT; VERSION is 12 or 13
 *   connect VERSION    connects to ADDRESS PORT
 *   shake CHUNK        does the whole handshake; what it sends goes out CHUNK bytes at a time (0: at once)
 *   data BYTES SIZE    seals BYTES of plaintext into records of SIZE bytes
 *   ticket, update, ask  seals a NewSessionTicket, a KeyUpdate, a KeyUpdate that wants an answer
 *   notify             seals close_notify
 *   spoil              changes the last byte that waits
 *   send BYTES         sends that many of the waiting bytes (0: all)
 *   later BYTES        the same in five parts with pauses, after the answer
 *   fin, reset         ends the kernel's stream
 *   take BYTES         reads that much plaintext and checks it
 *   gather             reads to the end; the answer says how many messages there were and what was wrong
 * (inv_gather.c) close              closes the connection
 *
 * But for gather, the plaintext of either direction is a running count of bytes. Knows nothing of what is
 * tested. */
#include "inv_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { WIRE_MAX = 1 << 20, MARKS = 4096, PAUSE_NS = 3000000 };

static struct sockaddr_in address;
static SSL_CTX *server, *client;
static SSL *ssl;
static BIO *came, *out;
static int listener, sock = -1;

/* What waits to be sent, and what each end of a record in it adds to the receiver's plaintext. */
static unsigned char wire[WIRE_MAX];
static size_t wire_len, wire_sent;
static struct mark {
    size_t end, plain;
    bool last;
} marks[MARKS];
static size_t mark_count, marks_passed, plain_out;
static bool ended, gathering;
static unsigned char next_out, next_in;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "inv_peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static SSL_CTX *context(const SSL_METHOD *method, const char *certificates, const char *role) {
    char dir[2048], path[4096];
    SSL_CTX *ctx = SSL_CTX_new(method);
    snprintf(dir, sizeof dir, "%s/%s", certificates, role);
    snprintf(path, sizeof path, "%s/cert-chain.pem", dir);
    if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
        die(path);
    snprintf(path, sizeof path, "%s/key.pem", dir);
    if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1)
        die(path);
    snprintf(path, sizeof path, "%s/root-cert.pem", dir);
    if (SSL_CTX_load_verify_locations(ctx, path, NULL) != 1)
        die(path);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"inv", 3);
    return ctx;
}

/* --- the wire ------------------------------------------------------------------------------------ */

/* What OpenSSL has sealed joins the bytes that wait. */
static void collect(size_t plain, bool last) {
    int n = BIO_read(out, wire + wire_len, (int)(WIRE_MAX - wire_len));
    if (n <= 0)
        return;
    wire_len += (size_t)n;
    if (mark_count == MARKS)
        die("too many records");
    marks[mark_count++] = (struct mark){wire_len, plain, last};
}

static void transmit(size_t n) {
    size_t end = n && wire_sent + n < wire_len ? wire_sent + n : wire_len;
    while (wire_sent < end) {
        ssize_t sent = send(sock, wire + wire_sent, end - wire_sent, MSG_NOSIGNAL);
        if (sent < 0 && !gathering)
            die("send");
        if (sent < 0) /* the writers have closed: they want no more of ours */
            sent = (ssize_t)(end - wire_sent);
        wire_sent += (size_t)sent;
    }
    for (; marks_passed < mark_count && marks[marks_passed].end <= wire_sent; marks_passed++) {
        plain_out += marks[marks_passed].plain;
        ended |= marks[marks_passed].last;
    }
    if (wire_sent == wire_len)
        wire_len = wire_sent = mark_count = marks_passed = 0;
}

/* False at the end of the stream. */
static bool receive_more(void) {
    unsigned char buffer[16384];
    ssize_t n = recv(sock, buffer, sizeof buffer, 0);
    if (n <= 0)
        return false;
    gather_raw(buffer, (size_t)n, SSL_version(ssl) == TLS1_2_VERSION && SSL_is_init_finished(ssl));
    BIO_write(came, buffer, (int)n);
    return true;
}

static void receive(void) {
    if (!receive_more())
        die("the tested side ended, or stays silent");
}

/* --- commands ------------------------------------------------------------------------------------ */

static void begin(int fd, bool accepting, int version) {
    struct timeval limit = {.tv_sec = 20};
    int on = 1, tls = version == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
    sock = fd;
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    wire_len = wire_sent = mark_count = marks_passed = plain_out = 0;
    ended = false;
    next_out = next_in = 0;
    gather_begin();
    ssl = SSL_new(accepting ? server : client);
    came = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, came, out);
    SSL_set_min_proto_version(ssl, tls);
    SSL_set_max_proto_version(ssl, tls);
    if (accepting)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
}

static void do_accept(int version) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        die("accept");
    begin(fd, true, version);
}

static void do_connect(int version) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    begin(fd, false, version);
}

static void shake(size_t chunk) {
    int done;
    do {
        done = SSL_do_handshake(ssl);
        collect(0, false);
        while (wire_sent < wire_len)
            transmit(chunk);
        if (done != 1 && SSL_get_error(ssl, done) != SSL_ERROR_WANT_READ)
            die("the handshake failed");
        if (done != 1)
            receive();
    } while (done != 1);
}

static void data(size_t bytes, size_t size) {
    unsigned char plain[16384];
    while (bytes) {
        size_t n = bytes < size ? bytes : size;
        for (size_t i = 0; i < n; i++)
            plain[i] = next_out++;
        if (SSL_write(ssl, plain, (int)n) != (int)n)
            die("SSL_write");
        collect(n, false);
        bytes -= n;
    }
}

static void control(const char *what) {
    if (strcmp(what, "ticket") == 0)
        SSL_new_session_ticket(ssl);
    else
        SSL_key_update(ssl, what[0] == 'a' ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    if (SSL_do_handshake(ssl) != 1)
        die(what);
    if (!BIO_pending(out))
        die("nothing was sealed");
    collect(0, false);
}

static void notify(void) {
    SSL_shutdown(ssl);
    collect(0, true);
}

static void finish(bool reset) {
    struct linger none = {1, 0};
    ended = true;
    if (!reset) {
        shutdown(sock, SHUT_WR);
        return;
    }
    setsockopt(sock, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(sock);
    sock = -1;
}

static void take(size_t bytes) {
    unsigned char plain[16384];
    while (bytes) {
        int n = SSL_read(ssl, plain, (int)(bytes < sizeof plain ? bytes : sizeof plain));
        collect(0, false);
        if (n <= 0 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
            die("a record was refused");
        for (int i = 0; i < n; i++)
            if (plain[i] != next_in++)
                die("other plaintext than was written");
        if (n <= 0)
            receive();
        else
            bytes -= (size_t)n;
    }
}

/* Asks for the next key now and then, so that the writers change it too. */
static void gather(int to) {
    enum { READS_PER_KEY = 40 };
    unsigned char plain[16384];
    int n, reads = 0;
    for (;;) {
        n = SSL_read(ssl, plain, sizeof plain);
        if (n > 0)
            gather_plain(plain, (size_t)n);
        else if (SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ || !receive_more())
            break;
        if (n > 0 && ++reads % READS_PER_KEY == 0 && SSL_version(ssl) == TLS1_3_VERSION &&
            SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1)
            collect(0, false);
        transmit(0);
    }
    int error = SSL_get_error(ssl, n);
    SSL_shutdown(ssl);
    collect(0, true);
    transmit(0);
    gather_end(to, error == SSL_ERROR_ZERO_RETURN ? "the end"
                   : error == SSL_ERROR_SSL       ? "a record was refused"
                                                  : "cut off");
}

static void close_all(void) {
    SSL_free(ssl);
    ssl = NULL;
    if (sock >= 0)
        close(sock);
    sock = -1;
}

static void later(size_t bytes) {
    struct timespec pause = {0, PAUSE_NS};
    size_t part = bytes ? bytes : wire_len - wire_sent;
    for (int i = 0; i < 5 && wire_sent < wire_len; i++) {
        nanosleep(&pause, NULL);
        transmit(i == 4 ? 0 : part / 5 + 1);
    }
}

static void obey(const char *word, size_t a, size_t b) {
    if (strcmp(word, "accept") == 0)
        do_accept((int)a);
    else if (strcmp(word, "connect") == 0)
        do_connect((int)a);
    else if (strcmp(word, "shake") == 0)
        shake(a);
    else if (strcmp(word, "data") == 0)
        data(a, b);
    else if (strcmp(word, "ticket") == 0 || strcmp(word, "update") == 0 || strcmp(word, "ask") == 0)
        control(word);
    else if (strcmp(word, "notify") == 0)
        notify();
    else if (strcmp(word, "spoil") == 0)
        wire[wire_len - 1] ^= 1;
    else if (strcmp(word, "send") == 0)
        transmit(a);
    else if (strcmp(word, "fin") == 0 || strcmp(word, "reset") == 0)
        finish(word[0] == 'r');
    else if (strcmp(word, "take") == 0)
        take(a);
    else if (strcmp(word, "close") == 0)
        close_all();
    else if (strcmp(word, "later") != 0)
        die(word);
}

static void serve(FILE *commander) {
    char line[128], word[32];
    while (fgets(line, sizeof line, commander)) {
        size_t a = 0, b = 0;
        if (sscanf(line, "%31s %zu %zu", word, &a, &b) < 1)
            die("a command without a word");
        if (strcmp(word, "gather") == 0) {
            gathering = true;
            gather(fileno(commander));
            gathering = false;
            continue;
        }
        obey(word, a, b);
        dprintf(fileno(commander), "%zu %d %zu\n", plain_out, ended, wire_len - wire_sent);
        if (strcmp(word, "later") == 0)
            later(a);
    }
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 64;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    server = context(TLS_server_method(), argv[4], "server");
    client = context(TLS_client_method(), argv[4], "client");
    struct sockaddr_in own = address;
    own.sin_port = htons((uint16_t)(atoi(argv[3]) + 1)); /* the tested side listens at PORT, we beside it */
    int on = 1;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&own, sizeof own) || listen(listener, 16))
        die("listen");
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    snprintf(place.sun_path, sizeof place.sun_path, "%s", argv[1]);
    int control_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(control_socket, (struct sockaddr *)&place, sizeof place) || listen(control_socket, 4))
        die(argv[1]);
    for (;;) {
        int fd = accept(control_socket, NULL, NULL);
        FILE *commander = fd < 0 ? NULL : fdopen(fd, "r");
        if (!commander)
            die("control");
        serve(commander);
        fclose(commander);
    }
}
