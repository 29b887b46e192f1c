/* load_link.c - one connection of the load program, plain or under mutual TLS by OpenSSL as its manual shows.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SSL_CTX *context;
static SSL_SESSION *session;

static void must_tls(bool ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void make_context(bool server) {
    char chain[512], key[512], root[512];
    snprintf(chain, sizeof chain, "%s/cert-chain.pem", load.tls);
    snprintf(key, sizeof key, "%s/key.pem", load.tls);
    snprintf(root, sizeof root, "%s/root-cert.pem", load.tls);
    context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    must_tls(context && SSL_CTX_use_certificate_chain_file(context, chain) == 1 &&
                 SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 &&
                 SSL_CTX_load_verify_file(context, root) == 1,
             "certificates");
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    must_tls(SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1 &&
                 SSL_CTX_set1_groups_list(context, "X25519") == 1,
             "suite");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    must_tls(SSL_CTX_set_session_id_context(context, (const unsigned char *)"load", 4) == 1, "context id");
}

static void add_tls(struct link *l, bool server) {
    if (!context)
        make_context(server);
    l->ssl = SSL_new(context);
    must_tls(l->ssl && SSL_set_fd(l->ssl, l->fd) == 1, "SSL_new");
    if (server) {
        SSL_set_accept_state(l->ssl);
        return;
    }
    if (session && load.resume)
        must_tls(SSL_set_session(l->ssl, session) == 1, "session");
    must_tls(SSL_connect(l->ssl) == 1, "handshake");
}

static struct sockaddr_in address(void) {
    static uint32_t next;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(load.port)};
    must(inet_pton(AF_INET, load.host, &a.sin_addr) == 1, load.host);
    if (load.spread)
        a.sin_addr.s_addr = htonl(ntohl(a.sin_addr.s_addr) + next++ % 60000);
    return a;
}

static void prepare(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (load.mode != LOAD_BLOCK)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct link link_open(void) {
    struct sockaddr_in a = address();
    struct link l = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    must(l.fd >= 0 && !connect(l.fd, (struct sockaddr *)&a, sizeof a), "connect");
    if (load.tls)
        add_tls(&l, false);
    prepare(l.fd);
    return l;
}

int link_listen(void) {
    struct sockaddr_in a = address();
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    must(!bind(fd, (struct sockaddr *)&a, sizeof a) && !listen(fd, 4096), "listen");
    return fd;
}

struct link link_take(int listener) {
    struct link l = {.fd = accept(listener, NULL, NULL)};
    if (l.fd < 0)
        return l;
    prepare(l.fd);
    if (load.tls)
        add_tls(&l, true);
    return l;
}

ssize_t link_read(struct link *l, void *buf, size_t n) {
    if (!l->ssl) {
        ssize_t got = read(l->fd, buf, n);
        return got < 0 && errno != EAGAIN ? 0 : got;
    }
    ERR_clear_error();
    int got = SSL_read(l->ssl, buf, (int)n);
    if (got > 0)
        return got;
    int why = SSL_get_error(l->ssl, got);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static void await_room(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    poll(&p, 1, -1);
}

void link_write(struct link *l, const void *buf, size_t n) {
    for (const char *p = buf; n;) {
        ssize_t sent = l->ssl ? SSL_write(l->ssl, p, (int)n) : write(l->fd, p, n);
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        } else if (l->ssl ? SSL_get_error(l->ssl, (int)sent) == SSL_ERROR_WANT_WRITE : errno == EAGAIN) {
            await_room(l->fd);
        } else {
            return; /* the reader will see the end */
        }
    }
}

void link_close(struct link *l) {
    if (l->ssl) {
        if (load.resume && !SSL_is_server(l->ssl)) {
            SSL_SESSION_free(session);
            session = SSL_get1_session(l->ssl);
        }
        ERR_clear_error();
        SSL_shutdown(l->ssl);
        SSL_free(l->ssl);
    }
    close(l->fd);
}
