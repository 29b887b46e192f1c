/* shake.c - moves a handshake over the program's descriptor: by whoever comes first, never reading a byte of
 * application data ahead.
 *
 * What comes is looked at and fed in shake_input.c; what the object is made with and what becomes of it is in
 * shake_object.c. The object belongs to the process that first moved it; relatives wait for the shared slot.
 */
#include "shake.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calm.h"
#include "core.h"
#include "driver.h"
#include "fallback.h"
#include "filter.h"
#include "hello.h"
#include "log.h"
#include "options.h"
#include "shake_input.h"
#include "shake_object.h"
#include "wire.h"

static const struct handshake_api *api(void) {
    return core_loaded->handshake;
}

void shake_start(int fd, struct slot *s, struct conn *c) {
    if (atomic_load(&s->state) != SLOT_SHAKING || c->shake || c->going_plain || hello_awaited(s, c) ||
        hello_held(fd, s, c))
        return;
    calm_begin();
    s->shaker = wire_getpid();
    if (shake_object_make(fd, s, c))
        shake_object_settle(fd, s, c, api()->step(c->shake));
    calm_end();
}

static bool grow_early(struct conn *c, size_t used, size_t wanted) {
    size_t room = c->early_room ? c->early_room : 4096;
    while (room < wanted)
        room *= 2;
    calm_begin();
    uint8_t *bigger = malloc(room);
    if (bigger && c->early) {
        memcpy(bigger, c->early, used);
        explicit_bzero(c->early, c->early_room);
        free(c->early);
    }
    if (bigger) {
        c->early = bigger;
        c->early_room = room;
    }
    calm_end();
    return bigger != NULL;
}

size_t shake_keep(struct conn *c, const struct iovec *iov, size_t skip, size_t total) {
    size_t used = c->early_at + c->early_len;
    size_t take = CONN_EARLY_MAX - used < total ? CONN_EARLY_MAX - used : total;
    if (used + take > c->early_room && !grow_early(c, used, used + take))
        return 0;
    size_t done = 0;
    for (; done < take; iov++, skip = 0) {
        size_t n = iov->iov_len - skip < take - done ? iov->iov_len - skip : take - done;
        memcpy(c->early + used + done, (const uint8_t *)iov->iov_base + skip, n);
        done += n;
    }
    if (used + take == CONN_EARLY_MAX)
        filter_fills();
    c->early_len += take;
    return take;
}

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
    unsigned depth = calm_pause();
    slot_wait(s, seen, 100);
    calm_resume(depth);
    slot_lock(&s->rx_lock);
    return SHAKE_OPEN; /* the caller looks whether it is still the same connection */
}

/* A writer may just be starting it. */
static bool output_waits(struct slot *s, struct conn *c) {
    size_t len = 0;
    slot_lock(&s->tx_lock);
    if (c->shake)
        api()->output(c->shake, &len);
    slot_unlock(&s->tx_lock);
    return len > 0;
}

/* PERMISSIVE: how long the peer may still stay silent, in ms; -1: for ever (we have nothing to say either).
 */
static int silence_left(const struct slot *s, const struct conn *c) {
    if (!s->permissive || c->sniffed || c->going_plain ||
        (s->server && !c->early_len && !s->half_closed && !c->closing))
        return -1;
    uint64_t age = conn_now() - c->born_ms;
    return age < c->mesh->permissive_wait_ms ? (int)(c->mesh->permissive_wait_ms - age) : 0;
}

/* The wait is over: plaintext. tx_lock is held. */
static void end_silence(int fd, struct slot *s, struct conn *c) {
    if (s->server)
        fallback_plain(fd, s, c, "the client waits for us to speak first");
    else if (fallback_possible(s, c))
        fallback_begin(fd, s, c, 0, "the peer stays silent");
}

static void end_silence_locking(int fd, struct slot *s, struct conn *c) {
    slot_lock(&s->tx_lock);
    end_silence(fd, s, c);
    slot_unlock(&s->tx_lock);
}

void shake_beside(int fd, struct slot *s) {
    struct conn *c = conn_pin(s);
    if (c && slot_lock_soon(&s->tx_lock, &s->tx_waits)) {
        bool ours = atomic_load(&s->state) == SLOT_SHAKING && (!s->shaker || s->shaker == wire_getpid());
        if (ours && c->reconnecting)
            fallback_continue(fd, s, c, false);
        else if (ours && !s->carry && !silence_left(s, c))
            end_silence(fd, s, c);
        slot_unlock(&s->tx_lock);
    }
    conn_unpin(c);
}

/* How long this thread itself may wait in poll. For a reader the driver ends a peer's silence, because a
 * poll, other than a receive, is not taken up again after a signal's handler. */
