/* send_sealed.c - sealed bytes and the kernel's send buffer: batches, control records, the tail. What was
 * sealed is ours until the kernel has it (I3). */
#include "send_sealed.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <string.h>

#include "core.h"
#include "driver.h"
#include "options.h"
#include "wire.h"

static const struct record_engine *engine(void) {
    return core_loaded->record;
}

void send_sealed_advance(struct source *src, size_t n) {
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
void send_sealed_amid(struct slot *s, bool now) {
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
bool send_sealed_went_out(int fd, struct slot *s) {
    if (!s->tx_going || handed(fd) != s->wire_base + s->wire_out + s->tx_going)
        return false;
    s->wire_out += s->tx_going;
    return true;
}

/* The kernel's send; another thread may close the descriptor while it waits. */
static ssize_t kernel_send(int fd, struct slot *s, const uint8_t *bytes, size_t n, int flags) {
    bool wait = !(flags & MSG_DONTWAIT);
    if (wait)
        atomic_store_explicit(&s->tx_waits, true, memory_order_release);
    s->tx_going = (uint32_t)n;
    ssize_t sent = wire_send(fd, bytes, n, flags);
    s->wire_out += sent > 0 ? (uint64_t)sent : 0;
    s->tx_going = 0;
    if (wait)
        atomic_store_explicit(&s->tx_waits, false, memory_order_release);
    return sent;
}

/* False with errno when bytes of the tail are left. A hard error empties it: nothing can be delivered any
 * more. */
static bool flush_tail(int fd, struct slot *s, int flags) {
    while (s->tail) {
        const uint8_t *tail = slot_tx_buffer(s);
        send_sealed_amid(s, true);
        ssize_t n = kernel_send(fd, s, tail + s->tail_at, s->tail, flags & ~MSG_MORE);
        if (n > 0) {
            s->tail_at += (uint32_t)n;
            s->tail -= (uint32_t)n;
        }
        send_sealed_amid(s, false);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            s->reset_told = true;
            s->lost_error = errno;
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
    if (s->tx.version != 0x0304 || (!atomic_load(&s->update_due) && s->tx.seq < record_limit(&s->tx)))
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
        send_sealed_advance(src, n);
    }
    *sealed = taken;
    return (ssize_t)at;
}

/* Sealed bytes are owned: what the kernel does not take becomes the tail and counts as written. Returns the
 * plaintext bytes that were taken over, or -1. *full: the kernel took less than everything. */
ssize_t send_sealed_batch(int fd, struct slot *s, struct source *src, int flags, bool *full) {
    struct scratch *scratch = conn_scratch();
    size_t sealed = 0;
    if (!scratch)
        return -1;
    send_sealed_amid(s, true);
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
    send_sealed_amid(s, false);
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
        ssize_t n = send_sealed_batch(fd, s, &src, flags, &full);
        if (n < 0) { /* the connection is gone; the program's next call has to say so */
            n = (ssize_t)c->early_len;
            if (s->reset_told && !s->lost_error)
                s->lost_error = errno;
        }
        c->early_at += (size_t)n;
        c->early_len -= (size_t)n;
        if (full || slot_orphaned(s))
            break;
    }
    if (c && !c->early_len) {
        s->early_left = false;
        bool was_full = c->early_at == CONN_EARLY_MAX;
        conn_early_done(c);
        if (was_full)
            options_tell_room(fd);
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
    send_sealed_amid(s, true);
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
    send_sealed_amid(s, false);
}

void send_goodbye(int fd, struct slot *s) {
    if (s->tx_closed)
        return;
    static const uint8_t close_notify[2] = {1, 0};
    send_control(fd, s, RECORD_ALERT, close_notify, sizeof close_notify);
    s->tx_closed = true;
}

bool send_all(int fd, struct slot *s) {
    enum { FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };
    if (!send_flush(fd, s, FLAGS))
        return false;
    if (!s->half_closed)
        return true;
    send_goodbye(fd, s);
    if (!send_flush(fd, s, FLAGS))
        return false;
    wire_shutdown(fd, SHUT_WR);
    return true;
}

void send_alert(int fd, struct slot *s, uint8_t description) {
    uint8_t alert[2] = {2, description};
    send_control(fd, s, RECORD_ALERT, alert, sizeof alert);
    s->tx_closed = true;
}
