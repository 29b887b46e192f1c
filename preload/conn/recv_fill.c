/* recv_fill.c - between the kernel's queue and the program's buffers: what is taken, what of it is carried to
 * the next call, where it goes. The only room of receiving that blocks. Decrypts nothing. */
#include "recv_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "conn.h"
#include "driver.h"
#include "filter.h"
#include "options.h"
#include "wire.h"

void recv_fill_put(struct sink *k, const uint8_t *p, size_t n) {
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
uint8_t *recv_fill_direct(const struct sink *k, size_t n) {
    return !k->discard && k->room && k->room >= n && k->iov->iov_len - k->skip >= n
               ? (uint8_t *)k->iov->iov_base + k->skip
               : NULL;
}

void recv_fill_load(struct slot *s, struct fill *f) {
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
    if (s->carry != f->have)
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

/* The kernel has that much already, and says so: to tell it once more what to wait for would make an edge. */
static bool there(int fd, const struct slot *s, uint32_t wants) {
    int queued = 0;
    return !wire_ioctl(fd, FIONREAD, &queued) && (uint32_t)queued >= wants && s->lowat <= (uint32_t)queued;
}

/* At the end of a call: an incomplete record stays in the carry, and the kernel waits for the rest. Where its
 * memory is short it does not (tcp_stream_is_readable): from now on the filter looks. */
void recv_fill_settle(int fd, struct slot *s, struct fill *f) {
    if (atomic_load(&s->state) != SLOT_OPEN)
        return;
    if (!s->held) {
        save_carry(s, f);
        if (f->have)
            filter_torn(fd, s);
    }
    uint32_t wants = s->held ? 1 : missing(s, f);
    if (wants == 1 || f->drained || !there(fd, s, wants))
        options_lowat(fd, s, wants);
}

/* FIN or an error from the kernel. Returns what the call has to return when nothing was delivered. */
ssize_t recv_fill_end(int fd, struct slot *s, ssize_t n, bool partial) {
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
    int lost = atomic_exchange(&s->lost_error, 0);
    if (lost) {
        errno = lost;
        return -1;
    }
    if ((s->rx_shut || s->reset_told) && !partial)
        return 0; /* what still arrives may be read, as on plain TCP */
    recv_records_fail(fd, s, ECONNRESET, -1, "the stream was cut off (end of file without close_notify)");
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
        recv_fill_load(s, f);
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
    atomic_store_explicit(&s->rx_waits, true, memory_order_release);
    ssize_t got = wire_recv(fd, f->buf + f->have, n, flags);
    if (still_ours(s, f, generation, got))
        return got;
    f->gone = true;
    errno = EBADF;
    return -1;
}

ssize_t recv_fill_take(int fd, struct slot *s, struct fill *f, size_t n, int flags) {
    bool wait = !(flags & MSG_DONTWAIT);
    ssize_t got = -1;
    /* The rest of a record is mostly there, and to tell the kernel how much to wait for would make an edge.
     */
    bool look = !wait || (f->have && wire_peeks());
    if (look)
        got = wire_recv(fd, f->buf + f->have, n, flags | MSG_DONTWAIT);
    if (wait && (!look || (got < 0 && errno == EAGAIN)))
        got = blocking_recv(fd, s, f, n, flags, missing(s, f));
    if (got > 0) {
        f->have += (size_t)got;
        f->dirty = true;
    }
    f->drained = got < (ssize_t)n;
    return got;
}

/* The last byte of a record stays in the kernel. Behind a seccomp filter that forbids to peek it cannot. */
ssize_t recv_fill_peek(int fd, struct slot *s, struct fill *f, int flags) {
    if (!wire_peeks()) {
        f->drained = false;
        return 1;
    }
    ssize_t got = flags & MSG_DONTWAIT ? wire_recv(fd, f->buf + f->have, 1, flags | MSG_PEEK)
                                       : blocking_recv(fd, s, f, 1, flags | MSG_PEEK, 1);
    f->drained = got < 1;
    return got;
}
