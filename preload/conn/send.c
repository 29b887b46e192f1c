/* send.c - plaintext to sealed records to the kernel's send buffer. Knows the order tail, early bytes, new
 * bytes; blocks only in the kernel's own send. */
#include "send.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "driver.h"
#include "fdtable.h"
#include "memory.h"
#include "shake.h"
#include "wire.h"

static const struct record_engine *engine(void) {
    return core_loaded->record;
}

/* Bytes of the caller that are yet to be sealed. */
struct source {
    const struct iovec *iov;
    int count;
    size_t skip, left;
};

static void source_advance(struct source *src, size_t n) {
    src->left -= n;
    src->skip += n;
    while (src->count && src->skip >= src->iov->iov_len) {
        src->skip -= src->iov->iov_len;
        src->iov++;
        src->count--;
    }
}

static void keep_tail(struct slot *s, const uint8_t *bytes, size_t n) {
    uint8_t *tail = slot_tx_buffer(s);
    memcpy(tail, bytes, n);
    s->tail_at = 0;
    s->tail = (uint32_t)n;
    s->tail_rides = false;
    struct conn *c = conn_pin(s);
    if (c)
        driver_attend(c, DRIVER_PATIENCE_MS);
    conn_unpin(c);
}

/* Between sealing and the note of what the kernel took, the stream is in nobody's hands: whoever finds this
 * mark under the lock knows that its owner ended there (a kill, a cancellation). */
static void amid(struct slot *s, bool now) {
    atomic_store_explicit(&s->tx_amid, now, memory_order_relaxed);
}

/* Bytes that the kernel was ever handed for this stream. */
static uint64_t handed(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (wire_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        return 0;
    return info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes;
}

void send_begin(int fd, struct slot *s) {
    s->wire_base = handed(fd);
    s->wire_out = 0;
}

/* The owner of the lock ended in the midst of a send. Did the kernel get all of it, so that the stream is
 * whole? */
static bool went_out(int fd, struct slot *s) {
    if (!s->tx_going || handed(fd) != s->wire_base + s->wire_out + s->tx_going)
        return false;
    s->wire_out += s->tx_going;
    return true;
}

/* The kernel's send; another thread may close the descriptor while it waits. */
static ssize_t kernel_send(int fd, struct slot *s, const uint8_t *bytes, size_t n, int flags) {
    bool wait = !(flags & MSG_DONTWAIT);
    if (wait)
        atomic_store(&s->tx_waits, true);
    s->tx_going = (uint32_t)n;
    ssize_t sent = wire_send(fd, bytes, n, flags);
    s->wire_out += sent > 0 ? (uint64_t)sent : 0;
    s->tx_going = 0;
    if (wait)
        atomic_store(&s->tx_waits, false);
    return sent;
}

/* False with errno when bytes of the tail are left. A hard error empties it: nothing can be delivered any
 * more. */
static bool flush_tail(int fd, struct slot *s, int flags) {
    while (s->tail) {
        const uint8_t *tail = slot_tx_buffer(s);
        amid(s, true);
        ssize_t n = kernel_send(fd, s, tail + s->tail_at, s->tail, flags & ~MSG_MORE);
        if (n > 0) {
            s->tail_at += (uint32_t)n;
            s->tail -= (uint32_t)n;
        }
        amid(s, false);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            s->reset_told = true;
            slot_tx_release(s);
        }
        if (n >= 0 && slot_orphaned(s))
            errno = EBADF;
        if (n < 0 || slot_orphaned(s))
            return false;
    }
    slot_tx_release(s);
    return true;
}

/* A KeyUpdate goes out before the next application record when the peer asked for one or the key is worn. */
static size_t seal_update(struct slot *s, uint8_t *out) {
    if (s->tx.version != 0x0304 || (!atomic_load(&s->update_due) && s->tx.seq < engine()->limit(&s->tx)))
        return 0;
    atomic_store(&s->update_due, false);
    uint8_t message[5] = {24, 0, 0, 1, 0};
    struct iovec iov = {message, sizeof message};
    long n = engine()->seal(&s->tx, RECORD_HANDSHAKE, &iov, 0, sizeof message, out);
    if (n < 0 || engine()->update(&s->tx) < 0)
        return 0;
    return (size_t)n;
}