static int own_limit(const struct slot *s, struct conn *c, enum shake_wait wait) {
    int limit = silence_left(s, c);
    if (wait == SHAKE_TO_WRITE) /* plaintext may begin without anything to receive */
        return limit;
    if (limit >= 0)
        driver_attend(c, (unsigned)limit + 1);
    return driver_unmanned() ? limit : -1;
}

/* Blocks until the kernel has input (or takes output), as long as a blocking read would. Returns false when a
 * signal or a timeout ended the wait. */
static bool await_peer(int fd, struct slot *s, struct conn *c, enum shake_wait wait) {
    int limit = own_limit(s, c, wait);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (output_waits(s, c))
        p.events |= POLLOUT;
    else if (limit < 0)
        return true; /* the receive itself blocks, with the program's own timeout */
    atomic_store(&s->rx_waits, true);
    unsigned depth = calm_pause();
    int n = wire_poll(&p, 1, limit);
    calm_resume(depth);
    if (!shake_input_waited(s) || n < 0)
        return false;
    if (!n)
        end_silence_locking(fd, s, c);
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
    unsigned depth = calm_pause();
    int n = wire_poll(&p, 1, wait ? -1 : 0);
    calm_resume(depth);
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
    s->error_told = false;
    slot_set_state(s, SLOT_DEAD);
    errno = s->error;
    return false;
}

/* The kernel tells an error once; so does the program's next call, whoever was told here. */
static enum shake_result broken_off(struct slot *s) {
    char name[SLOT_NAME_MAX];
    log_warn("%s: the connection broke off during the TLS handshake: %s; rule %s", slot_name(s, name),
             strerror(errno), s->rule);
    s->error = errno;
    s->error_told = false;
    slot_set_state(s, SLOT_DEAD);
    return SHAKE_AGAIN;
}

/* PERMISSIVE, connecting: who answers a ClientHello with a reset does not speak TLS. */
static bool reset_falls_back(int fd, struct slot *s, struct conn *c) {
    if (errno != ECONNRESET)
        return false;
    slot_lock(&s->tx_lock);
    bool falls_back = atomic_load(&s->state) == SLOT_SHAKING && !c->going_plain && fallback_possible(s, c);
    if (falls_back)
        fallback_begin(fd, s, c, ECONNRESET, "the peer reset the connection");
    else
        errno = ECONNRESET;
    slot_unlock(&s->tx_lock);
    return falls_back;
}

static enum shake_result advance(int fd, struct slot *s, struct conn *c, enum shake_wait wait) {
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
            /* what did not fit into the kernel's buffer last time */
            shake_object_settle(fd, s, c, api()->step(c->shake));
        bool plain = c->going_plain;
        slot_unlock(&s->tx_lock);
        if (plain || atomic_load(&s->state) != SLOT_SHAKING)
            return SHAKE_OPEN;
        if (wait && !await_peer(fd, s, c, wait))
            return SHAKE_AGAIN;
        if (c->going_plain || c->reconnecting)
            continue;
        await_lowat(fd, s);
        int flags = wait && !output_waits(s, c) ? 0 : MSG_DONTWAIT;
        enum look look = s->carry || !wire_peeks() ? shake_input_carry(fd, s, c, flags)
                                                   : shake_input_fresh(fd, s, c, flags);
        if (look == LOOK_NOTHING)
            return SHAKE_NOTHING;
        if (look == LOOK_STOP && c->going_plain && errno != EINTR && errno != EAGAIN)
            continue; /* a second connect has taken the first one away under the receive */
        if (look == LOOK_STOP && reset_falls_back(fd, s, c))
            look = LOOK_MORE;
        if (look == LOOK_MORE && atomic_load(&s->state) != SLOT_SHAKING)
            return SHAKE_OPEN;
        if (slot_orphaned(s) || atomic_load(&s->state) != SLOT_SHAKING)
            return SHAKE_AGAIN;
        if (look == LOOK_STOP && errno != EAGAIN && errno != EINTR)
            return broken_off(s);
        if (look == LOOK_STOP && errno == EAGAIN && !silence_left(s, c)) {
            end_silence_locking(fd, s, c);
            continue;
        }
        if (look == LOOK_STOP && !(wait && flags && errno == EAGAIN))
            return SHAKE_AGAIN;
    }
}

enum shake_result shake_advance(int fd, struct slot *s, enum shake_wait wait) {
    if (!slot_lock_soon(&s->tx_lock, &s->tx_waits)) { /* this thread is in the midst of a write */
        errno = EAGAIN;
        return SHAKE_AGAIN;
    }
    slot_unlock(&s->tx_lock);
    struct conn *c = conn_pin(s);
    calm_begin();
    enum shake_result r = !c || (s->shaker && s->shaker != wire_getpid())
                              ? await_relative(fd, s, wait != SHAKE_NOW)
                              : advance(fd, s, c, atomic_load(&s->nonblocking) ? SHAKE_NOW : wait);
    conn_unpin(c);
    calm_end();
    return r;
}
