/* recv.c - sealed records out of the kernel's queue into the program's buffer.
 *
 * The kernel's queue stays the truth (I1): a read takes at most what its buffer can hold, so nothing complete
 * is ever left behind in user space; a record that is larger than the buffer keeps its last byte in the
 * kernel until its plaintext is delivered; an incomplete record is carried and SO_RCVLOWAT makes the kernel
 * wait for the rest. */
#include "recv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conn.h"
#include "core.h"
#include "driver.h"
#include "fdtable.h"
#include "filter.h"
#include "memory.h"
#include "options.h"
#include "send.h"
#include "shake.h"
#include "wire.h"

/* Without these the kernel neither counts nor waits for a number of bytes. */
enum { LOOKS = CONFINE_IOCTL | CONFINE_SETSOCKOPT };

/* The program's buffers as a stream to fill. */
struct sink {
    const struct iovec *iov;
    size_t skip; /* into iov[0] */
    size_t room; /* bytes left to fill */
    size_t done;
    bool discard; /* MSG_TRUNC: count, do not copy */
};

/* One call's view of the queue: have bytes at buf, of which the first is a record's header. */
struct fill {
    uint8_t *buf;
    size_t have;
    bool drained; /* the kernel gave less than was asked for */
    bool dirty;   /* differs from the slot's carry */
    bool gone;    /* the program closed the descriptor meanwhile: its number may mean something else */
};

static const struct record_engine *engine(void) {
    return core_loaded->record;
}

/* Bytes between a record's header and its ciphertext: TLS 1.2 sends part of the nonce of AES-GCM (RFC 5288,
 * section 3). */
static size_t explicit_nonce(const struct record_keys *k) {
    return k->version == 0x0304 || k->cipher == RECORD_CHACHA20_POLY1305 ? 0 : 8;
}

static void sink_put(struct sink *k, const uint8_t *p, size_t n) {
    k->done += n;
    k->room -= n;
    while (n) {
        size_t part = k->iov->iov_len - k->skip < n ? k->iov->iov_len - k->skip : n;
        if (!k->discard)
            memcpy((uint8_t *)k->iov->iov_base + k->skip, p, part);
        p += part;
        n -= part;
        k->skip += part;
        if (k->skip == k->iov->iov_len) {
            k->iov++;
            k->skip = 0;
        }
    }
}

/* Where n bytes can be written without a copy, or NULL. */
static uint8_t *sink_direct(const struct sink *k, size_t n) {
    return !k->discard && k->room && k->room >= n && k->iov->iov_len - k->skip >= n
               ? (uint8_t *)k->iov->iov_base + k->skip
               : NULL;
}

/* Wire bytes that may be taken so that every whole record among them fits into room bytes of plaintext. */
static size_t wire_room(const struct slot *s, size_t room) {
    size_t overhead = engine()->overhead(&s->rx);
    size_t wire = room + overhead * ((room + RECORD_PLAIN_MAX - 1) / RECORD_PLAIN_MAX);
    return wire < CONN_RX_BATCH ? wire : CONN_RX_BATCH;
}

static void load_carry(struct slot *s, struct fill *f) {
    f->have = s->carry;
    if (s->carry)
        memcpy(f->buf, slot_rx_buffer(s), s->carry);
}

static void save_carry(struct slot *s, struct fill *f) {
    if (!f->dirty)
        return;
    f->dirty = false;
    if (f->have)
        memcpy(slot_rx_buffer(s), f->buf, f->have);
    s->carry = (uint32_t)f->have;
    if (!s->carry && !s->held)
        slot_rx_release(s);
}

/* Bytes that must come before the record at the front is whole. */
static uint32_t missing(const struct slot *s, const struct fill *f) {
    if (!f->have)
        return 1;
    if (f->have < RECORD_HEADER)
        return (uint32_t)(RECORD_HEADER - f->have);
    long len = record_wire_len(f->buf, s->rx.version);
    return len > (long)f->have ? (uint32_t)((size_t)len - f->have) : 1;
}

/* At the end of a call: an incomplete record stays in the carry, and the kernel waits for the rest. Where its
 * memory is short it does not (tcp_stream_is_readable): from now on the filter looks. */