/* Puts the ticket that waits for company in front. */
static size_t take_rider(struct slot *s, uint8_t *out) {
    size_t n = s->tail_rides ? s->tail : 0;
    if (n) {
        memcpy(out, slot_tx_buffer(s) + s->tail_at, n);
        slot_tx_release(s);
    }
    return n;
}

/* Seals up to one batch. Returns the wire length, or -1 (errno). */
static ssize_t seal_batch(struct slot *s, struct source *src, uint8_t *out, size_t *sealed) {
    size_t at = take_rider(s, out), taken = 0;
    at += seal_update(s, out + at);
    while (src->left && taken < SLOT_BATCH) {
        size_t n = src->left < RECORD_PLAIN_MAX ? src->left : RECORD_PLAIN_MAX;
        long len = engine()->seal(&s->tx, RECORD_DATA, src->iov, src->skip, n, out + at);
        if (len < 0) {
            errno = EIO;
            return -1;
        }
        at += (size_t)len;
        taken += n;
        source_advance(src, n);
    }
    *sealed = taken;
    return (ssize_t)at;
}

/* Sealed bytes are owned: what the kernel does not take becomes the tail and counts as written. Returns the
 * plaintext bytes that were taken over, or -1. *full: the kernel took less than everything. */
static ssize_t send_batch(int fd, struct slot *s, struct source *src, int flags, bool *full) {
    struct scratch *scratch = conn_scratch();
    size_t sealed = 0;
    if (!scratch)
        return -1;
    amid(s, true);
    ssize_t wire = seal_batch(s, src, scratch->tx, &sealed);
    if (wire < 0) { /* what was sealed before is lost, so nothing may follow it */
        conn_fail(fd, s, EIO, "the record engine failed");
        errno = EIO;
        return -1;
    }
    ssize_t n = kernel_send(fd, s, scratch->tx, (size_t)wire, src->left ? flags | MSG_MORE : flags);
    bool lost = n < 0 && errno != EAGAIN && errno != EINTR;
    if (n < 0)
        n = 0;
    *full = n < wire;
    if (lost)
        s->reset_told = true;
    else if (*full)
        keep_tail(s, scratch->tx + n, (size_t)(wire - n));
    amid(s, false);
    if (lost)
        return -1;
    s->bytes_out += sealed;
    return (ssize_t)sealed;
}

bool send_flush(int fd, struct slot *s, int flags) {
    if (s->tail && !s->tail_rides && !flush_tail(fd, s, flags))
        return false;
    struct conn *c = s->early_left && s->shaker == wire_getpid() ? conn_pin(s) : NULL;
    while (c && c->early_len) {
        struct iovec iov = {c->early + c->early_at, c->early_len};
        struct source src = {&iov, 1, 0, c->early_len};
        bool full = false;
        ssize_t n = send_batch(fd, s, &src, flags, &full);
        if (n < 0)
            n = (ssize_t)c->early_len; /* the connection is gone; the next call meets the error */
        c->early_at += (size_t)n;
        c->early_len -= (size_t)n;
        if (full || slot_orphaned(s))
            break;
    }
    if (c && !c->early_len) {
        s->early_left = false;
        explicit_bzero(c->early, c->early_room);
        c->early_at = 0;
    }
    conn_unpin(c);
    errno = EAGAIN;
    return !s->early_left && (!s->tail || s->tail_rides);
}

