/* load_client.c - the clients of the load program that use one connection at a time, and the idle crowd. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static char *message;

static void make_message(void) {
    message = calloc(1, load.size);
    must(message != NULL, "calloc");
}

static int watch(const struct link *l) {
    if (load.mode == LOAD_BLOCK)
        return -1;
    struct epoll_event e = {.events = EPOLLIN | (load.mode == LOAD_EDGE ? EPOLLET : 0)};
    int epoll = epoll_create1(0);
    must(epoll >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, l->fd, &e), "epoll");
    return epoll;
}

/* One message there and back. */
static void exchange(struct link *l, int epoll) {
    struct epoll_event e;
    link_write(l, message, load.size);
    for (size_t got = 0; got < load.size;) {
        if (epoll >= 0 && !got)
            epoll_wait(epoll, &e, 1, -1);
        ssize_t n = link_read(l, message + got, load.size - got);
        errno = ECONNRESET;
        must(n != 0, "exchange");
        got += n > 0 ? (size_t)n : 0;
    }
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int load_pingpong(void) {
    enum { MOST = 1 << 20 };
    uint32_t *took = malloc(MOST * sizeof *took), n = 0;
    must(took != NULL, "malloc");
    make_message();
    struct link l = link_open();
    int epoll = watch(&l);
    for (int i = 0; i < 500; i++)
        exchange(&l, epoll);
    double cpu = cpu_seconds();
    uint64_t end = now_ns() + (uint64_t)(load.seconds * 1e9);
    for (uint64_t at = now_ns(); at < end && n < MOST; n++) {
        exchange(&l, epoll);
        uint64_t now = now_ns();
        took[n] = (uint32_t)(now - at);
        at = now;
    }
    cpu = cpu_seconds() - cpu;
    qsort(took, n, sizeof *took, ascending);
    printf("{\"p50\": %u, \"p99\": %u, \"n\": %u, \"cpu\": %f}\n", took[n / 2], took[n / 100 * 99], n, cpu);
    return 0;
}

int load_connect(void) {
    make_message();
    uint64_t begin = now_ns(), n = 0;
    double cpu = cpu_seconds();
    while (now_ns() - begin < (uint64_t)(load.seconds * 1e9)) {
        struct link l = link_open();
        exchange(&l, -1);
        link_close(&l);
        n++;
    }
    double took = (double)(now_ns() - begin) * 1e-9;
    printf("{\"rate\": %f, \"n\": %lu, \"cpu\": %f}\n", (double)n / took, (unsigned long)n,
           cpu_seconds() - cpu);
    return 0;
}

int load_stream(void) {
    make_message();
    struct link l = link_open();
    char answer;
    double cpu = cpu_seconds();
    uint64_t begin = now_ns();
    for (size_t left = load.bytes; left;) {
        size_t n = left < load.size ? left : load.size;
        link_write(&l, message, n);
        left -= n;
    }
    errno = ECONNRESET;
    must(link_read(&l, &answer, 1) == 1, "stream");
    double took = (double)(now_ns() - begin) * 1e-9;
    printf("{\"rate\": %f, \"cpu\": %f}\n", (double)load.bytes / took, cpu_seconds() - cpu);
    return 0;
}

/* Says that so many connections stand, and waits to be told to go on. */
static void stand(int n) {
    char word;
    printf("{\"n\": %d}\n", n);
    fflush(stdout);
    (void)!read(0, &word, 1);
}

int load_idle(void) {
    make_message();
    for (int i = 0; i < load.connections; i++) {
        struct link l = link_open();
        exchange(&l, -1);
        if (!i)
            stand(1);
    }
    stand(load.connections);
    return 0;
}
