/* recv_held.c - plaintext that is held: of a record larger than the program's buffer, or only peeked at. The
 * record's last byte stays in the kernel until all is delivered, so that readiness is true (I1). */
#include "recv_parts.h"

#include <errno.h>
#include <string.h>

#include "conn.h"
#include "wire.h"

static void unpin(int fd, struct slot *s) {
    uint8_t last;
    if (!slot_orphaned(s) && !s->loose) /* it is there: nobody waits */
        (void)!wire_recv(fd, &last, 1, wire_peeks() ? MSG_DONTWAIT : 0);
    slot_rx_release(s);
}

static void keep_held(struct slot *s, const uint8_t *plain, size_t n, bool loose) {
    memcpy(slot_rx_buffer(s), plain, n);
    s->held_at = 0;
    s->loose = loose;
    s->held = (uint32_t)n;
    if (loose)
        slot_loose_begin();
}

/* The record at the front is larger than the sink (or is only to be peeked at): take all but its last byte,
 * peek that, and hold the plaintext. Returns 1 when progress was made, else as recv. */
ssize_t recv_held_take(int fd, struct slot *s, struct fill *f, int flags) {
    long wire = record_wire_len(f->buf, s->rx.version);
    if (wire < 0) {
        recv_records_bad_header(fd, s, f->buf);
        return conn_dead_read(s);
    }
    size_t all_but_one = (size_t)wire - (wire_peeks() ? 1 : 0);
    if (f->have < all_but_one) {
        ssize_t got = recv_fill_take(fd, s, f, all_but_one - f->have, flags);
        if (got <= 0)
            return recv_fill_end(fd, s, got, true);
        if (f->have < all_but_one)
            return 1;
    }
    ssize_t got = recv_fill_peek(fd, s, f, flags);
    if (got <= 0)
        return recv_fill_end(fd, s, got, true);
    if (f->gone || f->have != all_but_one)
        return 1;
    uint8_t *plain;
    long n = recv_records_open(fd, s, recv_engine(), f->buf, (size_t)wire, NULL, &plain);
    f->have = 0;
    f->dirty = false;
    s->carry = 0;
    if (n <= 0) {
        s->loose = !wire_peeks();
        unpin(fd, s);
        recv_records_end(fd, s);
        return n < 0 ? conn_dead_read(s) : 1;
    }
    keep_held(s, plain, (size_t)n, !wire_peeks());
    explicit_bzero(plain, (size_t)n);
    return 1;
}

void recv_held_deliver(int fd, struct slot *s, struct sink *k) {
    size_t n = s->held < k->room ? s->held : k->room;
    uint8_t *plain = slot_rx_buffer(s) + s->held_at;
    recv_fill_put(k, plain, n);
    explicit_bzero(plain, n);
    s->held_at += (uint32_t)n;
    s->held -= (uint32_t)n;
    if (!s->held)
        unpin(fd, s);
}

/* --- MSG_PEEK ------------------------------------------------------------------------------------ */

/* Gets the first record into held. Returns 1, or as recv. */
ssize_t recv_held_first(int fd, struct slot *s, int flags) {
    struct scratch *scratch = conn_scratch();
    if (!scratch)
        return -1;
    struct fill f = {.buf = scratch->rx};
    recv_fill_load(s, &f);
    ssize_t n = 1;
    while (n > 0 && !f.gone && !s->held && !s->rx_eof && atomic_load(&s->state) == SLOT_OPEN) {
        if (f.have < RECORD_HEADER) {
            n = recv_fill_take(fd, s, &f, RECORD_HEADER - f.have, flags);
            if (n <= 0)
                n = recv_fill_end(fd, s, n, f.have > 0);
        } else {
            n = recv_held_take(fd, s, &f, flags);
        }
    }
    if (f.gone) {
        errno = n < 0 ? errno : EBADF;
        return n == 0 ? 0 : -1;
    }
    recv_fill_settle(fd, s, &f);
    return s->held ? 1 : n > 0 ? 0 : n;
}

/* Opens copies of the records behind the held one with a copy of the key: nothing moves. */
static void peek_behind(int fd, struct slot *s, struct sink *k) {
    struct scratch *scratch = conn_scratch();
    ssize_t got = wire_recv(fd, scratch->rx, CONN_SCRATCH_RX, MSG_PEEK | MSG_DONTWAIT);
    struct record_keys keys = s->rx;
    for (size_t at = s->loose ? 0 : 1; k->room && got > 0 && (size_t)got - at >= RECORD_HEADER;) {
        uint8_t *rec = scratch->rx + at, type = 0;
        long wire = record_wire_len(rec, keys.version);
        if (wire < 0 || (size_t)wire > (size_t)got - at)
            break;
        size_t nonce = record_explicit(&keys);
        size_t limit = (size_t)wire - record_overhead(&keys);
        long n = recv_engine()->open(&keys, rec, (size_t)wire, rec + RECORD_HEADER + nonce, limit, &type);
        if (n < 0 || type != RECORD_DATA)
            break;
        recv_fill_put(k, rec + RECORD_HEADER + nonce, (size_t)n < k->room ? (size_t)n : k->room);
        at += (size_t)wire;
    }
    explicit_bzero(&keys, sizeof keys);
}

ssize_t recv_held_peek(int fd, struct slot *s, struct sink *k, int flags) {
    ssize_t n = s->held ? 1 : recv_held_first(fd, s, flags & MSG_DONTWAIT);
    if (!s->held)
        return n;
    size_t part = s->held < k->room ? s->held : k->room;
    recv_fill_put(k, slot_rx_buffer(s) + s->held_at, part);
    if (k->room && wire_peeks())
        peek_behind(fd, s, k);
    return (ssize_t)k->done;
}
