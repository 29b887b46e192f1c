/* farewell.c - the end of a connection in this process: deliver what was accepted, say close_notify, leave no
 * trace. */
#include "farewell.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "conn.h"
#include "driver.h"
#include "fdtable.h"
#include "log.h"
#include "recv.h"
#include "send.h"
#include "shake.h"
#include "wire.h"

static _Atomic bool leaving;         /* the process ends */
static _Atomic unsigned patience_ms; /* `linger` of the table under which something was last closed */

void farewell_free(struct slot *s) {
    struct conn *c = conn_of(s);
    if (c && atomic_load(&leaving))
        (void)conn_abandon(c);
    else if (c)
        conn_drop(c);
    slot_retire(s);
}

/* Bytes or a handshake that must go on after the program's close. */
static bool unfinished(const struct slot *s, const struct conn *c) {
    if (!c)
        return false;
    switch (atomic_load(&s->state)) {
    case SLOT_SHAKING:
        return c->early_len || c->shake ||
               (s->server && !c->going_plain); /* the peer waits for an end, not for a reset */
    case SLOT_OPEN:
        return (s->tail && !s->tail_rides) || s->early_left;
    default:
        return false;
    }
}

/* The client of a TLS 1.3 server that has not sent anything yet may still be sent tickets: they would reset
 * the connection, and the kernel would throw away what the peer has not acknowledged. */
static bool tickets_may_come(int fd, const struct slot *s) {
    int unacknowledged = 0;
    return !s->server && atomic_load(&s->state) == SLOT_OPEN && s->rx.version == 0x0304 && !s->saw_input &&
           !s->rx_eof && s->bytes_out && !wire_ioctl(fd, SIOCOUTQ, &unacknowledged) && unacknowledged;
}

static void set_deadline(struct conn *c, bool said_goodbye) {
    c->said_goodbye = said_goodbye;
    if (said_goodbye)
        c->deadline_ms = conn_now() + DRIVER_DELIVERY_MS;
    else if (c->deadline_ms < conn_now() + c->mesh->linger_ms)
        c->deadline_ms = conn_now() + c->mesh->linger_ms;
}

/* No further number is to be had: this close takes as long as the delivery. False: the caller goes on as if
 * nothing were left. */
static bool deliver_here(int fd, struct conn *c, bool said_goodbye) {
    c->fd = fd;
    c->lent = true;
    c->closing = true;
    set_deadline(c, said_goodbye);
    driver_attend(c, 0);
    driver_see_through(c, c->mesh->linger_ms);
    driver_forget(c);
    return false;
}

/* The descriptor's number goes back to the program at once; the connection lives on under a number of ours.
 */
static bool hand_over(int fd, struct conn *c, bool said_goodbye) {
    driver_forget(c);
    int own = fdtable_own_move(fd);
    if (own < 0 && atomic_load(&leaving)) { /* there is no other number, and nobody needs this one any more */
        fdtable_own_claim(fd);
        own = fd;
    }
    if (own < 0)
        return deliver_here(fd, c, said_goodbye);
    for (int i = 0; i < c->epoll_count; i++)
        wire_epoll_ctl(c->epolls[i], EPOLL_CTL_DEL, fd, NULL);
    c->fd = own;
    c->closing = true;
    set_deadline(c, said_goodbye);
    unsigned patience = c->mesh->linger_ms;
    atomic_store(&patience_ms, patience);
    driver_attend(c, 0);
    driver_see_off(patience);
    return true;
}

