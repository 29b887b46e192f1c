/* send.c - the program's writes: in which state a connection takes what, before and after the handshake.
 * Knows the order tail, early bytes, new bytes; blocks only in the kernel's own send. How bytes are sealed
 * and sent is in send_sealed.c. */
#include "send.h"

#include <errno.h>
#include <signal.h>

#include "driver.h"
#include "embryo.h"
#include "fallback.h"
#include "fdtable.h"
#include "memory.h"
#include "send_sealed.h"
#include "shake.h"
#include "wire.h"

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
    int lost = s->lost_error ? atomic_exchange(&s->lost_error, 0) : 0;
    if (lost && lost != EPIPE) { /* that one the kernel says again, with its signal */
        errno = lost;
        return -1;
    }
    if (s->tx_closed || s->half_closed)
        return broken_pipe(fd, s, flags);
    if (((s->tail && !s->tail_rides) || s->early_left) && !send_flush(fd, s, flags)) {
        s->lost_error = 0; /* errno says it */
        return -1;
    }
    ssize_t done = 0;
    bool full = false;
    do {
        ssize_t n = send_sealed_batch(fd, s, src, flags, &full);
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
    if (slot_lock_soon(&s->rx_lock, &s->rx_waits)) { /* not if a reader waits for the peer under it */
        again = shake_advance(fd, s, wait ? SHAKE_TO_WRITE : SHAKE_NOW) != SHAKE_AGAIN;
        /* An end is for the write to tell, or for the next call if something was kept. */
        again |= atomic_load(&s->state) == SLOT_DEAD || errno == EAGAIN;
        slot_unlock(&s->rx_lock);
    } else if (wait) {
        slot_wait(s, atomic_load(&s->progress), 50);
    }
    if (wait && s->rx_shut) /* then the kernel's receive does not wait */
        wire_poll(NULL, 0, 1);
    slot_lock(&s->tx_lock);
    return again;
}

bool send_to_nobody(int fd, int flags) {
    static const uint8_t alert[7] = {RECORD_ALERT, 3, 3, 0, 2, 2, 40 /* handshake_failure */};
    return wire_send(fd, alert, sizeof alert, flags) >= 0;
}

/* A server that speaks first looks whether its client has spoken, or gone, meanwhile: what becomes of a write
 * depends on it. Not where the client's TLS may be the program's own: bytes that came before it are not for
 * it. */
static bool looks_first(const struct slot *s, const struct conn *c) {
    return s->server && !c->heard && !s->rx_eof && c->inbound.tls_in_tls != TLS_IN_TLS_SKIP;
}

/* Does a write have to find out first what has become of the handshake? Where the kernel has an error for the
 * program nobody will take what would be kept. Before the connection is made there
 * is none. */
static bool has_news(int fd, const struct slot *s, const struct conn *c) {
    bool mine = c && (!s->shaker || s->shaker == wire_getpid());
    if (!mine || c->going_plain)
        return false;
    return looks_first(s, c) || ((s->shaker || s->server) && wire_failed(fd));
}

/* Before the peer is verified: bytes are kept, the ClientHello goes out. */
static ssize_t send_early(int fd, struct slot *s, struct conn *c, struct source *src, int flags) {
    uint32_t generation = atomic_load(&s->generation);
    if (s->half_closed)
        return broken_pipe(fd, s, flags);
    if (has_news(fd, s, c)) {
        push_handshake(fd, s, false);
        if (slot_orphaned(s) || atomic_load(&s->generation) != generation) {
            errno = EBADF;
            return -1;
        }
        if (atomic_load(&s->state) != SLOT_SHAKING)
            return CONN_PLAIN - 1;
    }
    if (s->rx_eof)
        return send_to_nobody(fd, flags) ? (ssize_t)src->left : -1;
    bool wait = !(flags & MSG_DONTWAIT);
    if (!shake_reachable(fd, s, wait)) {
        if (atomic_load(&s->state) == SLOT_DEAD)
            return conn_dead_write(s, flags);
        /* the kernel knows which signal goes with "not connected" */
        return errno == ENOTCONN ? wire_send(fd, NULL, 0, flags) : -1;
    }
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
            send_sealed_advance(src, n);
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

/* One round in the state of the moment. CONN_PLAIN - 1: the state changed before a byte was taken. */
static ssize_t send_now(int fd, struct slot *s, struct source *src, int flags) {
    switch (atomic_load(&s->state)) {
    case SLOT_OPEN:
        return send_open(fd, s, src, flags);
    case SLOT_SHAKING: {
        struct conn *c = conn_pin(s);
        ssize_t n = send_early(fd, s, c, src, flags);
        conn_unpin(c);
        return n;
    }
    case SLOT_PLAIN:
        return CONN_PLAIN;
    case SLOT_EMBRYO:
        return embryo_refuse(fd, true, flags);
    case SLOT_DEAD:
        return conn_dead_write(s, flags);
    default:
        errno = EIO;
        return -1;
    }
}

/* A blocking call takes everything, as on TCP, also when the handshake ends in the middle of it. */
static ssize_t send_locked(int fd, struct slot *s, struct source *src, int flags) {
    uint32_t generation = atomic_load(&s->generation);
    ssize_t done = 0;
    for (;;) {
        bool early = atomic_load(&s->state) == SLOT_SHAKING;
        ssize_t n = send_now(fd, s, src, flags);
        if (n == CONN_PLAIN - 1)
            continue;
        if (n < 0)
            return done ? done : n;
        done += n;
        bool ours = !slot_orphaned(s) && atomic_load(&s->generation) == generation;
        if (!early || !src->left || flags & MSG_DONTWAIT || !ours)
            return done;
        if (atomic_load(&s->state) == SLOT_PLAIN)
            return done + fallback_rest(fd, s, src->iov, src->count, src->skip, flags);
        if (atomic_load(&s->state) != SLOT_OPEN)
            return done;
    }
}

/* Nothing to send, but TCP still says that the way is closed. */
static ssize_t send_nothing(int fd, struct slot *s, int flags) {
    if (atomic_load(&s->state) == SLOT_DEAD)
        return conn_dead_write(s, flags);
    if (s->half_closed || s->tx_closed)
        return broken_pipe(fd, s, flags);
    enum slot_state state = atomic_load(&s->state);
    return state == SLOT_OPEN || state == SLOT_EMBRYO ? wire_send(fd, NULL, 0, flags) : 0;
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
        send_sealed_amid(s, false);
        if (send_sealed_went_out(fd, s))
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
    send_sealed_advance(&src, 0);
    size_t all = src.left;
    if (!all)
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
    if (n > 0 ? (size_t)n < all : n == -1 && errno == EAGAIN)
        s->out_news++;
    if (slot_orphaned(s))
        slot_reap(s);
    if (n >= 0)
        errno = saved;
    return n;
}
