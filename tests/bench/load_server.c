/* load_server.c - the server of the load program: echoes or swallows, with blocking reads (one connection
 * after the other), level- or edge-triggered epoll (all at once). Runs until it is ended. */
#include "load.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>

static char *buffer;

/* Returns false at the end of the stream. *more: there may be further input now. */
static bool serve_once(struct link *l, bool *more) {
    ssize_t n = link_read(l, buffer, load.size);
    *more = n > 0;
    if (n <= 0)
        return n < 0;
    if (!load.sink) {
        link_write(l, buffer, (size_t)n);
        return true;
    }
    l->seen += (size_t)n;
    if (l->seen >= load.bytes) {
        l->seen -= load.bytes;
        link_write(l, "", 1);
    }
    return true;
}

static void serve_blocking(int listener) {
    for (;;) {
        struct link l = link_take(listener);
        bool more;
        must(l.fd >= 0, "accept");
        while (serve_once(&l, &more))
            ;
        link_close(&l);
    }
}

static void take_all(int listener, int epoll) {
    for (;;) {
        struct link *l = malloc(sizeof *l);
        must(l != NULL, "malloc");
        *l = link_take(listener);
        if (l->fd < 0) {
            free(l);
            return;
        }
        struct epoll_event e = {.events = EPOLLIN | (load.mode == LOAD_EDGE ? EPOLLET : 0), .data.ptr = l};
        must(!epoll_ctl(epoll, EPOLL_CTL_ADD, l->fd, &e), "epoll_ctl");
    }
}

static void serve_ready(struct link *l) {
    bool more, alive;
    do {
        alive = serve_once(l, &more);
    } while (alive && more && (load.mode == LOAD_EDGE || (l->ssl && SSL_pending(l->ssl))));
    if (!alive) {
        link_close(l);
        free(l);
    }
}

static void serve_events(int listener) {
    struct epoll_event events[64], e = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    must(epoll >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e), "epoll");
    for (;;) {
        int n = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve_ready(events[i].data.ptr);
            else
                take_all(listener, epoll);
        }
    }
}

int load_server(void) {
    int listener = link_listen();
    buffer = malloc(load.size);
    must(buffer != NULL, "malloc");
    if (load.mode == LOAD_BLOCK)
        serve_blocking(listener);
    serve_events(listener);
    return 0;
}
