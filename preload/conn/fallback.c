/* fallback.c - PERMISSIVE's way into plaintext. The one room in which kept bytes may leave in the clear, and
 * only before any of them was meant for TLS (I2). */
#include "fallback.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calm.h"
#include "core.h"
#include "driver.h"
#include "fdtable.h"
#include "log.h"
#include "options.h"
#include "real.h"
#include "reserve.h"
#include "wire.h"

/* Peers that spoke TLS, by address; a collision only forgets the older one, which must fail closed: so a full
 * bucket keeps what it has. */
enum { SPOKE_BUCKETS = 1024, SPOKE_WAYS = 4 };
static union slot_address spoke[SPOKE_BUCKETS][SPOKE_WAYS] RESERVE;
static pthread_mutex_t spoke_lock = PTHREAD_MUTEX_INITIALIZER;
static bool spoke_overflow; /* a bucket was full: then nobody falls back any more who hashes there */

static size_t address_bytes(const union slot_address *a) {
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : offsetof(struct sockaddr_in, sin_zero);
}

static union slot_address *bucket_of(const union slot_address *a) {
    const uint8_t *p = (const uint8_t *)a;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < address_bytes(a); i++)
        hash = (hash ^ p[i]) * 16777619u;
    return spoke[hash % SPOKE_BUCKETS];
}

static bool known_to_speak(const union slot_address *a) {
    bool known = false;
    pthread_mutex_lock(&spoke_lock);
    union slot_address *bucket = bucket_of(a);
    for (int i = 0; i < SPOKE_WAYS; i++)
        known |= bucket[i].any.sa_family && !memcmp(&bucket[i], a, address_bytes(a));
    if (spoke_overflow && bucket[SPOKE_WAYS - 1].any.sa_family)
        known = true;
    pthread_mutex_unlock(&spoke_lock);
    return known;
}

void fallback_spoke_tls(const struct slot *s) {
    if (!s->permissive || known_to_speak(&s->peer))
        return;
    pthread_mutex_lock(&spoke_lock);
    union slot_address *bucket = bucket_of(&s->peer);
    int i = 0;
    while (i < SPOKE_WAYS && bucket[i].any.sa_family)
        i++;
    if (i < SPOKE_WAYS)
        bucket[i] = s->peer;
    else
        spoke_overflow = true;
    pthread_mutex_unlock(&spoke_lock);
}

bool fallback_possible(const struct slot *s, const struct conn *c) {
    if (s->server || !s->permissive || c->going_plain || known_to_speak(&s->peer))
        return false;
    return !c->shake || !(core_loaded->handshake->refused_certificate(c->shake) ||
                          core_loaded->handshake->peer_spoke_tls(c->shake));
}

static void say(const struct slot *s, const char *why) {
    char name[SLOT_NAME_MAX];
    log_warn("%s: %s; going on in plaintext as PERMISSIVE allows, rule %s", slot_name(s, name), why, s->rule);
}

static void abandon_shake(struct slot *s, struct conn *c) {
    if (c->shake)
        core_loaded->handshake->free_(c->shake);
    c->shake = NULL;
    slot_rx_release(s);
}

static void shut_again(int fd, const struct slot *s) {
    int how = s->rx_shut && s->half_closed ? SHUT_RDWR : s->half_closed ? SHUT_WR : SHUT_RD;
    wire_shutdown(fd, how);
}

/* Kept bytes go out in the clear; when all are out the slot turns SLOT_PLAIN. */
static void release(int fd, struct slot *s, struct conn *c) {
    while (c->early_len) {
        ssize_t n = wire_send(fd, c->early + c->early_at, c->early_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            driver_attend(c, DRIVER_PATIENCE_MS);
            return;
        }
        if (n < 0) /* the program meets the same error at its next call */
            n = (ssize_t)c->early_len;
        c->early_at += (size_t)n;
        c->early_len -= (size_t)n;
    }
    if (s->rx_shut || s->half_closed) /* a shutdown that had to wait, or that a second connect undid */
        shut_again(fd, s);
    bool was_full = c->early_at == CONN_EARLY_MAX;
    conn_early_done(c);
    options_lowat(fd, s, 1);
    slot_set_state(s, SLOT_PLAIN);
    if (was_full)
        options_tell_room(fd);
}

