/* recv_look.c - looks at what has arrived and delivers nothing: FIONREAD, whether readiness is true, whether
 * a close leaves plaintext unread. */
#include "recv.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "conn.h"
#include "options.h"
#include "recv_parts.h"
#include "wire.h"

/* Without these the kernel neither counts nor waits for a number of bytes. */
enum { LOOKS = CONFINE_IOCTL | CONFINE_SETSOCKOPT };

/* Is this whole record the program's? Opens a copy where its size leaves a doubt (alerts are two bytes) and
 * where tickets come first. */
static bool is_data(const struct slot *s, uint64_t ahead, uint8_t *rec, size_t wire, size_t overhead) {
    bool doubt = wire <= overhead + 2 || (!s->server && !s->saw_input);
    if (!doubt)
        return true;
    uint8_t type = RECORD_DATA;
    struct record_keys keys = s->rx;
    keys.seq += ahead;
    size_t nonce = record_explicit(&keys);
    (void)!recv_engine()->open(&keys, rec, wire, rec + RECORD_HEADER + nonce, wire - overhead, &type);
    explicit_bzero(&keys, sizeof keys);
    return type == RECORD_DATA;
}

/* Plaintext bytes of what p holds: carry, whole records, and what is there of the last one (a program with
 * edge-triggered events reads what it was told and then waits for news: too small an answer would stop it for
 * ever, and with it a sender whose window that part keeps shut). rx_lock is held. */
static size_t count_records(const struct slot *s, uint8_t *p, size_t n) {
    size_t at = 0, total = 0, overhead = record_overhead(&s->rx);
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

/* Up to this length a whole record may be none for the program. A client's blocking read would wait behind a
 * late ticket, which may have any length; others are spared the look at all but what is short. */
static size_t doubtful(const struct slot *s) {
    size_t content = atomic_load(&s->nonblocking) || s->server ? RECV_CONTROL_MAX : RECORD_PLAIN_MAX;
    return record_overhead(&s->rx) + content;
}

/* The kernel's queue is empty: only an end or an error is left, and a read tells of it. */
static enum front at_end(int fd) {
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    return wire_poll(&end, 1, 0) == 1 ? FRONT_WHOLE : FRONT_PART;
}

/* The kernel woke the program for a part of a record (a segment's worth, or its memory is short): the part
 * goes to the carry, so that the kernel reports readable again only for more. More that comes meanwhile is
 * looked at in turn: the kernel may call a part readable again, of a header for one. Ends with the record at
 * the latest. rx_lock is held. */
static enum front look_at_front(int fd, struct slot *s) {
    struct scratch *scratch = conn_scratch();
    struct fill f = {.buf = scratch ? scratch->rx : NULL};
    int queued = 0;
    while (scratch && !wire_ioctl(fd, FIONREAD, &queued)) {
        if (!queued)
            return at_end(fd);
        recv_fill_load(s, &f);
        long len = front_len(fd, s, &f, (size_t)queued);
        if (len && (len < 0 || f.have + (size_t)queued >= (size_t)len))
            return len > 0 && (size_t)len <= doubtful(s) ? FRONT_UNSURE : FRONT_WHOLE;
        if (recv_fill_take(fd, s, &f, (size_t)queued, MSG_DONTWAIT) <= 0)
            return at_end(fd);
        recv_fill_settle(fd, s, &f);
    }
    return FRONT_WHOLE;
}

static enum front front(int fd, struct slot *s) {
    if (!slot_lock_rx(s, false))
        return FRONT_WHOLE; /* a reader waits for it, and has been woken as well */
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
    int saved = errno;
    if (atomic_load(&s->rx_waits)) {
        if (!slot_lock_rx(s, false))
            return true; /* somebody is about to take it */
        slot_unlock(&s->rx_lock);
        slot_reap(s);
    }
    bool looks = (s->saw_input || s->server) && wire_peeks() && !confine_lost(LOOKS);
    enum front is = looks ? front(fd, s) : FRONT_UNSURE;
    bool answer = is == FRONT_WHOLE;
    if (is == FRONT_UNSURE)
        answer = recv_glance(fd, s);
    if (answer && s->user_lowat > 1 && wire_peeks() && !confine_lost(LOOKS))
        answer = enough_for(fd, s);
    errno = saved;
    return answer;
}

bool recv_unread(int fd, struct slot *s) {
    if (!slot_lock_rx(s, false))
        return false;
    bool open = atomic_load(&s->state) == SLOT_OPEN;
    if (open && !s->held && !s->rx_eof)
        (void)!recv_held_first(fd, s, MSG_DONTWAIT);
    bool unread = open && !s->rx_eof && (s->held || s->carry);
    slot_unlock(&s->rx_lock);
    return unread;
}
