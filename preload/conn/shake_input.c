/* shake_input.c - what a peer sends before there are keys: the first bytes, whole records, the end. Input is
 * peeked, fed record by record, and only what was fed is taken out of the kernel. */
#include "shake_input.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "calm.h"
#include "core.h"
#include "fallback.h"
#include "hello.h"
#include "options.h"
#include "send.h"
#include "shake.h"
#include "shake_object.h"
#include "wire.h"

static const struct handshake_api *api(void) {
    return core_loaded->handshake;
}

static const char *not_tls(const struct slot *s) {
    return s->server ? "the peer speaks plaintext where mutual TLS is demanded"
                     : "the peer answered with bytes that are not TLS";
}

/* The client ended without a word: no keys will ever be agreed on. What was kept for it would have gone to
 * nobody; the kernel has to find out, as it would have. */
static enum look client_is_gone(int fd, struct slot *s, struct conn *c) {
    if (s->permissive && !c->going_plain && !c->inbound.principal_count) {
        fallback_quietly(fd, s, c);
        return LOOK_MORE;
    }
    s->rx_eof = true;
    if (c->early_len)
        (void)!send_to_nobody(fd, MSG_DONTWAIT | MSG_NOSIGNAL);
    return LOOK_NOTHING;
}

bool shake_peer_ended(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return wire_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
           (info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_FIN_WAIT1 &&
            info.tcpi_state != TCP_FIN_WAIT2);
}

/* The stream ended inside the handshake. */
static enum look look_eof(int fd, struct slot *s, struct conn *c, bool any) {
    if (s->rx_shut && !shake_peer_ended(fd)) { /* the kernel says so only because the program reads no more */
        errno = EAGAIN;
        return LOOK_STOP;
    }
    slot_lock(&s->tx_lock);
    enum look result = LOOK_MORE;
    if (s->server && !any && !c->heard && atomic_load(&s->state) == SLOT_SHAKING) {
        result = client_is_gone(fd, s, c);
    } else if (!c->going_plain && atomic_load(&s->state) == SLOT_SHAKING) {
        int lost = atomic_exchange(&s->lost_error, 0);
        if (!s->reset_told && fallback_possible(s, c))
            fallback_begin(fd, s, c, 0, "the peer closed the connection");
        else
            conn_fail(fd, s, lost ? lost : ECONNRESET,
                      "the peer closed the connection during the TLS handshake");
        s->error_told |= s->reset_told;
    }
    slot_unlock(&s->tx_lock);
    return result;
}

/* p is where they were peeked to: TCP leaves it alone here, where other calls have to do they come once more.
 */
static void take_out(int fd, uint8_t *p, size_t n) {
    if (n)
        (void)!wire_recv(fd, p, n, MSG_TRUNC | MSG_DONTWAIT);
}

/* Feeds whole records; tx_lock and rx_lock are held. Returns the bytes fed. What was only peeked at is taken
 * out of the kernel before it has consequences: a program that hears of them finds nothing readable. */
static size_t feed(int fd, struct slot *s, struct conn *c, uint8_t *p, size_t n, bool peeked) {
    size_t at = 0, out = 0;
    while (atomic_load(&s->state) == SLOT_SHAKING && c->shake && n - at >= RECORD_HEADER) {
        long len = record_wire_len(p + at, 0);
        if (len < 0) {
            if (fallback_possible(s, c))
                fallback_begin(fd, s, c, 0, "the peer does not speak TLS");
            else
                conn_fail(fd, s, ECONNRESET, not_tls(s));
            break;
        }
        if ((size_t)len > n - at)
            break;
        enum handshake_status status = api()->feed(c->shake, p + at, (size_t)len);
        at += (size_t)len;
        c->heard = true;
        if (peeked && status == HANDSHAKE_DONE) {
            take_out(fd, p + out, at - out);
            out = at;
        }
        shake_object_settle(fd, s, c, status);
    }
    if (peeked)
        take_out(fd, p + out, at - out);
    return at;
}

/* A blocking call is back. False: the program has closed the descriptor meanwhile, or a signal's handler of
 * this very thread has been at work on the connection. */