static void settle(int fd, struct slot *s, struct fill *f) {
    if (atomic_load(&s->state) != SLOT_OPEN)
        return;
    if (!s->held) {
        save_carry(s, f);
        if (f->have)
            filter_torn(fd, s);
    }
    options_lowat(fd, s, s->held ? 1 : missing(s, f));
}

/* --- what records mean --------------------------------------------------------------------------- */

/* A writer that is blocked in the kernel keeps its lock; that the descriptor is shut down ends its wait. */
static void fail(int fd, struct slot *s, int error, int alert, const char *why) {
    bool locked = slot_lock_soon(&s->tx_lock, &s->tx_waits);
    if (locked && alert >= 0)
        send_alert(fd, s, (uint8_t)alert);
    conn_fail(fd, s, error, why);
    if (locked)
        slot_unlock(&s->tx_lock);
}

static void broken(int fd, struct slot *s, int error, uint8_t alert, const char *why) {
    fail(fd, s, error, alert, why);
}

static void record_error(int fd, struct slot *s, long verdict) {
    if (verdict == RECORD_BAD_MAC)
        broken(fd, s, EBADMSG, 20, "a record failed authentication (changed on its way)");
    else if (verdict == RECORD_TOO_LONG)
        broken(fd, s, EBADMSG, 22, "a record is longer than TLS allows");
    else if (verdict == RECORD_BAD_FORMAT)
        broken(fd, s, EBADMSG, 10, "the peer sent bytes that are no TLS record");
    else
        broken(fd, s, EIO, 80, "the record engine failed");
}

static void bad_header(int fd, struct slot *s, const uint8_t *header) {
    bool tls = header[0] >= RECORD_CHANGE_CIPHER_SPEC && header[0] <= RECORD_DATA && header[1] == 3;
    record_error(fd, s, tls && (header[3] || header[4]) ? RECORD_TOO_LONG : RECORD_BAD_FORMAT);
}

/* Behind close_notify: the peer's FIN, most of all. */
static bool more_comes(int fd, uint8_t *byte) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return wire_peeks() ? wire_recv(fd, byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 : wire_poll(&p, 1, 0) == 1;
}

static void on_alert(int fd, struct slot *s, const uint8_t *body, size_t n) {
    char words[HANDSHAKE_ERROR_MAX];
    if (n == 2 && body[1] == 0) {
        uint8_t byte;
        s->rx_eof = true;
        if (!slot_orphaned(s) && !more_comes(fd, &byte))
            wire_shutdown(fd, SHUT_RD); /* the kernel reports end of file even before the peer's FIN */
        return;
    }
    if (n == 2 && body[1] == 90 /* user_canceled: close_notify follows */)
        return;
    const char *why = n == 2 ? core_loaded->handshake->alert_words(body[1], words, sizeof words)
                             : "the peer sent a malformed alert";
    fail(fd, s, ECONNRESET, -1, why);
}

static void on_ticket(struct slot *s, const uint8_t *raw, size_t raw_len) {
    struct conn *c = conn_pin(s);
    if (c && c->post && !core_loaded->handshake->post(c->post, raw, raw_len)) {
        core_loaded->handshake->free_(c->post);
        c->post = NULL;
    }
    conn_unpin(c);
}

static void on_handshake(int fd, struct slot *s, const uint8_t *body, size_t n, const uint8_t *raw,
                         size_t raw_len) {
    enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };
    if (s->rx.version == 0x0304 && n == 5 && body[0] == KEY_UPDATE && body[4] <= 1) {
        if (body[4])
            atomic_store(&s->update_due, true);
        if (engine()->update(&s->rx) < 0)
            record_error(fd, s, RECORD_INTERNAL);
    } else if (s->rx.version == 0x0304 && n && body[0] == NEW_SESSION_TICKET && !s->server) {
        on_ticket(s, raw, raw_len);
    } else if (s->rx.version == 0x0304) {
        broken(fd, s, EBADMSG, 10, "the peer sent an unexpected handshake message");
    } else {
        broken(fd, s, EBADMSG, 100, "the peer asked for renegotiation, which is not supported");
    }
}

