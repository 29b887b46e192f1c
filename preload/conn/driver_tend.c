/* driver_tend.c - what is done for one unattended connection: its handshake, its tail, its farewell. Never
 * blocks, takes the slot's locks and knows nothing of the list or the thread. */
#include "driver_tend.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "driver.h"
#include "fallback.h"
#include "farewell.h"
#include "fdtable.h"
#include "hello.h"
#include "recv.h"
#include "send.h"
#include "shake.h"
#include "wire.h"

static enum need after_goodbye(struct conn *c) {
    struct slot *s = c->slot;
    int unacknowledged = 0;
    if (recv_unread(c->fd, s)) { /* data for a program that is gone: TCP resets */
        farewell_reset(c->fd, s);
        return NEED_FREE;
    }
    if (atomic_load(&s->state) != SLOT_OPEN || wire_ioctl(c->fd, SIOCOUTQ, &unacknowledged) ||
        !unacknowledged)
        return NEED_FREE; /* all is in the peer's kernel: a late ticket can do no harm any more */
    if (!shake_connected(c->fd))
        return NEED_FREE; /* reset: the kernel goes on counting what it has thrown away */
    return NEED_TIME;     /* nothing tells when it is */
}

/* The program has closed this one: deliver, say goodbye, read the rest away. */
static enum need linger(struct conn *c) {
    struct slot *s = c->slot;
    if (c->said_goodbye)
        return after_goodbye(c);
    if (atomic_load(&s->state) != SLOT_OPEN)
        return NEED_FREE;
    c->deadline_ms = conn_now() + DRIVER_DELIVERY_MS;
    if (!slot_lock_soon(&s->tx_lock, &s->tx_waits))
        return NEED_OUTPUT; /* a relative is writing */
    bool flushed = send_flush(c->fd, s, MSG_DONTWAIT | MSG_NOSIGNAL), last = !slot_others_use(s);
    if (flushed && last) {
        send_goodbye(c->fd, s);
        flushed = send_flush(c->fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    slot_unlock(&s->tx_lock);
    if (!flushed)
        return NEED_OUTPUT;
    if (!last)
        return NEED_FREE;
    c->said_goodbye = true;
    wire_shutdown(c->fd, SHUT_WR);
    return after_goodbye(c);
}

static enum need tend_open(struct conn *c) {
    struct slot *s = c->slot;
    if (c->closing)
        return linger(c);
    if (!slot_trylock(&s->tx_lock))
        return NEED_TIME; /* the program is writing */
    bool out = send_all(c->fd, s);
    slot_unlock(&s->tx_lock);
    return out ? NEED_NOTHING : NEED_OUTPUT;
}

static bool too_late(struct conn *c) {
    if (conn_now() < c->deadline_ms)
        return false;
    if (c->slot->server && c->slot->permissive && !c->sniffed && !c->closing) {
        c->deadline_ms = UINT64_MAX; /* a plaintext client may be silent for as long as it likes */
        return false;
    }
    if (!slot_lock_soon(&c->slot->tx_lock, &c->slot->tx_waits))
        return true;
    if (atomic_load(&c->slot->state) == SLOT_SHAKING && !c->going_plain)
        conn_fail(c->fd, c->slot, ECONNRESET, "the TLS handshake was not finished in time");
    slot_unlock(&c->slot->tx_lock);
    return true;
}

static enum need tend_shaking(struct conn *c) {
    struct slot *s = c->slot;
    if (s->shaker && s->shaker != wire_getpid())
        return c->closing ? NEED_FREE : NEED_NOTHING;
    if (!c->going_plain && !shake_connected(c->fd)) {
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        if (wire_poll(&p, 1, 0) != 1)
            return NEED_OUTPUT; /* not connected yet */
        if (c->closing)
            return NEED_FREE;
        /* Refused or reset. The error stays in the kernel, which goes on telling of it, until the program's
         * own call fetches it; only a relative that waits for this process would never hear, and plaintext
         * may be tried yet. */
        if (!s->shaker || !(slot_others_use(s) || fallback_possible(s, c)))
            return NEED_NOTHING;
    }
    if (!slot_trylock(&s->rx_lock)) { /* a blocked reader attends to what comes */
        shake_beside(c->fd, s);
        return too_late(c) ? NEED_NOTHING : NEED_TIME;
    }
    enum shake_result r = shake_advance(c->fd, s, SHAKE_NOW);
    slot_unlock(&s->rx_lock);
    if (atomic_load(&s->state) == SLOT_OPEN)
        return tend_open(c);
    if (r == SHAKE_NOTHING || atomic_load(&s->state) != SLOT_SHAKING || too_late(c))
        return c->closing ? NEED_FREE : NEED_NOTHING;
    if (s->rx_shut) /* the kernel calls it readable for ever */
        return NEED_TIME;
    return c->reconnecting || (c->going_plain && c->early_len) ? NEED_OUTPUT : NEED_INPUT;
}

enum need driver_tend(struct conn *c) {
    struct slot *s = c->slot;
    if (atomic_load(&s->generation) != c->generation || slot_orphaned(s))
        return NEED_NOTHING;
    if (!confine_lost(CONFINE_GETSOCKOPT) &&
        conn_cookie(c->fd) != s->cookie) /* closed where no hook saw it; the number may be anything now */
        return c->closing ? NEED_FREE : NEED_NOTHING;
    enum slot_state state = atomic_load(&s->state);
    enum need need = state == SLOT_SHAKING ? tend_shaking(c)
                     : state == SLOT_OPEN  ? tend_open(c)
                     : c->closing          ? NEED_FREE
                                           : NEED_NOTHING;
    if (c->closing && need != NEED_FREE && too_late(c))
        return NEED_FREE;
    return need;
}

/* When the permissive wait is over the silence has to be noticed, input or not. */
uint64_t driver_tend_next(const struct conn *c) {
    uint64_t patience_ends = c->born_ms + c->mesh->permissive_wait_ms;
    bool undecided = c->slot->permissive && !c->sniffed && atomic_load(&c->slot->state) == SLOT_SHAKING &&
                     conn_now() <= patience_ends;
    uint64_t next = undecided && patience_ends < c->deadline_ms ? patience_ends + 1 : c->deadline_ms;
    uint64_t held = hello_wait_ends(c);
    return held < next ? held : next;
}

void driver_tend_end(struct conn *c) {
    struct slot *s = c->slot;
    int fd = c->fd;
    uint32_t generation = atomic_load(&s->generation);
    bool shared = slot_others_use(s);
    conn_drop(c);
    fdtable_own_close(fd);
    if (shared && slot_unref(s))
        slot_unhold(s, generation);
    else
        farewell_free(s);
}