bool shake_input_waited(struct slot *s) {
    if (atomic_exchange(&s->rx_waits, false) && !slot_orphaned(s))
        return true;
    errno = slot_orphaned(s) ? EBADF : EINTR;
    return false;
}

static ssize_t wait_recv(int fd, struct slot *s, void *buf, size_t n, int flags) {
    if (flags & MSG_DONTWAIT)
        return wire_recv(fd, buf, n, flags);
    atomic_store(&s->rx_waits, true);
    unsigned depth = calm_pause();
    ssize_t got = wire_recv(fd, buf, n, flags);
    int saved = errno;
    calm_resume(depth);
    if (!shake_input_waited(s))
        return -1;
    errno = saved;
    return got;
}

/* Bytes that are taken cannot be given back to a program that speaks plaintext. */
static bool sniffed_blindly(int fd, struct slot *s, struct conn *c, const uint8_t *p) {
    if (hello_awaited(s, c) && hello_begins(p, s->carry) == 0) {
        conn_fail(fd, s, ECONNRESET,
                  "the client speaks plaintext, and the program's seccomp filter forbids to look first");
        return false;
    }
    if (s->carry >= RECORD_HEADER) {
        c->sniffed = true;
        hello_rule_out(c);
        shake_start(fd, s, c);
    }
    return true;
}

/* The rest of a record whose beginning is in the carry. */
enum look shake_input_carry(int fd, struct slot *s, struct conn *c, int flags) {
    uint8_t *buffer = slot_rx_buffer(s);
    long len = s->carry < RECORD_HEADER ? RECORD_HEADER : record_wire_len(buffer, 0);
    ssize_t n = wait_recv(fd, s, buffer + s->carry, (size_t)len - s->carry, flags);
    if (n < 0)
        return LOOK_STOP;
    if (!n)
        return look_eof(fd, s, c, true);
    s->carry += (uint32_t)n;
    slot_lock(&s->tx_lock);
    if (!c->shake && !sniffed_blindly(fd, s, c, buffer)) {
        slot_unlock(&s->tx_lock);
        return LOOK_MORE;
    }
    size_t fed = feed(fd, s, c, buffer, s->carry, false);
    if (fed || atomic_load(&s->state) != SLOT_SHAKING)
        slot_rx_release(s);
    slot_unlock(&s->tx_lock);
    return LOOK_MORE;
}

/* Takes the beginning of a record out of the kernel, so that readiness waits for its rest. */
static void take_carry(int fd, struct slot *s, size_t n) {
    ssize_t got = wire_recv(fd, slot_rx_buffer(s), n, MSG_DONTWAIT);
    s->carry = got > 0 ? (uint32_t)got : 0;
    if (!s->carry)
        slot_rx_release(s);
}

enum look shake_input_fresh(int fd, struct slot *s, struct conn *c, int flags) {
    struct scratch *scratch = conn_scratch();
    if (!scratch)
        return LOOK_STOP;
    ssize_t n = wait_recv(fd, s, scratch->rx, sizeof scratch->rx, MSG_PEEK | flags);
    if (n < 0)
        return LOOK_STOP;
    if (!n)
        return look_eof(fd, s, c, false);
    slot_lock(&s->tx_lock);
    enum look result = LOOK_MORE;
    size_t fed = 0;
    if (atomic_load(&s->state) != SLOT_SHAKING || c->going_plain) {
        slot_unlock(&s->tx_lock); /* decided while this thread waited */
        return LOOK_MORE;
    }
    if (hello_sniff(fd, s, c, scratch->rx, (size_t)n)) {
        hello_rule_out(c);
        shake_start(fd, s, c);
        fed = feed(fd, s, c, scratch->rx, (size_t)n, true);
        if (fed < (size_t)n && atomic_load(&s->state) == SLOT_SHAKING && !c->going_plain)
            take_carry(fd, s, (size_t)n - fed);
    } else if (!c->going_plain && atomic_load(&s->state) == SLOT_SHAKING) {
        options_lowat(fd, s, (uint32_t)n + 1); /* a prefix of a ClientHello: wait for the next byte */
        result = (flags & MSG_DONTWAIT) ? LOOK_STOP : LOOK_MORE;
        errno = EAGAIN;
    }
    slot_unlock(&s->tx_lock);
    return result;
}