static void on_control(int fd, struct slot *s, uint8_t type, const uint8_t *body, size_t n,
                       const uint8_t *raw, size_t raw_len) {
    if (type == RECORD_ALERT)
        on_alert(fd, s, body, n);
    else if (type == RECORD_HANDSHAKE)
        on_handshake(fd, s, body, n, raw, raw_len);
    else
        record_error(fd, s, RECORD_BAD_FORMAT);
}

static void first_data(struct slot *s) {
    if (s->saw_input)
        return;
    s->saw_input = true;
    struct conn *c = conn_pin(s);
    if (c && c->post) { /* tickets come before data, or not at all */
        core_loaded->handshake->free_(c->post);
        c->post = NULL;
    }
    conn_unpin(c);
}

/* Opens the whole record at rec. Data goes straight to the sink when it fits there, or else to *plain inside
 * the record's own space. Returns the data length, or -1 when the connection is dead or the record was no
 * data (then 0). */
static long open_record(int fd, struct slot *s, const struct record_engine *e, uint8_t *rec, size_t wire,
                        struct sink *k, uint8_t **plain) {
    uint8_t raw[2048], type = 0;
    struct conn *c = s->saw_input || s->server ? NULL : conn_of(s);
    bool ticket_may_come = c && c->post && wire <= sizeof raw;
    if (ticket_may_come)
        memcpy(raw, rec, wire);
    size_t overhead = e->overhead(&s->rx);
    size_t limit = wire > overhead ? wire - overhead : 0;
    size_t nonce = explicit_nonce(&s->rx);
    uint8_t *direct = k && !ticket_may_come ? sink_direct(k, limit) : NULL;
    *plain = direct ? direct : rec + RECORD_HEADER + nonce;
    long n = e->open(&s->rx, rec, wire, *plain, limit, &type);
    if (n < 0) {
        record_error(fd, s, n);
        return -1;
    }
    if (type == RECORD_DATA) {
        first_data(s);
        s->bytes_in += (uint64_t)n;
        if (direct) {
            k->done += (size_t)n;
            k->room -= (size_t)n;
            k->skip += (size_t)n;
            if (k->skip == k->iov->iov_len) {
                k->iov++;
                k->skip = 0;
            }
            *plain = NULL;
        }
        return n;
    }
    on_control(fd, s, type, *plain, (size_t)n, raw, ticket_may_come ? wire : 0);
    if (direct)
        explicit_bzero(direct, (size_t)n);
    return atomic_load(&s->state) == SLOT_OPEN ? 0 : -1;
}

/* --- taking from the kernel ---------------------------------------------------------------------- */

/* FIN or an error from the kernel. Returns what the call has to return when nothing was delivered. */
static ssize_t stream_end(int fd, struct slot *s, ssize_t n, bool partial) {
    if (n < 0 && errno == ECONNRESET && s->rx_shut && s->half_closed)
        return 0; /* only the peer's close_notify, for which TCP has no room after a shutdown of both sides */
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) { /* the kernel says it once; so do we */
            s->error = errno;
            s->error_told = true;
            slot_set_state(s, SLOT_DEAD);
        }
        return -1;
    }
    if ((s->rx_shut || s->reset_told) && !partial)
        return 0; /* what still arrives may be read, as on plain TCP */
    fail(fd, s, ECONNRESET, -1, "the stream was cut off (end of file without close_notify)");
    return conn_dead_read(s);
}

/* After a blocking receive. A signal's handler of this thread may have read meanwhile: then the lock has to
 * be taken anew, and what came belongs behind what it left. False: the connection is gone. */
static bool still_ours(struct slot *s, struct fill *f, uint32_t generation, ssize_t got) {
    int saved = errno;
    if (!atomic_exchange(&s->rx_waits, false) &&
        (!slot_lock_rx(s, true) || atomic_load(&s->generation) != generation))
        return false;
    size_t before = s->carry;
    if (got > 0 && f->have != before)
        memmove(f->buf + before, f->buf + f->have, (size_t)got);
    if (f->have != before)
        load_carry(s, f);
    f->gone = slot_orphaned(s);
    errno = saved;
    return true;
}