/* The handshake and what the program wrote before must be through before the kernel's FIN. */
static bool finish_writing(int fd, struct slot *s) {
    if (atomic_load(&s->state) == SLOT_OPEN && send_flush(fd, s, MSG_DONTWAIT | MSG_NOSIGNAL)) {
        send_goodbye(fd, s);
        return send_flush(fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    return atomic_load(&s->state) == SLOT_DEAD;
}

/* All that was written and close_notify, as far as the kernel takes it. True: nothing is left to be sent. */
static bool goodbye_now(int fd, struct slot *s) {
    bool said = true;
    if (!slot_lock_soon(&s->tx_lock, &s->tx_waits))
        return true; /* a write that waits for the peer: nothing can be said in the midst of its records */
    if (atomic_load(&s->state) == SLOT_OPEN && !s->abort)
        said = finish_writing(fd, s);
    else if (atomic_load(&s->state) == SLOT_SHAKING)
        said = false;
    slot_unlock(&s->tx_lock);
    return said;
}

/* What TCP does when the program closes with data unread: the peer must not take this for a clean end. */
void farewell_reset(int fd, struct slot *s) {
    static const struct linger now = {.l_onoff = 1, .l_linger = 0};
    s->abort = true;
    wire_setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* A reader that is blocked in recv holds rx_lock but not tx_lock, so it never keeps us here. */
static void last_farewell(int fd, struct slot *s) {
    struct conn *c = conn_of(s);
    if (!s->abort && recv_unread(fd, s))
        farewell_reset(fd, s);
    bool said = goodbye_now(fd, s);
    if (!s->abort && c && (said ? tickets_may_come(fd, s) : unfinished(s, c))) {
        if (said) /* the peer hears the end now; the rest is only to be read away */
            wire_shutdown(fd, SHUT_WR);
        if (hand_over(fd, c, said))
            return;
    }
    farewell_free(s);
}

/* Others hold it too, but a handshake that this process began is this process's to finish: true, the driver
 * has it and the reference. The driver may be about to begin it this very moment. */
static bool leave_to_others(int fd, struct slot *s, struct conn *c) {
    driver_forget(c);
    if (unfinished(s, c) && s->shaker == wire_getpid() && hand_over(fd, c, false))
        return true;
    uint32_t generation = atomic_load(&c->generation);
    conn_drop(c);
    slot_unhold(s, generation); /* still running, but no longer one who could say close_notify */
    return false;
}

/* The driver must not use a number that is about to mean something else. */
static void move_to_twin(int fd, struct slot *s, struct conn *c) {
    if (c->fd != fd)
        return;
    for (int other = fdtable_next(0); other >= 0; other = fdtable_next(other + 1))
        if (fdtable_slot(other) == s) {
            driver_forget(c);
            c->fd = other;
            driver_attend(c, DRIVER_PATIENCE_MS);
            return;
        }
}

/* The reference is given back last: without it another process may end the connection and the slot be
 * somebody else's. If all others went meanwhile, nobody of them said goodbye. */
void farewell(int fd, struct slot *s) {
    int saved = errno;
    struct conn *c = conn_of(s);
    bool twin = c && atomic_fetch_sub(&c->fds, 1) > 1, shared = twin || slot_others_use(s);
    if (twin)
        move_to_twin(fd, s, c);
    else if (shared && c && leave_to_others(fd, s, c)) {
        errno = saved;
        return;
    }
    if (!shared || !slot_unref_shared(s))
        last_farewell(fd, s);
    errno = saved;
}

int farewell_close(int fd) {
    struct slot *s;
    bool mine = fdtable_mine();
    if (mine && !atomic_load(&leaving) && fdtable_sealed(fd)) {
        errno = EBADF; /* another thread is closing it */
        return -1;
    }
    if (mine && fdtable_seal(fd, &s)) {
        if (s)
            farewell(fd, s);
        fdtable_stop(fd);
        fdtable_unseal(fd);
    }
    return real.close(fd);
}

void farewell_lost(struct slot *s) {
    int saved = errno;
    struct conn *c = conn_of(s);
    bool twin = c && atomic_fetch_sub(&c->fds, 1) > 1, shared = twin || slot_others_use(s);
    if (twin) {
        move_to_twin(c->fd, s, c);
    } else if (shared && c) {
        uint32_t generation = atomic_load(&c->generation);
        conn_drop(c);
        slot_unhold(s, generation);
    }
    if (!shared || !slot_unref_shared(s))
        farewell_free(s);
    errno = saved;
}

/* A peer that has closed altogether answers our close_notify with a reset, where a bare FIN would have gone
 * unanswered: the program must not see the difference. */
static int shut_kernel(int fd, struct slot *s, int how) {
    int error;
    socklen_t len = sizeof error;
    if (!wire_shutdown(fd, how) || errno != ENOTCONN || atomic_load(&s->state) != SLOT_OPEN || s->reset_told)
        return s->reset_told ? wire_shutdown(fd, how) : 0;
    wire_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    s->reset_told = true;
    return 0;
}

static int shut_write(int fd, struct slot *s, int how) {
    if (!shake_connected(
            fd)) /* already reset: a send would use up the error that the program has yet to see */
        return wire_shutdown(fd, how);
    s->half_closed = true;
    if (atomic_load(&s->state) == SLOT_SHAKING && s->rx_eof) /* there will be nobody to say goodbye to */
        return wire_shutdown(fd, how);
    if (!slot_lock_soon(&s->tx_lock, &s->tx_waits))
        return wire_shutdown(fd, how); /* ends the wait of the blocked writer, as plain TCP does */
    bool done = finish_writing(fd, s);
    slot_unlock(&s->tx_lock);
    slot_reap(s);
    if (done)
        return shut_kernel(fd, s, how);
    struct conn *c = conn_pin(s);
    if (c) /* the driver shuts the kernel's side when all is out */
        driver_attend(c, 0);
    conn_unpin(c);
    return how == SHUT_RDWR ? wire_shutdown(fd, SHUT_RD) : 0;
}

int farewell_half(int fd, struct slot *s, int how) {
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
        errno = EINVAL;
        return -1;
    }
    if (atomic_load(&s->state) == SLOT_DEAD)
        return wire_shutdown(fd, how);
    int saved = errno;
    atomic_fetch_add(&s->out_news, 1); /* the kernel wakes who waits for edges */
    if (how != SHUT_WR)
        s->rx_shut = true;
    int r = how == SHUT_RD ? wire_shutdown(fd, how) : shut_write(fd, s, how);
    if (!r)
        errno = saved;
    return r;
}

bool farewell_due(void) {
    return fdtable_next(0) >= 0 || driver_seeing_off();
}

void farewell_all(void) {
    unsigned linger = atomic_load(&patience_ms);
    atomic_store(&leaving, true);
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        struct conn *c = s ? conn_of(s) : NULL;
        if (c && c->mesh->linger_ms > linger)
            linger = c->mesh->linger_ms;
        /* Other threads go on, and destructors come after ours. */
        if (fdtable_seal(fd, &s) && s)
            farewell(fd, s);
    }
    driver_finish(linger);
}
