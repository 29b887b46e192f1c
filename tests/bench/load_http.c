/* load_http.c - many keep-alive HTTP connections, one request at a time on each. Knows just as much of HTTP
 * as a fixed answer with a Content-Length needs. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { PIECE = 256 * 1024 };
static char request[512], *piece;
static size_t request_len, answer_len;

static void ask(struct link *l) {
    l->seen = 0;
    link_write(l, request, request_len);
}

/* All answers are alike, so the first one's length is every one's. */
static void learn(const char *p, size_t n) {
    char head[2048];
    size_t len = n < sizeof head - 1 ? n : sizeof head - 1;
    memcpy(head, p, len);
    head[len] = 0;
    const char *end = strstr(head, "\r\n\r\n"), *length = strstr(head, "Content-Length: ");
    errno = EPROTO;
    must(end && length && !strncmp(head, "HTTP/1.1 200", 12), "answer");
    answer_len = (size_t)(end + 4 - head) + strtoul(length + 16, NULL, 10);
}

/* Returns 1 when an answer is complete. */
static int take(struct link *l) {
    ssize_t n = link_read(l, piece, PIECE);
    errno = ECONNRESET;
    must(n != 0, "http");
    if (n < 0)
        return 0;
    if (!answer_len)
        learn(piece, (size_t)n);
    l->seen += (size_t)n;
    return l->seen >= answer_len;
}

static int serve(struct link *l) {
    int done = 0;
    do {
        if (take(l)) {
            done = 1;
            break;
        }
    } while (l->ssl && SSL_pending(l->ssl));
    return done;
}

static struct link *open_all(int epoll) {
    struct link *links = calloc((size_t)load.connections, sizeof *links);
    must(links != NULL, "calloc");
    for (int i = 0; i < load.connections; i++) {
        links[i] = link_open();
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &links[i]};
        must(!epoll_ctl(epoll, EPOLL_CTL_ADD, links[i].fd, &e), "epoll_ctl");
        ask(&links[i]);
    }
    return links;
}

/* Answers that have come, and how many of them were the first of their connection. */
struct answers {
    int all, met;
};

static struct answers answer_some(int epoll) {
    struct epoll_event events[64];
    struct answers got = {0};
    int n = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < n; i++) {
        struct link *l = events[i].data.ptr;
        if (!serve(l))
            continue;
        got.all++;
        got.met += !l->met;
        l->met = true;
        ask(l);
    }
    return got;
}

/* The clock runs when every connection has had an answer: some ways make their handshakes with the first
 * request. */
int load_http(void) {
    load.mode = LOAD_LEVEL;
    piece = malloc(PIECE);
    request_len =
        (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", load.path);
    int epoll = epoll_create1(0);
    must(piece && epoll >= 0, "epoll");
    open_all(epoll);
    for (int unmet = load.connections; unmet > 0;)
        unmet -= answer_some(epoll).met;
    double cpu = cpu_seconds();
    uint64_t begin = now_ns(), answers = 0;
    while (now_ns() - begin < (uint64_t)(load.seconds * 1e9))
        answers += (uint64_t)answer_some(epoll).all;
    double took = (double)(now_ns() - begin) * 1e-9;
    printf("{\"rate\": %f, \"bytes\": %f, \"n\": %lu, \"cpu\": %f}\n", (double)answers / took,
           (double)answers * (double)answer_len / took, (unsigned long)answers, cpu_seconds() - cpu);
    return 0;
}