static ssize_t blocking_recv(int fd, struct slot *s, struct fill *f, size_t n, int flags, uint32_t lowat) {
    uint32_t generation = atomic_load(&s->generation);
    /* Cancellation or a jump out of the call must find everything in its place. */
    save_carry(s, f);
    options_lowat_exactly(fd, s, lowat);
    if (!driver_stand_in(fd, POLLIN))
        return -1;
    atomic_store(&s->rx_waits, true);
    ssize_t got = wire_recv(fd, f->buf + f->have, n, flags);
    if (still_ours(s, f, generation, got))
        return got;
    f->gone = true;
    errno = EBADF;
    return -1;
}

static ssize_t take(int fd, struct slot *s, struct fill *f, size_t n, int flags) {
    ssize_t got = flags & MSG_DONTWAIT ? wire_recv(fd, f->buf + f->have, n, flags)
                                       : blocking_recv(fd, s, f, n, flags, missing(s, f));
    if (got > 0) {
        f->have += (size_t)got;
        f->dirty = true;
    }
    f->drained = got < (ssize_t)n;
    return got;
}

/* Opens what is whole at the front of f. False: the connection ended. */
static bool open_whole(int fd, struct slot *s, struct fill *f, struct sink *k) {
    size_t at = 0;
    bool alive = true;
    while (alive && !s->rx_eof && f->have - at >= RECORD_HEADER) {
        long wire = record_wire_len(f->buf + at, s->rx.version);
        if (wire < 0) {
            bad_header(fd, s, f->buf + at);
            alive = false;
            break;
        }
        if ((size_t)wire > f->have - at)
            break;
        uint8_t *plain;
        long n = open_record(fd, s, engine(), f->buf + at, (size_t)wire, k, &plain);
        if (n > 0 && plain)
            sink_put(k, plain, (size_t)n);
        alive = n >= 0;
        at += (size_t)wire;
    }
    f->have = alive && !s->rx_eof ? f->have - at : 0;
    f->dirty |= at > 0;
    if (f->have && at)
        memmove(f->buf, f->buf + at, f->have);
    return alive;
}

static void unpin(int fd, struct slot *s) {
    uint8_t last;
    if (!slot_orphaned(s) && !s->loose) /* it is there: nobody waits */
        (void)!wire_recv(fd, &last, 1, wire_peeks() ? MSG_DONTWAIT : 0);
    slot_rx_release(s);
}

