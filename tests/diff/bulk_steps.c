/* bulk_steps.c - amounts larger than a call: loops whose parts TCP may cut freely, checked as a whole. */
#include "diff.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool wait_for(int fd, short events, int64_t until) {
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = until - now_ms();
    return left > 0 && poll(&p, 1, (int)left) == 1;
}

/* fill NAME CHUNK: sends without waiting until nothing more is taken; how much stays unsaid. */
static void step_fill(struct actor *me, int argc, char **argv) {
    (void)argc;
    enum { LIMIT = 64 << 20 };
    struct data_fill *fill = data_fill_of(argv[1]);
    size_t chunk = strtoul(argv[2], NULL, 10);
    if (fill->total == 0)
        fill->salt = (unsigned)me->line;
    ssize_t n = 0;
    while (fill->total < LIMIT) {
        data_make(me->buf, chunk, fill->total, fill->salt);
        n = send(name_fd(argv[1]), me->buf, chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            break;
        fill->total += (size_t)n;
    }
    say(me, n < 0 ? " until" : n == 0 ? " got 0" : " no end");
    if (n < 0)
        say_errno(me, errno);
    say(me, fill->total ? " some" : " none");
}

/* drain NAME FROM CHUNK: reads all that FROM filled, and checks every byte. */
static void step_drain(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct data_fill *fill = data_fill_of(argv[2]);
    size_t chunk = strtoul(argv[3], NULL, 10), got = 0;
    int fd = name_fd(argv[1]);
    int64_t until = now_ms() + DIFF_WAIT_MS;
    while (got < fill->total) {
        size_t want = fill->total - got < chunk ? fill->total - got : chunk;
        ssize_t n = recv(fd, me->buf, want, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN && wait_for(fd, POLLIN, until))
            continue;
        if (n <= 0)
            break;
        size_t good = data_check(me->buf, (size_t)n, got, fill->salt);
        got += (size_t)n;
        if (good < (size_t)n)
            break;
    }
    if (got == fill->total)
        say(me, " all");
    else
        say(me, " broke off at %zu of %zu", got, fill->total);
    fill->total = 0;
}

struct pump {
    int from, to;
    size_t total, out_chunk, in_chunk, sent, got;
    uint8_t *bytes; /* all that is to be sent, made once */
    unsigned salt;
};

static bool pump_out(struct pump *p) {
    size_t n = p->total - p->sent < p->out_chunk ? p->total - p->sent : p->out_chunk;
    if (n == 0)
        return true;
    ssize_t done = send(p->from, p->bytes + p->sent, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done > 0)
        p->sent += (size_t)done;
    return done >= 0 || errno == EAGAIN;
}

static bool pump_in(struct actor *me, struct pump *p) {
    ssize_t n = recv(p->to, me->buf, p->in_chunk, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN;
    size_t good = data_check(me->buf, (size_t)n, p->got, p->salt);
    p->got += good;
    return n > 0 && good == (size_t)n;
}

/* pump FROM TO TOTAL OUT-CHUNK IN-CHUNK: both ends by turns in one thread, without blocking. */
static void step_pump(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct pump p = {.from = name_fd(argv[1]), .to = name_fd(argv[2]), .salt = (unsigned)me->line};
    p.total = strtoul(argv[3], NULL, 10);
    p.out_chunk = strtoul(argv[4], NULL, 10);
    p.in_chunk = strtoul(argv[5], NULL, 10);
    p.bytes = malloc(p.total + 1);
    if (!p.bytes)
        abort();
    data_make(p.bytes, p.total, 0, p.salt);
    int64_t until = now_ms() + DIFF_WAIT_MS;
    bool good = true;
    while (good && p.got < p.total && now_ms() < until) {
        size_t before = p.got + p.sent;
        good = pump_out(&p) && pump_in(me, &p);
        if (good && p.got + p.sent == before)
            wait_for(p.to, POLLIN, now_ms() + 20);
    }
    free(p.bytes);
    if (p.got == p.total)
        say(me, " all");
    else
        say(me, " %s: sent %zu got %zu", good ? "too slow" : "broke", p.sent, p.got);
}

/* writeall NAME TOTAL CHUNK [FLAGS]: blocking writes until all is taken or an error. */
static void step_writeall(struct actor *me, int argc, char **argv) {
    size_t total = strtoul(argv[2], NULL, 10), chunk = strtoul(argv[3], NULL, 10), sent = 0;
    int flags = MSG_NOSIGNAL | (argc > 4 ? data_flags(argv[4]) : 0), fd = name_fd(argv[1]);
    int64_t until = now_ms() + DIFF_WAIT_MS;
    while (sent < total) {
        size_t n = total - sent < chunk ? total - sent : chunk;
        data_make(me->buf, n, sent, 5);
        ssize_t done = send(fd, me->buf, n, flags);
        if (done < 0 && errno == EAGAIN && wait_for(fd, POLLOUT, until))
            continue;
        if (done < 0)
            break;
        sent += (size_t)done;
    }
    if (sent == total)
        say(me, " all");
    else
        say_errno(me, errno);
}

/* readexact NAME TOTAL CHUNK: blocking reads of what writeall sends. */
static void step_readexact(struct actor *me, int argc, char **argv) {
    (void)argc;
    size_t total = strtoul(argv[2], NULL, 10), chunk = strtoul(argv[3], NULL, 10), got = 0;
    int fd = name_fd(argv[1]);
    int64_t until = now_ms() + DIFF_WAIT_MS;
    ssize_t n = 0;
    while (got < total) {
        n = read(fd, me->buf, total - got < chunk ? total - got : chunk);
        if (n < 0 && errno == EAGAIN && wait_for(fd, POLLIN, until))
            continue;
        if (n <= 0 || data_check(me->buf, (size_t)n, got, 5) < (size_t)n)
            break;
        got += (size_t)n;
    }
    if (got == total)
        say(me, " all");
    else if (n >= 0)
        say(me, " %s at %zu", n ? "wrong byte" : "end", got);
    else
        say_errno(me, errno);
}

/* readeof NAME CHUNK: until end of file or an error; the whole by its digest. */
static void step_readeof(struct actor *me, int argc, char **argv) {
    (void)argc;
    size_t chunk = strtoul(argv[2], NULL, 10), got = 0;
    int fd = name_fd(argv[1]);
    uint32_t digest = DATA_DIGEST_START;
    int64_t until = now_ms() + DIFF_WAIT_MS;
    ssize_t n;
    for (;;) {
        n = read(fd, me->buf, chunk);
        if (n < 0 && errno == EAGAIN && wait_for(fd, POLLIN, until))
            continue;
        if (n <= 0)
            break;
        digest = data_digest(digest, me->buf, (size_t)n);
        got += (size_t)n;
    }
    say(me, " data=%zu:%08x then", got, digest);
    if (n == 0)
        say(me, " end");
    else
        say_errno(me, errno);
}

const struct step bulk_steps[] = {
    {"fill", 2, step_fill},
    {"drain", 3, step_drain},
    {"pump", 5, step_pump},
    {"writeall", 3, step_writeall},
    {"readexact", 3, step_readexact},
    {"readeof", 2, step_readeof},
    {NULL, 0, NULL},
};
