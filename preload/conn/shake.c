/* shake.c - moves a handshake over the program's descriptor: by whoever comes first, never reading a byte of
 * application data ahead.
 *
 * Input is peeked, fed record by record, and only what was fed is taken out of the kernel. The object belongs
 * to the process that first moved it; relatives wait for the shared slot. */
#include "shake.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "driver.h"
#include "fdtable.h"
#include "fallback.h"
#include "hello.h"
#include "log.h"
#include "options.h"
#include "send.h"
#include "wire.h"

enum { TICKET_MAX = 4096 }; /* must fit in front of a full batch */

static const struct handshake_api *api(void) {
    return core_loaded->handshake;
}

static void config_server(struct handshake_config *cfg, const struct conn *c) {
    cfg->server = true;
    cfg->spiffe = true;
    cfg->client_auth = c->inbound.mode == MTLS_STRICT ? CLIENT_AUTH_REQUIRED : CLIENT_AUTH_OPTIONAL;
}

static void config_client(struct handshake_config *cfg, const struct conn *c) {
    const struct policy_outbound *o = &c->outbound;
    cfg->spiffe = o->mode == TLS_ISTIO_MUTUAL || o->mode == TLS_PERMISSIVE;
    cfg->sni = o->sni;
    cfg->names = o->subject_alt_names;
    cfg->name_count = o->subject_alt_name_count;
    if (cfg->spiffe)
        return;
    cfg->identity_dir = NULL;
    cfg->alpn_istio = false;
    cfg->ca_file = o->ca_certificates;
    cfg->certificate = o->client_certificate;
    cfg->private_key = o->private_key;
    cfg->insecure_skip_verify = o->insecure_skip_verify;
}

static bool create(int fd, struct slot *s, struct conn *c) {
    char error[HANDSHAKE_ERROR_MAX] = "the TLS engine cannot be loaded";
    char name[SLOT_NAME_MAX];
    const char *arrow = strstr(slot_name(s, name), " -> ");
    struct handshake_config cfg = {
        .trust_domain = c->mesh->trust_domain,
        .identity_dir = c->mesh->certificates,
        .namespace_ = c->self.namespace_,
        .account = c->self.account,
        .alpn_istio = true,
        .destination = arrow ? arrow + 4 : NULL,
    };
    if (s->server)
        config_server(&cfg, c);
    else
        config_client(&cfg, c);
    if (confine_lost(CONFINE_RANDOM) || confine_deadly(CONFINE_MEMORY)) {
        conn_fail(fd, s, ECONNRESET, "the program's seccomp filter forbids what a TLS handshake needs");
        return false;
    }
    c->shake = core_engine() ? api()->new_(&cfg, error) : NULL;
    if (!c->shake)
        conn_fail(fd, s, ECONNRESET, error);
    return c->shake != NULL;
}

/* Sends what the handshake has to say. False: the kernel takes no more now. */
static bool flush_output(int fd, struct conn *c, int more) {
    size_t len;
    const uint8_t *bytes;
    while ((bytes = api()->output(c->shake, &len)), len) {
        ssize_t n = wire_send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL | more);
        if (n < 0)
            return errno != EAGAIN && errno != ENOTCONN && errno != EINTR;
        api()->output_taken(c->shake, (size_t)n);
    }
    return true;
}

static void fail(int fd, struct slot *s, struct conn *c) {
    char why[HANDSHAKE_ERROR_MAX];
    snprintf(why, sizeof why, "TLS handshake failed: %s", api()->error(c->shake));
    flush_output(fd, c, 0);
    conn_fail(fd, s, ECONNRESET, why);
}

/* A ticket goes out in front of the first application bytes, so that it never wakes the peer alone. */
static void keep_ticket(struct slot *s, struct conn *c) {
    uint8_t *tail = slot_tx_buffer(s);
    size_t n = api()->ticket(c->shake, tail, TICKET_MAX);
    if (!n) {
        slot_tx_release(s);
        return;
    }
    s->tail_at = 0;
    s->tail = (uint32_t)n;
    s->tail_rides = true;
}

static bool allowed(const struct slot *s, const struct conn *c, const char *peer) {
    return !s->server || !c->inbound.principal_count || policy_principal_allowed(&c->inbound, peer);
}

/* Our last flight is small and unanswered: unless its receiver acknowledges at once, the sender's next small
 * write waits for a delayed acknowledgement (RFC 1122 4.2.3.2 and 4.2.3.4), which would cost every connection
 * 40 ms. */