/* The last byte of a record stays in the kernel. Behind a seccomp filter that forbids to peek it cannot. */
static ssize_t look_at_last(int fd, struct slot *s, struct fill *f, int flags) {
    if (!wire_peeks()) {
        f->drained = false;
        return 1;
    }
    ssize_t got = flags & MSG_DONTWAIT ? wire_recv(fd, f->buf + f->have, 1, flags | MSG_PEEK)
                                       : blocking_recv(fd, s, f, 1, flags | MSG_PEEK, 1);
    f->drained = got < 1;
    return got;
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
static ssize_t hold_record(int fd, struct slot *s, struct fill *f, int flags) {
    long wire = record_wire_len(f->buf, s->rx.version);
    if (wire < 0) {
        bad_header(fd, s, f->buf);
        return conn_dead_read(s);
    }
    size_t all_but_one = (size_t)wire - (wire_peeks() ? 1 : 0);
    if (f->have < all_but_one) {
        ssize_t got = take(fd, s, f, all_but_one - f->have, flags);
        if (got <= 0)
            return stream_end(fd, s, got, true);
        if (f->have < all_but_one)
            return 1;
    }
    ssize_t got = look_at_last(fd, s, f, flags);
    if (got <= 0)
        return stream_end(fd, s, got, true);
    if (f->gone || f->have != all_but_one)
        return 1;
    uint8_t *plain;
    long n = open_record(fd, s, engine(), f->buf, (size_t)wire, NULL, &plain);
    f->have = 0;
    f->dirty = false;
    s->carry = 0;
    if (n <= 0) {
        s->loose = !wire_peeks();
        unpin(fd, s);
        return n < 0 ? conn_dead_read(s) : 1;
    }
    keep_held(s, plain, (size_t)n, !wire_peeks());
    explicit_bzero(plain, (size_t)n);
    return 1;
}

static void deliver_held(int fd, struct slot *s, struct sink *k) {
    size_t n = s->held < k->room ? s->held : k->room;
    uint8_t *plain = slot_rx_buffer(s) + s->held_at;
    sink_put(k, plain, n);
    explicit_bzero(plain, n);
    s->held_at += (uint32_t)n;
    s->held -= (uint32_t)n;
    if (!s->held)
        unpin(fd, s);
}

/* One round: read, open, deliver. Returns > 0 for progress, else what recv would return. */
static ssize_t round_trip(int fd, struct slot *s, struct fill *f, struct sink *k, int flags) {
    size_t want = wire_room(s, k->room);
    if (f->have >= RECORD_HEADER) {
        long wire = record_wire_len(f->buf, s->rx.version);
        if (wire < 0 || (size_t)wire > want)
            return hold_record(fd, s, f, flags);
    }
    ssize_t got = take(fd, s, f, want - f->have, flags);
    if (got <= 0)
        return stream_end(fd, s, got, f->have > 0);
    return open_whole(fd, s, f, k) ? 1 : k->done ? 1 : conn_dead_read(s);
}

static bool queue_empty(int fd) {
    int queued = 0;
    return !wire_ioctl(fd, FIONREAD, &queued) && !queued;
}

/* Data was delivered before the error came: the next call has to report it. */
static void postpone_error(struct slot *s) {
    if (atomic_load(&s->state) == SLOT_DEAD)
        s->error_told = false;
}

/* State SLOT_OPEN, rx_lock held. */
static ssize_t read_open(int fd, struct slot *s, struct sink *k, int flags) {
    struct scratch *scratch = conn_scratch();
    if (!scratch)
        return -1;
    struct fill f = {.buf = scratch->rx};
    ssize_t n = 1;
    if (s->held)
        deliver_held(fd, s, k);
    load_carry(s, &f);
    bool first = true;
    while (k->room && n > 0 && !f.gone && !s->rx_eof && atomic_load(&s->state) == SLOT_OPEN) {
        bool enough = k->done && !(flags & MSG_WAITALL) && k->done >= s->user_lowat;
        if (enough && (f.drained || (first && queue_empty(fd))))
            break; /* asking once more would use up an error behind the data */
        first = false;
        n = round_trip(fd, s, &f, k, (enough ? MSG_DONTWAIT : 0) | (flags & MSG_DONTWAIT));
        if (s->held && k->room)
            deliver_held(fd, s, k);
        if (n > 0 && k->done && f.drained && (flags & MSG_DONTWAIT))
            break;
    }
    if (f.gone) { /* no call more on this number; nobody can come back for what is left */
        errno = n < 0 ? errno : EBADF;
        return k->done ? (ssize_t)k->done : n == 0 ? 0 : -1;
    }
    settle(fd, s, &f);
    if (k->done && n <= 0)
        postpone_error(s);
    return k->done ? (ssize_t)k->done : n > 0 ? 0 : n;
}

/* --- MSG_PEEK ------------------------------------------------------------------------------------ */

/* Gets the first record into held. Returns 1, or as recv. */
static ssize_t hold_first(int fd, struct slot *s, int flags) {
    struct scratch *scratch = conn_scratch();
    if (!scratch)
        return -1;
    struct fill f = {.buf = scratch->rx};
    load_carry(s, &f);
    ssize_t n = 1;
    while (n > 0 && !f.gone && !s->held && !s->rx_eof && atomic_load(&s->state) == SLOT_OPEN) {
        if (f.have < RECORD_HEADER) {
            n = take(fd, s, &f, RECORD_HEADER - f.have, flags);
            if (n <= 0)
                n = stream_end(fd, s, n, f.have > 0);
        } else {
            n = hold_record(fd, s, &f, flags);
        }
    }
    if (f.gone) {
        errno = n < 0 ? errno : EBADF;
        return n == 0 ? 0 : -1;
    }
    settle(fd, s, &f);
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
        size_t nonce = explicit_nonce(&keys);
        size_t limit = (size_t)wire - engine()->overhead(&keys);
        long n = engine()->open(&keys, rec, (size_t)wire, rec + RECORD_HEADER + nonce, limit, &type);
        if (n < 0 || type != RECORD_DATA)
            break;
        sink_put(k, rec + RECORD_HEADER + nonce, (size_t)n < k->room ? (size_t)n : k->room);
        at += (size_t)wire;
    }
    explicit_bzero(&keys, sizeof keys);
}