void send_control(int fd, struct slot *s, uint8_t type, const uint8_t *body, size_t n) {
    struct scratch *scratch = conn_scratch();
    if (!scratch || !s->tx.key_id || slot_orphaned(s))
        return;
    uint8_t message[16];
    memcpy(message, body, n < sizeof message ? n : sizeof message);
    struct iovec iov = {message, n};
    amid(s, true);
    size_t at = take_rider(s, scratch->tx);
    long len = engine()->seal(&s->tx, type, &iov, 0, n, scratch->tx + at);
    if (len < 0)
        return;
    at += (size_t)len;
    ssize_t sent = s->tail ? 0 : kernel_send(fd, s, scratch->tx, at, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool lost = sent < 0 && errno != EAGAIN && errno != EINTR;
    if (sent < 0)
        sent = 0;
    if (lost)
        ; /* the next call meets the error */
    else if (s->tail && s->tail_at + s->tail + at <= SLOT_TX_REGION) {
        memcpy(slot_tx_buffer(s) + s->tail_at + s->tail, scratch->tx, at);
        s->tail += (uint32_t)at;
    } else if ((size_t)sent < at) {
        keep_tail(s, scratch->tx + sent, at - (size_t)sent);
    }
    amid(s, false);
}

void send_goodbye(int fd, struct slot *s) {
    if (s->tx_closed)
        return;
    static const uint8_t close_notify[2] = {1, 0};
    send_control(fd, s, RECORD_ALERT, close_notify, sizeof close_notify);
    s->tx_closed = true;
}

void send_alert(int fd, struct slot *s, uint8_t description) {
    uint8_t alert[2] = {2, description};
    send_control(fd, s, RECORD_ALERT, alert, sizeof alert);
    s->tx_closed = true;
}

/* --- the program's writes ------------------------------------------------------------------------ */

/* The program shut writing down, or we did after an alert. The kernel knows best whether it has something
 * worse to tell. */
static ssize_t broken_pipe(int fd, struct slot *s, int flags) {
    if (s->tx_closed && !s->tail && wire_send(fd, NULL, 0, flags) < 0) {
        s->reset_told |= errno != EPIPE;
        return -1;
    }
    if (!(flags & MSG_NOSIGNAL))
        raise(SIGPIPE);
    errno = EPIPE;
    return -1;
}

static ssize_t send_open(int fd, struct slot *s, struct source *src, int flags) {
    if (s->tx_closed || s->half_closed)
        return broken_pipe(fd, s, flags);
    if (((s->tail && !s->tail_rides) || s->early_left) && !send_flush(fd, s, flags))
        return -1;
    ssize_t done = 0;
    bool full = false;
    do {
        ssize_t n = send_batch(fd, s, src, flags, &full);
        if (n < 0)
            return done ? done : -1;
        done += n;
    } while (src->left && !full && !slot_orphaned(s));
    return done;
}

/* The handshake moves on in this thread: the program blocks in write, so nobody else may be there to read. */
static bool push_handshake(int fd, struct slot *s, bool wait) {
    slot_unlock(&s->tx_lock);
    bool again = true;
    if (slot_trylock(&s->rx_lock)) {
        again = shake_advance(fd, s, wait) != SHAKE_AGAIN || errno == EAGAIN;
        slot_unlock(&s->rx_lock);
    } else if (wait) {
        slot_wait(s, atomic_load(&s->progress), 50);
    }
    slot_lock(&s->tx_lock);
    return again;
}

/* The peer closed before its first byte, so no keys can ever be agreed on. TCP takes one write and learns by
 * it that nobody is there: an alert in its place lets the kernel find out. */
static ssize_t send_to_nobody(int fd, struct source *src, int flags) {
    static const uint8_t alert[7] = {RECORD_ALERT, 3, 3, 0, 2, 2, 40 /* handshake_failure */};
    size_t n = src->left;
    if (wire_send(fd, alert, sizeof alert, flags) < 0)
        return -1;
    source_advance(src, n);
    return (ssize_t)n;
}

/* Before the peer is verified: bytes are kept, the ClientHello goes out. */
static ssize_t send_early(int fd, struct slot *s, struct conn *c, struct source *src, int flags) {
    uint32_t generation = atomic_load(&s->generation);
    if (s->half_closed)
        return broken_pipe(fd, s, flags);
    if (s->rx_eof)
        return send_to_nobody(fd, src, flags);
    bool wait = !(flags & MSG_DONTWAIT);
    if (!shake_reachable(fd, s, wait)) /* the kernel knows which signal goes with "not connected" */
        return errno == ENOTCONN ? wire_send(fd, NULL, 0, flags) : -1;
    ssize_t done = 0;
    while (src->left && atomic_load(&s->state) == SLOT_SHAKING) {
        bool mine = c && (!s->shaker || s->shaker == wire_getpid());
        if (mine && c->going_plain && !c->reconnecting && !c->early_len)
            return done ? done : CONN_PLAIN;
        size_t n = 0;
        if (mine) {
            shake_start(fd, s, c);
            if (atomic_load(&s->state) != SLOT_SHAKING)
                break;
            n = shake_keep(c, src->iov, src->skip, src->left);
            source_advance(src, n);
            done += (ssize_t)n;
            shake_start(fd, s, c); /* if it had to wait for the program's first bytes */
        }
        if (!src->left)
            break;
        errno = EAGAIN;
        if (!wait || !push_handshake(fd, s, wait))
            return done ? done : -1;
        if (slot_orphaned(s) || atomic_load(&s->generation) != generation) {
            errno = EBADF; /* closed by another thread while this one waited */
            return done ? done : -1;
        }
    }
    if (c && atomic_load(&s->state) == SLOT_SHAKING)
        driver_attend(c, DRIVER_PATIENCE_MS);
    return done ? done : src->left ? CONN_PLAIN - 1 : 0;
}

static ssize_t send_locked(int fd, struct slot *s, struct source *src, int flags) {
    for (;;) {
        switch (atomic_load(&s->state)) {
        case SLOT_OPEN:
            return send_open(fd, s, src, flags);
        case SLOT_SHAKING: {
            struct conn *c = conn_pin(s);
            ssize_t n = send_early(fd, s, c, src, flags);
            conn_unpin(c);
            if (n != CONN_PLAIN - 1)
                return n;
            break; /* the state changed before a byte was kept */
        }
        case SLOT_PLAIN:
            return CONN_PLAIN;
        case SLOT_DEAD:
            return conn_dead_write(s, flags);
        default:
            errno = EIO;
            return -1;
        }
    }
}

/* Nothing to send, but TCP still says that the way is closed. */
static ssize_t send_nothing(int fd, struct slot *s, int flags) {
    if (atomic_load(&s->state) == SLOT_DEAD)
        return conn_dead_write(s, flags);
    if (s->half_closed || s->tx_closed)
        return broken_pipe(fd, s, flags);
    return atomic_load(&s->state) == SLOT_OPEN ? wire_send(fd, NULL, 0, flags) : 0;
}

static bool lock_writer(struct slot *s, int flags) {
    bool locked = flags & MSG_DONTWAIT ? slot_lock_soon(&s->tx_lock, &s->tx_waits) : slot_lock(&s->tx_lock);
    if (!locked)
        errno = EAGAIN; /* another thread is blocked in a send: the kernel's buffer is full */
    return locked;
}

/* Under the lock: may anything be sealed? */
static bool in_order(int fd, struct slot *s, uint32_t generation) {
    if (atomic_load(&s->generation) != generation ||
        (slot_orphaned(s) && atomic_load(&s->state) != SLOT_PLAIN)) {
        errno = EBADF;
        return false;
    }
    if (atomic_load_explicit(&s->tx_amid, memory_order_relaxed) && atomic_load(&s->state) == SLOT_OPEN) {
        amid(s, false);
        if (went_out(fd, s))
            return true;
        conn_fail(fd, s, ECONNRESET, "a thread or process ended in the midst of a send");
    }
    return true;
}

ssize_t send_stream(int fd, struct slot *s, const struct iovec *iov, int count, int flags) {
    uint32_t generation = atomic_load(&s->generation);
    struct source src = {iov, count, 0, 0};
    if (!stream_total(iov, count, &src.left))
        return -1;
    source_advance(&src, 0);
    if (!src.left)
        return send_nothing(fd, s, flags);
    if (!memory_readable(iov, count)) {
        errno = EFAULT;
        return -1;
    }
    if (atomic_load(&s->nonblocking))
        flags |= MSG_DONTWAIT;
    int saved = errno;
    if (!lock_writer(s, flags))
        return -1;
    ssize_t n = in_order(fd, s, generation) ? send_locked(fd, s, &src, flags)
                : fdtable_entry(fd)         ? -1
                                            : CONN_PLAIN;
    slot_unlock(&s->tx_lock);
    if (slot_orphaned(s))
        slot_reap(s);
    if (n >= 0)
        errno = saved;
    return n;
}
