/* moving_state.c - a slot's plain data and its leftovers as bytes. May run in a child that shares its
 * parent's memory, so it takes no lock that it would have to wait for. */
#include "moving_state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "real.h"

/* What describes the connection, not its place in the arena nor what one process does with it now. */
enum { STATE_FROM = offsetof(struct slot, server), STATE_SIZE = offsetof(struct slot, refs) - STATE_FROM };

struct packed {
    uint64_t magic;
    uint32_t size, was; /* STATE_SIZE, the slot's state */
    uint32_t rx, tx;    /* bytes of leftovers behind the state */
};
static const uint64_t PACKED_MAGIC = 0x6e6e6f632d3177;

static uint32_t rx_bytes(const struct slot *s) {
    uint32_t held = s->held ? s->held_at + s->held : 0;
    return s->rx_region == SLOT_NO_REGION ? 0 : held > s->carry ? held : s->carry;
}

static uint32_t tx_bytes(const struct slot *s) {
    return s->tx_region == SLOT_NO_REGION ? 0 : s->tail_at + s->tail;
}

static bool put(int file, off_t *at, const void *bytes, size_t n) {
    bool ok = pwrite(file, bytes, n, *at) == (ssize_t)n;
    *at += (off_t)n;
    return ok;
}

/* Established, or nothing has happened yet; bytes that lie in one process's memory cannot go along. */
static bool movable(const struct slot *s) {
    uint8_t state = atomic_load(&s->state);
    return (state == SLOT_OPEN && !s->early_left) || (state == SLOT_SHAKING && !s->shaker);
}

static bool write_locked(int file, off_t at, struct slot *s, const uint8_t *rx, const uint8_t *tx) {
    if (!movable(s))
        return false;
    struct packed p = {PACKED_MAGIC, STATE_SIZE, atomic_load(&s->state), rx_bytes(s), tx_bytes(s)};
    bool ok = put(file, &at, &p, sizeof p) && put(file, &at, (const char *)s + STATE_FROM, STATE_SIZE) &&
              put(file, &at, rx, p.rx) && put(file, &at, tx, p.tx);
    if (ok)
        slot_set_state(s, SLOT_MOVED);
    return ok;
}

static bool write_slot(int file, off_t at, struct slot *s, const uint8_t *rx, const uint8_t *tx) {
    bool ok = false;
    if (!slot_trylock(&s->rx_lock))
        return false;
    if (slot_trylock(&s->tx_lock)) {
        ok = write_locked(file, at, s, rx, tx);
        slot_unlock(&s->tx_lock);
    }
    slot_unlock(&s->rx_lock);
    return ok;
}

bool moving_state_write(int file, off_t at, struct slot *s) {
    static const uint8_t none[1];
    const uint8_t *rx = s->rx_region == SLOT_NO_REGION ? none : slot_rx_buffer(s);
    const uint8_t *tx = s->tx_region == SLOT_NO_REGION ? none : slot_tx_buffer(s);
    return write_slot(file, at, s, rx, tx);
}

bool moving_state_write_view(int file, off_t at, struct slot_view *v) {
    struct slot *s = v->slot;
    const uint8_t *rx = v->rx_regions, *tx = v->tx_regions;
    if (s->rx_region != SLOT_NO_REGION)
        rx += (size_t)(s->rx_region - 1) * SLOT_RX_REGION;
    if (s->tx_region != SLOT_NO_REGION)
        tx += (size_t)(s->tx_region - 1) * SLOT_TX_REGION;
    return write_slot(file, at, s, rx, tx);
}

void moving_state_back(struct slot *s) {
    if (atomic_load(&s->state) == SLOT_MOVED)
        slot_set_state(s, s->tx.key_id ? SLOT_OPEN : SLOT_SHAKING);
}

static bool get(int file, off_t *at, void *bytes, size_t n) {
    bool ok = pread(file, bytes, n, *at) == (ssize_t)n;
    *at += (off_t)n;
    return ok;
}

struct slot *moving_state_read(int file, off_t at) {
    struct packed p;
    if (!get(file, &at, &p, sizeof p) || p.magic != PACKED_MAGIC || p.size != STATE_SIZE ||
        p.rx > SLOT_RX_REGION || p.tx > SLOT_TX_REGION)
        return NULL;
    struct slot *s = slot_new();
    if (!s)
        return NULL;
    bool ok = get(file, &at, (char *)s + STATE_FROM, STATE_SIZE);
    if (ok && p.rx)
        ok = get(file, &at, slot_rx_buffer(s), p.rx);
    if (ok && p.tx)
        ok = get(file, &at, slot_tx_buffer(s), p.tx);
    if (!ok) {
        slot_free(s);
        return NULL;
    }
    slot_set_state(s, (enum slot_state)p.was);
    return s;
}