static ssize_t peek_open(int fd, struct slot *s, struct sink *k, int flags) {
    ssize_t n = s->held ? 1 : hold_first(fd, s, flags & MSG_DONTWAIT);
    if (!s->held)
        return n;
    size_t part = s->held < k->room ? s->held : k->room;
    sink_put(k, slot_rx_buffer(s) + s->held_at, part);
    if (k->room && wire_peeks())
        peek_behind(fd, s, k);
    return (ssize_t)k->done;
}

/* --- entry --------------------------------------------------------------------------------------- */

static bool going_plain(const struct slot *s) {
    const struct conn *c = conn_of(s);
    return c && c->going_plain && !c->reconnecting;
}

static ssize_t recv_locked(int fd, struct slot *s, struct sink *k, int flags, uint32_t generation) {
    for (;;) {
        if (atomic_load(&s->generation) != generation ||
            (slot_orphaned(s) && atomic_load(&s->state) != SLOT_PLAIN)) {
            errno =
                EBADF; /* closed by another thread while this one waited, or no connection of ours any more */
            return fdtable_entry(fd) ? -1 : CONN_PLAIN;
        }
        switch (atomic_load(&s->state)) {
        case SLOT_OPEN:
            if (s->rx_eof && !s->held)
                return 0;
            return flags & MSG_PEEK ? peek_open(fd, s, k, flags) : read_open(fd, s, k, flags);
        case SLOT_SHAKING: {
            if (s->rx_eof)
                return 0;
            enum shake_result r = shake_advance(fd, s, !(flags & MSG_DONTWAIT));
            if (r == SHAKE_NOTHING)
                return 0;
            if (r == SHAKE_AGAIN)
                return -1;
            if (atomic_load(&s->state) == SLOT_SHAKING && going_plain(s))
                return CONN_PLAIN;
            break;
        }
        case SLOT_PLAIN:
            return CONN_PLAIN;
        case SLOT_DEAD:
            return conn_dead_read(s);
        default:
            errno = EIO;
            return -1;
        }
    }
}

static bool lock_reader(struct slot *s, int flags) {
    if (slot_lock_rx(s, !(flags & MSG_DONTWAIT)))
        return true;
    errno = EAGAIN; /* another thread waits for input: there is none */
    return false;
}

ssize_t recv_stream(int fd, struct slot *s, const struct iovec *iov, int count, int flags) {
    uint32_t generation = atomic_load(&s->generation);
    int saved = errno;
    uint8_t dummy;
    struct iovec one = {&dummy, 1};
    struct sink k = {.iov = iov, .discard = flags & MSG_TRUNC};
    if (!stream_total(iov, count, &k.room))
        return -1;
    if (atomic_load(&s->nonblocking))
        flags |= MSG_DONTWAIT;
    bool bad_memory = !k.discard && !memory_writable(iov, count);
    bool nothing_wanted = !k.room || bad_memory;
    if (nothing_wanted) { /* waits for data all the same, takes none */
        k = (struct sink){.iov = &one, .room = 1};
        flags |= MSG_PEEK;
    }
    while (!k.iov->iov_len)
        k.iov++;
    if (!lock_reader(s, flags))
        return -1;
    ssize_t n = recv_locked(fd, s, &k, flags, generation);
    slot_unlock(&s->rx_lock);
    if (slot_orphaned(s))
        slot_reap(s);
    if (nothing_wanted && !bad_memory && n == -1 && !(flags & MSG_DONTWAIT) &&
        (errno == EAGAIN || errno == EINTR))
        n = 0; /* the kernel waits for such a read too, but then has nothing to complain of */
    if (n >= 0)
        errno = saved;
    if (bad_memory && n > 0) {
        errno = EFAULT;
        return -1;
    }
    return nothing_wanted && n > 0 ? 0 : n;
}