static void acknowledge_now(int fd, const struct slot *s) {
    int on = 1;
    if (s->server == (s->rx.version == 0x0304))
        wire_setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* tx_lock and rx_lock are held. */
static void finish(int fd, struct slot *s, struct conn *c) {
    struct handshake_result result;
    char name[SLOT_NAME_MAX];
    if (s->server)
        keep_ticket(s, c);
    if (api()->export_(c->shake, &result) < 0) {
        conn_fail(fd, s, ECONNRESET, "the agreed cipher suite is not supported");
        return;
    }
    s->rx = result.rx;
    s->tx = result.tx;
    if (strlen(result.peer) < sizeof s->peer_name)
        memcpy(s->peer_name, result.peer, strlen(result.peer) + 1);
    if (!allowed(s, c, result.peer)) {
        char why[HANDSHAKE_ERROR_MAX];
        snprintf(why, sizeof why, "principal \"%s\" is not on the list", result.peer);
        send_alert(fd, s, 49 /* access_denied */);
        conn_fail(fd, s, ECONNRESET, why);
    } else {
        log_info("%s: %s%s, peer \"%s\", rule %s", slot_name(s, name),
                 result.version == 0x0304 ? "TLS 1.3" : "TLS 1.2", result.resumed ? " resumed" : "",
                 result.peer, s->rule);
        if (!s->server)
            fallback_spoke_tls(s);
        s->early_left = c->early_len > 0;
        slot_set_state(s, SLOT_OPEN);
        acknowledge_now(fd, s);
        send_begin(fd, s);
        options_lowat(fd, s, 1);
        options_learn_segments(fd, s);
        send_flush(fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (!s->server && api()->wants_post(c->shake))
        c->post = c->shake;
    else
        api()->free_(c->shake);
    c->shake = NULL;
    explicit_bzero(&result, sizeof result);
}

static void settle(int fd, struct slot *s, struct conn *c, enum handshake_status status) {
    if (status == HANDSHAKE_FAILED && fallback_possible(s, c))
        fallback_begin(fd, s, c, "the peer does not speak TLS");
    else if (status == HANDSHAKE_FAILED)
        fail(fd, s, c);
    else if (flush_output(fd, c, status == HANDSHAKE_DONE && c->early_len ? MSG_MORE : 0) &&
             status == HANDSHAKE_DONE)
        finish(fd, s, c);
}

void shake_start(int fd, struct slot *s, struct conn *c) {
    if (atomic_load(&s->state) != SLOT_SHAKING || c->shake || c->going_plain || hello_awaited(s, c) ||
        hello_held(fd, s, c))
        return;
    s->shaker = wire_getpid();
    if (create(fd, s, c))
        settle(fd, s, c, api()->step(c->shake));
}

size_t shake_keep(struct conn *c, const struct iovec *iov, size_t skip, size_t total) {
    size_t used = c->early_at + c->early_len;
    size_t take = CONN_EARLY_MAX - used < total ? CONN_EARLY_MAX - used : total;
    if (used + take > c->early_room) {
        size_t room = c->early_room ? c->early_room : 4096;
        while (room < used + take)
            room *= 2;
        uint8_t *bigger = malloc(room);
        if (!bigger)
            return 0;
        if (c->early) {
            memcpy(bigger, c->early, used);
            explicit_bzero(c->early, c->early_room);
            free(c->early);
        }
        c->early = bigger;
        c->early_room = room;
    }
    size_t done = 0;
    for (; done < take; iov++, skip = 0) {
        size_t n = iov->iov_len - skip < take - done ? iov->iov_len - skip : take - done;
        memcpy(c->early + used + done, (const uint8_t *)iov->iov_base + skip, n);
        done += n;
    }
    c->early_len += take;
    return take;
}

/* --- input --------------------------------------------------------------------------------------- */

/* What a look at the kernel's queue led to. */
enum look { LOOK_MORE, LOOK_STOP, LOOK_NOTHING };

static const char *not_tls(const struct slot *s) {
    return s->server ? "the peer speaks plaintext where mutual TLS is demanded"
                     : "the peer answered with bytes that are not TLS";
}

/* The peer ended the stream inside the handshake. */
static enum look look_eof(int fd, struct slot *s, struct conn *c, bool any) {
    slot_lock(&s->tx_lock);
    enum look result = LOOK_MORE;
    if (s->server && !any && !c->heard && atomic_load(&s->state) == SLOT_SHAKING) {
        s->rx_eof = true;
        result = LOOK_NOTHING;
    } else if (!c->going_plain && atomic_load(&s->state) == SLOT_SHAKING) {
        if (fallback_possible(s, c))
            fallback_begin(fd, s, c, "the peer closed the connection");
        else
            conn_fail(fd, s, ECONNRESET, "the peer closed the connection during the TLS handshake");
    }
    slot_unlock(&s->tx_lock);
    return result;
}

/* Feeds whole records; tx_lock and rx_lock are held. Returns the bytes fed. */
static size_t feed(int fd, struct slot *s, struct conn *c, const uint8_t *p, size_t n) {
    size_t at = 0;
    while (atomic_load(&s->state) == SLOT_SHAKING && c->shake && n - at >= RECORD_HEADER) {
        long len = record_wire_len(p + at, 0);
        if (len < 0) {
            if (fallback_possible(s, c))
                fallback_begin(fd, s, c, "the peer does not speak TLS");
            else
                conn_fail(fd, s, ECONNRESET, not_tls(s));
            break;
        }
        if ((size_t)len > n - at)
            break;
        enum handshake_status status = api()->feed(c->shake, p + at, (size_t)len);
        at += (size_t)len;
        c->heard = true;
        settle(fd, s, c, status);
    }
    return at;
}

/* A blocking call is back. False: the program has closed the descriptor meanwhile, or a signal's handler of
 * this very thread has been at work on the connection. */
static bool wait_is_over(struct slot *s) {
    if (atomic_exchange(&s->rx_waits, false) && !slot_orphaned(s))
        return true;
    errno = slot_orphaned(s) ? EBADF : EINTR;
    return false;
}

static ssize_t wait_recv(int fd, struct slot *s, void *buf, size_t n, int flags) {
    if (flags & MSG_DONTWAIT)
        return wire_recv(fd, buf, n, flags);
    atomic_store(&s->rx_waits, true);
    ssize_t got = wire_recv(fd, buf, n, flags);
    int saved = errno;
    if (!wait_is_over(s))
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
static enum look look_carry(int fd, struct slot *s, struct conn *c, int flags) {
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
    size_t fed = feed(fd, s, c, buffer, s->carry);
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

static enum look look_fresh(int fd, struct slot *s, struct conn *c, int flags) {
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
    if (hello_sniff(fd, s, c, scratch->rx, (size_t)n)) {
        hello_rule_out(c);
        shake_start(fd, s, c);
        fed = feed(fd, s, c, scratch->rx, (size_t)n);
        if (fed)
            (void)!wire_recv(fd, NULL, fed, MSG_TRUNC | MSG_DONTWAIT);
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

/* --- waiting ------------------------------------------------------------------------------------- */

/* The handshake is a relative's: its process moves it, we wait for the shared slot. rx_lock is released
 * meanwhile, because the owner needs it. */
static enum shake_result await_relative(int fd, struct slot *s, bool wait) {
    uint32_t seen = atomic_load(&s->progress);
    if (atomic_load(&s->state) != SLOT_SHAKING)
        return SHAKE_OPEN;
    if (!confine_lost(CONFINE_KILL) && kill(s->shaker, 0) && errno == ESRCH) {
        slot_lock(&s->tx_lock);
        conn_fail(fd, s, ECONNRESET, "the process that had begun the TLS handshake ended");
        slot_unlock(&s->tx_lock);
        return SHAKE_OPEN;
    }
    errno = EAGAIN;
    if (!wait)
        return SHAKE_AGAIN;
    slot_unlock(&s->rx_lock);
    slot_wait(s, seen, 100);
    slot_lock(&s->rx_lock);
    return SHAKE_OPEN; /* the caller looks whether it is still the same connection */
}

static bool output_waits(struct conn *c) {
    size_t len = 0;
    if (c->shake)
        api()->output(c->shake, &len);
    return len > 0;
}

/* PERMISSIVE: how long the peer may still stay silent, in ms; -1: for ever (we have nothing to say either).
 */
static int silence_left(const struct slot *s, const struct conn *c) {
    if (!s->permissive || c->sniffed || c->going_plain || (s->server && !c->early_len && !c->closing))
        return -1;
    uint64_t age = conn_now() - c->born_ms;
    return age < c->mesh->permissive_wait_ms ? (int)(c->mesh->permissive_wait_ms - age) : 0;
}

/* The wait is over: plaintext. */
static void end_silence(int fd, struct slot *s, struct conn *c) {
    slot_lock(&s->tx_lock);
    if (s->server)
        fallback_plain(fd, s, c, "the client waits for us to speak first");
    else if (fallback_possible(s, c))
        fallback_begin(fd, s, c, "the peer stays silent");
    slot_unlock(&s->tx_lock);
}

/* Blocks until the kernel has input (or takes output), as long as a blocking read would. Returns false when a
 * signal or a timeout ended the wait. */
static bool await_peer(int fd, struct slot *s, struct conn *c) {
    int limit = silence_left(s, c);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (output_waits(c))
        p.events |= POLLOUT;
    else if (limit < 0)
        return true; /* the receive itself blocks, with the program's own timeout */
    atomic_store(&s->rx_waits, true);
    int n = wire_poll(&p, 1, limit);
    if (!wait_is_over(s) || n < 0)
        return false;
    if (!n)
        end_silence(fd, s, c);
    return true;
}

static void await_lowat(int fd, struct slot *s) {
    uint32_t missing = 1;
    if (s->carry) {
        const uint8_t *buffer = slot_rx_buffer(s);
        long len = s->carry < RECORD_HEADER ? RECORD_HEADER : record_wire_len(buffer, 0);
        missing = len > (long)s->carry ? (uint32_t)len - s->carry : 1;
    }
    options_lowat(fd, s, missing);
}

bool shake_connected(int fd) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int saved = errno;
    bool connected = confine_lost(CONFINE_NAMES) || !wire_getpeername(fd, (struct sockaddr *)&peer, &len);
    errno = saved;
    return connected;
}

bool shake_reachable(int fd, struct slot *s, bool wait) {
    if (s->server || s->shaker || shake_connected(fd))
        return true;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n = wire_poll(&p, 1, wait ? -1 : 0);
    if (n > 0 && shake_connected(fd))
        return true;
    if (n == 0)
        errno = EAGAIN;
    if (n <= 0)
        return false;
    int error = 0;
    socklen_t len = sizeof error;
    wire_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    errno = ENOTCONN;
    if (!error) /* the program has been told by SO_ERROR */
        return false;
    s->error = error;
    s->error_told = true;
    slot_set_state(s, SLOT_DEAD);
    errno = s->error;
    return false;
}

/* The kernel tells an error once; so do we. */
static enum shake_result broken_off(struct slot *s) {
    char name[SLOT_NAME_MAX];
    log_warn("%s: the connection broke off during the TLS handshake: %s; rule %s", slot_name(s, name),
             strerror(errno), s->rule);
    s->error = errno;
    s->error_told = true;
    slot_set_state(s, SLOT_DEAD);
    return SHAKE_AGAIN;
}

static enum shake_result advance(int fd, struct slot *s, struct conn *c, bool wait) {
    if (!shake_reachable(fd, s, wait))
        return SHAKE_AGAIN;
    for (;;) {
        slot_lock(&s->tx_lock);
        if (wait)
            hello_rule_out(c); /* the program waits for input first */
        shake_start(fd, s, c);
        if (c->reconnecting)
            fallback_continue(fd, s, c, wait);
        else if (c->going_plain)
            fallback_plain(fd, s, c, NULL);
        else if (c->shake && atomic_load(&s->state) == SLOT_SHAKING)
            settle(fd, s, c, api()->step(c->shake)); /* what did not fit into the kernel's buffer last time */
        bool plain = c->going_plain;
        slot_unlock(&s->tx_lock);
        if (plain || atomic_load(&s->state) != SLOT_SHAKING)
            return SHAKE_OPEN;
        if (wait && !await_peer(fd, s, c))
            return SHAKE_AGAIN;
        if (c->going_plain || c->reconnecting)
            continue;
        await_lowat(fd, s);
        int flags = wait && !output_waits(c) ? 0 : MSG_DONTWAIT;
        enum look look =
            s->carry || !wire_peeks() ? look_carry(fd, s, c, flags) : look_fresh(fd, s, c, flags);
        if (look == LOOK_NOTHING)
            return SHAKE_NOTHING;
        if (slot_orphaned(s))
            return SHAKE_AGAIN;
        if (look == LOOK_STOP && errno != EAGAIN && errno != EINTR)
            return broken_off(s);
        if (look == LOOK_STOP && errno == EAGAIN && !silence_left(s, c)) {
            end_silence(fd, s, c);
            continue;
        }
        if (look == LOOK_STOP && !(wait && flags && errno == EAGAIN))
            return SHAKE_AGAIN;
    }
}

enum shake_result shake_advance(int fd, struct slot *s, bool wait) {
    if (!slot_lock_soon(&s->tx_lock, &s->tx_waits)) { /* this thread is in the midst of a write */
        errno = EAGAIN;
        return SHAKE_AGAIN;
    }
    slot_unlock(&s->tx_lock);
    struct conn *c = conn_pin(s);
    enum shake_result r = !c || (s->shaker && s->shaker != wire_getpid())
                              ? await_relative(fd, s, wait)
                              : advance(fd, s, c, wait && !atomic_load(&s->nonblocking));
    conn_unpin(c);
    return r;
}