static void turn_plain(struct slot *s, struct conn *c) {
    abandon_shake(s, c);
    c->going_plain = true;
    s->shaker = wire_getpid();
}

void fallback_plain(int fd, struct slot *s, struct conn *c, const char *why) {
    if (why && s->server && c->inbound.principal_count) {
        conn_fail(fd, s, ECONNRESET, "the client speaks plaintext, which proves no principal of the list");
        return;
    }
    if (why) {
        say(s, why);
        turn_plain(s, c);
    }
    release(fd, s, c);
}

void fallback_quietly(int fd, struct slot *s, struct conn *c) {
    turn_plain(s, c);
    release(fd, s, c);
}

void fallback_leave(int fd, struct slot *s, struct conn *c) {
    char name[SLOT_NAME_MAX];
    log_info("%s: TLS of the program's own, left alone as tlsInTls = skip says, rule %s", slot_name(s, name),
             s->rule);
    fallback_quietly(fd, s, c);
}

/* connect(AF_UNSPEC) disconnects but keeps the descriptor, its options and its registrations in epoll sets.
 */
static int reconnect(int fd, const struct slot *s) {
    union slot_address local;
    socklen_t len = sizeof local;
    bool have_local = !wire_getsockname(fd, &local.any, &len);
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};
    if (real.connect(fd, &unspec, sizeof unspec))
        return -1;
    if (have_local) {
        if (local.any.sa_family == AF_INET)
            local.v4.sin_port = 0;
        else
            local.v6.sin6_port = 0;
        (void)!real.bind(fd, &local.any, len);
    }
    int flags = wire_fcntl(fd, F_GETFL, 0);
    wire_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    int r = real.connect(fd, &s->peer.any,
                         s->peer.any.sa_family == AF_INET ? sizeof s->peer.v4 : sizeof s->peer.v6);
    int saved = errno;
    wire_fcntl(fd, F_SETFL, flags);
    errno = saved;
    return r;
}

/* The one line of this fallback (I7): it did not come about. */
static void not_again(int fd, struct slot *s, struct conn *c, int error) {
    char why[160], reason[64];
    snprintf(why, sizeof why, "%s, and the connection could not be made again in plaintext: %s",
             c->fallback_why, strerror_r(error, reason, sizeof reason));
    c->reconnecting = false;
    conn_fail(fd, s, c->fallback_error ? c->fallback_error : error, why);
}

void fallback_begin(int fd, struct slot *s, struct conn *c, int error, const char *why) {
    c->fallback_why = why;
    c->fallback_error = error;
    turn_plain(s, c);
    if (reconnect(fd, s) && errno != EINPROGRESS) {
        not_again(fd, s, c, errno);
        return;
    }
    c->reconnecting = true;
    c->deadline_ms = conn_now() + c->mesh->handshake_timeout_ms;
    fallback_continue(fd, s, c, false);
}

void fallback_continue(int fd, struct slot *s, struct conn *c, bool wait) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    unsigned depth = calm_pause();
    int n = wire_poll(&p, 1, wait ? (int)c->mesh->handshake_timeout_ms : 0);
    calm_resume(depth);
    if (n <= 0) {
        driver_attend(c, DRIVER_PATIENCE_MS);
        return;
    }
    int error = 0;
    socklen_t len = sizeof error;
    wire_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        not_again(fd, s, c, error);
        return;
    }
    say(s, c->fallback_why);
    c->reconnecting = false;
    fallback_plain(fd, s, c, NULL);
}

ssize_t fallback_rest(int fd, struct slot *s, const struct iovec *iov, int count, size_t skip, int flags) {
    ssize_t done = 0, n = 1;
    atomic_store(&s->tx_waits, true);
    for (; count && n > 0; iov++, count--, skip = 0)
        for (size_t at = skip; at < iov->iov_len && n > 0; at += n > 0 ? (size_t)n : 0) {
            n = wire_send(fd, (const uint8_t *)iov->iov_base + at, iov->iov_len - at, flags);
            done += n > 0 ? n : 0;
        }
    atomic_store(&s->tx_waits, false);
    return done;
}

void fallback_fork_prepare(void) {
    pthread_mutex_lock(&spoke_lock);
}

void fallback_fork_done(void) {
    pthread_mutex_unlock(&spoke_lock);
}