/* Is this whole record the program's? Opens a copy where its size leaves a doubt (alerts are two bytes) and
 * where tickets come first. */
static bool is_data(const struct slot *s, uint64_t ahead, uint8_t *rec, size_t wire, size_t overhead) {
    bool doubt = wire <= overhead + 2 || (!s->server && !s->saw_input);
    if (!doubt)
        return true;
    uint8_t type = RECORD_DATA;
    struct record_keys keys = s->rx;
    keys.seq += ahead;
    size_t nonce = explicit_nonce(&keys);
    (void)!engine()->open(&keys, rec, wire, rec + RECORD_HEADER + nonce, wire - overhead, &type);
    explicit_bzero(&keys, sizeof keys);
    return type == RECORD_DATA;
}

/* Plaintext bytes of what p holds: carry, whole records, and what is there of the last one (a program with
 * edge-triggered events reads what it was told and then waits for news: too small an answer would stop it for
 * ever, and with it a sender whose window that part keeps shut). rx_lock is held. */
static size_t count_records(const struct slot *s, uint8_t *p, size_t n) {
    size_t at = 0, total = 0, overhead = engine()->overhead(&s->rx);
    for (uint64_t ahead = 0; n - at > RECORD_HEADER; ahead++) {
        long wire = record_wire_len(p + at, s->rx.version);
        if (wire < 0 || (size_t)wire > n - at)
            return total + n - at - RECORD_HEADER;
        if ((size_t)wire > overhead && is_data(s, ahead, p + at, (size_t)wire, overhead))
            total += (size_t)wire - overhead;
        at += (size_t)wire;
    }
    return total;
}

static size_t count_queue(int fd, struct slot *s, size_t queued) {
    size_t room = s->carry + queued;
    uint8_t *copy = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return queued;
    size_t pinned = s->held && !s->loose ? 1 : 0, have = s->held ? 0 : s->carry;
    if (have)
        memcpy(copy, slot_rx_buffer(s), have);
    ssize_t got = wire_recv(fd, copy + have, queued, MSG_PEEK | MSG_DONTWAIT);
    size_t n = s->held;
    if (got > 0)
        n += count_records(s, copy + pinned, have + (size_t)got - pinned);
    explicit_bzero(copy, room);
    munmap(copy, room);
    return n;
}

