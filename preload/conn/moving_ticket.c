/* moving_ticket.c - tickets: issued by the process that passes a connection on, redeemed by the one that gets
 * it. Knows nothing of messages. */
#include "moving_ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conn.h"
#include "core.h"
#include "driver.h"
#include "fdtable.h"
#include "log.h"
#include "moving.h"
#include "moving_state.h"
#include "real.h"
#include "send.h"
#include "shake.h"

static const uint64_t TICKET_MAGIC = 0x74656b6369742d31;
enum { TICKET_SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, BUSY_MS = 1000 };

struct ticket {
    uint64_t magic, cookie;
    uint32_t index, generation;
    bool family; /* the slot is in the arena that came along; else the state follows here */
};

/* --- issuing ------------------------------------------------------------------------------------- */

static bool only_ours(const struct slot *s, const struct conn *c) {
    switch (atomic_load(&s->state)) {
    case SLOT_SHAKING:
        return c && (c->shake || c->early_len || c->going_plain);
    case SLOT_OPEN:
        return s->early_left && s->shaker == getpid();
    default:
        return false;
    }
}

bool moving_ticket_ready(int fd, struct slot *s) {
    struct conn *c = conn_of(s);
    uint64_t end = conn_now() + (c ? c->mesh->handshake_timeout_ms : 0);
    while (only_ours(s, c)) {
        if (atomic_load(&s->state) == SLOT_SHAKING && slot_trylock(&s->rx_lock)) {
            shake_advance(fd, s, SHAKE_NOW);
            slot_unlock(&s->rx_lock);
        } else if (slot_trylock(&s->tx_lock)) {
            send_flush(fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
            slot_unlock(&s->tx_lock);
        }
        if (!only_ours(s, c))
            break;
        if (conn_now() >= end)
            return false;
        real.poll(NULL, 0, 1);
    }
    if (c && atomic_load(&s->state) == SLOT_SHAKING)
        driver_forget(c); /* nothing has happened on it: the receiver begins */
    return atomic_load(&s->state) != SLOT_MOVED;
}

static bool write_ticket(int file, struct slot *s, bool family) {
    struct ticket t = {TICKET_MAGIC, s->cookie, slot_index(s), atomic_load(&s->generation), family};
    if (pwrite(file, &t, sizeof t, 0) != (ssize_t)sizeof t)
        return false;
    if (!family && !moving_state_write(file, sizeof t, s))
        return false;
    return !real.fcntl(file, F_ADD_SEALS, TICKET_SEALS);
}

int moving_ticket_issue(struct slot *s, bool family) {
    int file = memfd_create("mtlswrap-ticket", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file >= 0 && !write_ticket(file, s, family)) {
        real.close(file);
        file = -1;
    }
    if (file >= 0 && family) {
        slot_ref(s);
        atomic_fetch_add(&s->forking, 1);
    }
    return file;
}

void moving_ticket_undo(struct slot *s, bool family) {
    if (family) {
        slot_unref(s);
        atomic_fetch_sub(&s->forking, 1);
    } else {
        moving_state_back(s);
    }
}

int moving_ticket_arena(void) {
    int kept = fdtable_own_kept();
    if (kept < 0 || !slot_arena_own_family() || !slot_arena_is(kept))
        return -1;
    return real.fcntl(kept, F_DUPFD_CLOEXEC, 3);
}

/* --- redeeming ----------------------------------------------------------------------------------- */

bool moving_ticket_is(int fd) {
    uint64_t magic = 0;
    int saved = errno;
    bool is = real.fcntl(fd, F_GET_SEALS) == TICKET_SEALS &&
              pread(fd, &magic, sizeof magic, 0) == (ssize_t)sizeof magic && magic == TICKET_MAGIC;
    errno = saved;
    return is;
}

/* The slot is in the arena of this process, or in one that becomes ours. */
static struct slot *shared(const struct ticket *t, int arena, bool peeked) {
    bool same = slot_arena_is(arena);
    if (!same && slot_arena_adopt(arena)) {
        int copy = real.fcntl(arena, F_DUPFD_CLOEXEC, 3);
        if (copy >= 0)
            fdtable_own_keep(copy);
        same = true;
    }
    struct slot *s = same && t->index < slot_capacity() ? slot_at(t->index) : NULL;
    if (!s || atomic_load(&s->generation) != t->generation)
        return NULL;
    slot_hold(s);
    if (peeked)
        slot_ref(s);
    else
        atomic_fetch_sub(&s->forking, 1);
    return s;
}

/* From another family's arena into a file of our own. Somebody may be in the middle of a call on it. */
static bool pull(struct slot_view *v, const struct ticket *t, int file) {
    for (int i = 0; i < BUSY_MS && atomic_load(&v->slot->generation) == t->generation; i++) {
        if (moving_state_write_view(file, 0, v)) {
            atomic_fetch_sub(&v->slot->refs, 1);
            atomic_fetch_sub(&v->slot->forking, 1);
            return true;
        }
        real.poll(NULL, 0, 1);
    }
    return false;
}

static struct slot *foreign(const struct ticket *t, int arena) {
    struct slot_view v;
    if (!slot_view_begin(&v, arena, t->index))
        return NULL;
    int file = memfd_create("mtlswrap-state", MFD_CLOEXEC);
    struct slot *s = file >= 0 && pull(&v, t, file) ? moving_state_read(file, 0) : NULL;
    if (file >= 0)
        real.close(file);
    slot_view_end(&v);
    return s;
}

static struct slot *redeem(int file, int sock, int arena, bool peeked) {
    struct ticket t;
    if (pread(file, &t, sizeof t, 0) != (ssize_t)sizeof t || conn_cookie(sock) != t.cookie || !core_engine())
        return NULL;
    if (!t.family) /* a state exists once (I3), so a peek cannot have it */
        return peeked ? NULL : moving_state_read(file, sizeof t);
    struct slot *s = arena < 0 ? NULL : shared(&t, arena, peeked);
    return s || peeked || arena < 0 || slot_arena_is(arena) ? s : foreign(&t, arena);
}

void moving_ticket_redeem(int ticket, int sock, int arena, bool cloexec, bool peeked) {
    int saved = errno;
    struct slot *s = fdtable_ready() ? redeem(ticket, sock, arena, peeked) : NULL;
    real.dup3(sock, ticket, cloexec ? O_CLOEXEC : 0);
    real.close(sock);
    if (s)
        moving_take_up(ticket, s);
    else
        moving_seal(ticket, peeked);
    errno = saved;
}
