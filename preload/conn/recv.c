/* recv.c - sealed records out of the kernel's queue into the program's buffer: the reads.
 *
 * The kernel's queue stays the truth (I1): a read takes at most what its buffer can hold, so nothing complete
 * is ever left behind in user space; a record that is larger than the buffer keeps its last byte in the
 * kernel until its plaintext is delivered (recv_held.c); an incomplete record is carried and SO_RCVLOWAT
 * makes the kernel wait for the rest (recv_fill.c). Looks that take nothing are in recv_look.c. */
#include "recv.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "conn.h"
#include "embryo.h"
#include "fdtable.h"
#include "memory.h"
#include "recv_parts.h"
#include "shake.h"
#include "wire.h"

/* Wire bytes that may be taken so that every whole record among them fits into room bytes of plaintext. */
static size_t wire_room(const struct slot *s, size_t room) {
    size_t overhead = record_overhead(&s->rx);
    size_t wire = room + overhead * ((room + RECORD_PLAIN_MAX - 1) / RECORD_PLAIN_MAX);
    return wire < CONN_RX_BATCH ? wire : CONN_RX_BATCH;
}

/* Opens what is whole at the front of f. False: the connection ended. */
static bool open_whole(int fd, struct slot *s, struct fill *f, struct sink *k) {
    size_t at = 0;
    bool alive = true;
    while (alive && !s->rx_eof && f->have - at >= RECORD_HEADER) {
        long wire = record_wire_len(f->buf + at, s->rx.version);
        if (wire < 0) {
            recv_records_bad_header(fd, s, f->buf + at);
            alive = false;
            break;
        }
        if ((size_t)wire > f->have - at)
            break;
        uint8_t *plain;
        long n = recv_records_open(fd, s, recv_engine(), f->buf + at, (size_t)wire, k, &plain);
        if (n > 0 && plain)
            recv_fill_put(k, plain, (size_t)n);
        alive = n >= 0;
        at += (size_t)wire;
    }
    recv_records_end(fd, s);
    f->have = alive && !s->rx_eof ? f->have - at : 0;
    f->dirty |= at > 0;
    if (f->have && at)
        memmove(f->buf, f->buf + at, f->have);
    return alive;
}

/* One round: read, open, deliver. Returns > 0 for progress, else what recv would return. */
static ssize_t round_trip(int fd, struct slot *s, struct fill *f, struct sink *k, int flags) {
    size_t want = wire_room(s, k->room);
    if (f->have >= RECORD_HEADER) {
        long wire = record_wire_len(f->buf, s->rx.version);
        if (wire < 0 || (size_t)wire > want)
            return recv_held_take(fd, s, f, flags);
    }
    ssize_t got = recv_fill_take(fd, s, f, want - f->have, flags);
    if (got <= 0)
        return recv_fill_end(fd, s, got, f->have > 0);
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
        recv_held_deliver(fd, s, k);
    recv_fill_load(s, &f);
    bool first = true;
    while (k->room && n > 0 && !f.gone && !s->rx_eof && atomic_load(&s->state) == SLOT_OPEN) {
        bool enough = k->done && !(flags & MSG_WAITALL) && k->done >= s->user_lowat;
        if (enough && (f.drained || (first && queue_empty(fd))))
            break; /* asking once more would use up an error behind the data */
        first = false;
        n = round_trip(fd, s, &f, k, (enough ? MSG_DONTWAIT : 0) | (flags & MSG_DONTWAIT));
        if (s->held && k->room)
            recv_held_deliver(fd, s, k);
        if (n > 0 && k->done && f.drained && (flags & MSG_DONTWAIT))
            break;
    }
    if (f.gone) { /* no call more on this number; nobody can come back for what is left */
        errno = n < 0 ? errno : EBADF;
        return k->done ? (ssize_t)k->done : n == 0 ? 0 : -1;
    }
    recv_fill_settle(fd, s, &f);
    if (k->done && n <= 0)
        postpone_error(s);
    return k->done ? (ssize_t)k->done : n > 0 ? 0 : n;
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
            return flags & MSG_PEEK ? recv_held_peek(fd, s, k, flags) : read_open(fd, s, k, flags);
        case SLOT_SHAKING: {
            if (s->rx_eof)
                return 0;
            enum shake_result r = shake_advance(fd, s, flags & MSG_DONTWAIT ? SHAKE_NOW : SHAKE_TO_READ);
            if (r == SHAKE_NOTHING)
                return 0;
            if (r == SHAKE_AGAIN && atomic_load(&s->state) == SLOT_DEAD)
                return conn_dead_read(s);
            if (r == SHAKE_AGAIN) /* who has shut reading down does not wait */
                return s->rx_shut && errno == EAGAIN ? 0 : -1;
            if (atomic_load(&s->state) == SLOT_SHAKING && going_plain(s))
                return CONN_PLAIN;
            break;
        }
        case SLOT_PLAIN:
            return CONN_PLAIN;
        case SLOT_EMBRYO:
            return embryo_refuse(fd, false, flags & (MSG_PEEK | MSG_DONTWAIT));
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

/* rx_lock is held. Nobody hears what a look finds: an error has yet to be told after it. */
static ssize_t recv_looking(int fd, struct slot *s, struct sink *k, int flags, uint32_t generation) {
    bool told = atomic_load(&s->state) == SLOT_DEAD && s->error_told;
    int lost = s->lost_error;
    ssize_t n = recv_locked(fd, s, k, flags, generation);
    if (atomic_load(&s->state) == SLOT_DEAD)
        s->error_told = told;
    else if (n == -1 && atomic_load(&s->state) == SLOT_OPEN && errno != EAGAIN && errno != EINTR &&
             !slot_orphaned(s))
        lost = errno; /* a write's, of this very look even: it may have ended the handshake */
    if (lost)
        s->lost_error = lost;
    return n;
}

bool recv_glance(int fd, struct slot *s) {
    uint8_t byte;
    struct iovec iov = {&byte, 1};
    struct sink k = {.iov = &iov, .room = 1};
    uint32_t generation = atomic_load(&s->generation);
    const int flags = MSG_PEEK | MSG_DONTWAIT;
    if (!lock_reader(s, flags))
        return false;
    ssize_t n = recv_looking(fd, s, &k, flags, generation);
    slot_unlock(&s->rx_lock);
    slot_reap(s);
    return n != -1 || (errno != EAGAIN && errno != EINTR);
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