ssize_t recv_available(int fd, struct slot *s) {
    struct iovec iov = {NULL, CONN_SCRATCH_RX};
    int saved = errno, queued = 0;
    if (!s->held && !wire_ioctl(fd, FIONREAD, &queued) && !queued)
        return 0; /* a look at the queue would only use up an error */
    ssize_t n = -1;
    if (atomic_load(&s->state) != SLOT_OPEN || !wire_peeks()) {
        n = recv_stream(fd, s, &iov, 1, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
    } else if (slot_lock(&s->rx_lock)) {
        n = wire_ioctl(fd, FIONREAD, &queued) ? s->held : (ssize_t)count_queue(fd, s, (size_t)queued);
        slot_unlock(&s->rx_lock);
    }
    if (n == -1)
        n = 0;
    errno = n == CONN_PLAIN ? errno : saved;
    return n;
}

/* What the front of the queue amounts to. */
enum front { FRONT_PART, FRONT_WHOLE, FRONT_UNSURE };

/* Wire bytes of the record at the front; 0 when its header is not there yet, < 0 when it is none. */
static long front_len(int fd, const struct slot *s, const struct fill *f, size_t queued) {
    uint8_t header[RECORD_HEADER];
    size_t have = f->have < sizeof header ? f->have : sizeof header, rest = sizeof header - have;
    memcpy(header, f->buf, have);
    if (queued < rest ||
        (rest && wire_recv(fd, header + have, rest, MSG_PEEK | MSG_DONTWAIT) != (ssize_t)rest))
        return 0;
    return record_wire_len(header, s->rx.version);
}

/* The kernel woke the program for a part of a record (a segment's worth, or its memory is short): the part
 * goes to the carry, so that the kernel reports readable again only for more. rx_lock is held. */
static enum front look_at_front(int fd, struct slot *s) {
    enum { SHORT = 5 }; /* a KeyUpdate's length: what is no longer may be no data */
    struct scratch *scratch = conn_scratch();
    int queued = 0;
    if (!scratch || wire_ioctl(fd, FIONREAD, &queued) || !queued)
        return FRONT_WHOLE; /* an error, or the end */
    struct fill f = {.buf = scratch->rx};
    load_carry(s, &f);
    long len = front_len(fd, s, &f, (size_t)queued);
    if (len && (len < 0 || f.have + (size_t)queued >= (size_t)len))
        return len > 0 && (size_t)len <= engine()->overhead(&s->rx) + SHORT ? FRONT_UNSURE : FRONT_WHOLE;
    (void)take(fd, s, &f, (size_t)queued, MSG_DONTWAIT);
    settle(fd, s, &f);
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    return wire_poll(&end, 1, 0) == 1 ? FRONT_WHOLE : FRONT_PART; /* cut off: a read says so */
}

static enum front front(int fd, struct slot *s) {
    if (!slot_trylock(&s->rx_lock))
        return FRONT_WHOLE;
    bool done = atomic_load(&s->state) != SLOT_OPEN || s->held || s->rx_eof;
    enum front is = done ? FRONT_UNSURE : look_at_front(fd, s);
    slot_unlock(&s->rx_lock);
    slot_reap(s);
    return is;
}

/* SO_RCVLOWAT counts plaintext: when less has come than the program waits for, the kernel waits for more than
 * it has. */
static bool enough_for(int fd, struct slot *s) {
    int queued = 0;
    ssize_t n = recv_available(fd, s);
    if (n < 0 || (uint32_t)n >= s->user_lowat || s->rx_eof || atomic_load(&s->state) != SLOT_OPEN)
        return true;
    if (!slot_trylock(&s->rx_lock))
        return true;
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    bool ended = wire_poll(&end, 1, 0) == 1;
    if (!ended && !wire_ioctl(fd, FIONREAD, &queued))
        options_lowat_exactly(fd, s, (uint32_t)queued + 1);
    slot_unlock(&s->rx_lock);
    slot_reap(s);
    return ended;
}

bool recv_true(int fd, struct slot *s) {
    uint8_t byte;
    struct iovec iov = {&byte, 1};
    int saved = errno;
    if (atomic_load(&s->rx_waits)) {
        if (!slot_lock_rx(s, false))
            return true; /* somebody is about to take it */
        slot_unlock(&s->rx_lock);
        slot_reap(s);
    }
    bool told = atomic_load(&s->state) == SLOT_DEAD && s->error_told;
    bool looks = (s->carry || s->torn) && s->saw_input && wire_peeks() && !confine_lost(LOOKS);
    enum front is = looks ? front(fd, s) : FRONT_UNSURE;
    bool answer = is == FRONT_WHOLE;
    if (is == FRONT_UNSURE)
        answer =
            recv_stream(fd, s, &iov, 1, MSG_PEEK | MSG_DONTWAIT) != -1 || (errno != EAGAIN && errno != EINTR);
    if (answer && s->user_lowat > 1 && wire_peeks() && !confine_lost(LOOKS))
        answer = enough_for(fd, s);
    if (atomic_load(&s->state) == SLOT_DEAD)
        s->error_told = told;
    errno = saved;
    return answer;
}

bool recv_unread(int fd, struct slot *s) {
    if (!slot_lock_rx(s, false))
        return false;
    bool open = atomic_load(&s->state) == SLOT_OPEN;
    if (open && !s->held && !s->rx_eof)
        (void)!hold_first(fd, s, MSG_DONTWAIT);
    bool unread = open && !s->rx_eof && (s->held || s->carry);
    slot_unlock(&s->rx_lock);
    return unread;
}
