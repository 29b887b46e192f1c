/* options.c - socket options of managed descriptors. */
#include "options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn.h"
#include "log.h"
#include "real.h"
#include "wire.h"

enum { RCVBUF_MIN = 2 * SLOT_RX_REGION }; /* two records, or a sender could stall for ever on a full queue */

/* The least that the kernel must have when the program's own number of plaintext bytes is there; the filter
 * looks closer. */
static uint32_t resting_lowat(const struct slot *s) {
    if (atomic_load(&s->state) == SLOT_SHAKING)
        return 1;
    if (s->held) /* one byte of it is in the kernel */
        return s->user_lowat > s->held ? 1 + s->user_lowat - s->held : 1;
    return s->user_lowat > 1 ? s->user_lowat : 1;
}

void options_lowat(int fd, struct slot *s, uint32_t missing) {
    options_lowat_exactly(fd, s, missing > 1 ? missing : resting_lowat(s));
}

void options_lowat_exactly(int fd, struct slot *s, uint32_t want) {
    if (want == (s->lowat ? s->lowat : 1) || slot_orphaned(s))
        return;
    int saved = errno, value = (int)want;
    if (!wire_setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value))
        s->lowat = want;
    errno = saved;
}

/* Setting this one wakes who waits to write, whatever its value. Not behind a seccomp filter, which may judge
 * options one by one. */
void options_tell_room(int fd) {
    int saved = errno, value;
    socklen_t len = sizeof value;
    if (!confine_lost(CONFINE_ALL) && !wire_getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len))
        wire_setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, len);
    errno = saved;
}

static int give(int value, void *out, socklen_t *len) {
    socklen_t n = *len < sizeof value ? *len : sizeof value;
    memcpy(out, &value, n);
    *len = n;
    return 0;
}

static bool is_dead_error(struct slot *s) {
    return atomic_load(&s->state) == SLOT_DEAD && !s->error_told;
}

/* The kernel tells an error once, by SO_ERROR or by a call; what had arrived before can still be read. */
static void note_error(struct slot *s, void *value, socklen_t len) {
    int error = 0;
    memcpy(&error, value, len < sizeof error ? len : sizeof error);
    if (!error)
        return;
    s->reset_told = true;
    /* After a shutdown of both sides TCP resets the connection when the peer's close_notify comes. */
    if (error == ECONNRESET && s->rx_shut && s->half_closed)
        memset(value, 0, len);
}

/* An error of connect is no end: another connect may follow. */
static bool was_connected(const struct slot *s) {
    enum slot_state state = atomic_load(&s->state);
    return state == SLOT_OPEN || (state == SLOT_SHAKING && (s->server || s->shaker));
}

int options_get(int fd, struct slot *s, int level, int name, void *value, socklen_t *len) {
    if (level == SOL_SOCKET && value && len && *len >= sizeof(int)) {
        if (name == SO_ERROR && is_dead_error(s)) {
            s->error_told = true;
            return give(s->error, value, len);
        }
        if (name == SO_ERROR && s->lost_error)
            return give(atomic_exchange(&s->lost_error, 0), value, len);
        if (name == SO_RCVLOWAT)
            return give((int)s->user_lowat, value, len);
        if (name == SO_RCVBUF && s->user_rcvbuf)
            return give((int)s->user_rcvbuf, value, len);
    }
    int r = real.getsockopt(fd, level, name, value, len);
    if (!r && level == SOL_SOCKET && name == SO_ERROR && was_connected(s))
        note_error(s, value, *len);
    return r;
}

void options_learn(int fd, struct slot *s) {
    int value = 1;
    socklen_t len = sizeof value;
    wire_getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, &len);
    s->user_lowat = value > 1 ? (uint32_t)value : 1;
    s->lowat = s->user_lowat;
}

void options_learn_segments(int fd, struct slot *s) {
    int value = 0;
    socklen_t len = sizeof value;
    s->torn = wire_getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &len) || value < SLOT_RX_REGION;
}

static int set_lowat(int fd, struct slot *s, int value) {
    if (!slot_lock_rx(s, false)) { /* a blocked reader sets it when it is done */
        s->user_lowat = value > 1 ? (uint32_t)value : 1;
        return 0;
    }
    int r = real.setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
    if (!r) {
        options_learn(fd, s); /* the kernel has its limits */
        s->lowat = s->user_lowat;
        if (!s->carry)
            options_lowat(fd, s, 1);
    }
    slot_unlock(&s->rx_lock);
    slot_reap(s);
    return r;
}

/* The program reads back what plain TCP would have made of its wish; the kernel gets room for two records. */
static int set_rcvbuf(int fd, struct slot *s, int name, int value) {
    int readback = 0, enough = RCVBUF_MIN;
    socklen_t len = sizeof readback;
    int r = real.setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
    if (r || wire_getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &readback, &len))
        return r;
    s->user_rcvbuf = 0;
    if (readback < 2 * RCVBUF_MIN) {
        s->user_rcvbuf = (uint32_t)readback;
        return wire_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &enough, sizeof enough);
    }
    return 0;
}

int options_refuse(const struct slot *s, const char *what, int error) {
    char text[SLOT_NAME_MAX], whom[SLOT_WHOM_MAX];
    log_info("%s: %s refused on a protected connection%s, rule %s", slot_name(s, text), what,
             slot_whom(s, whom), s->rule);
    errno = error;
    return -1;
}

int options_set(int fd, struct slot *s, int level, int name, const void *value, socklen_t len) {
    int number = 0;
    if (value && len >= sizeof number)
        memcpy(&number, value, sizeof number);
    if (level == IPPROTO_TCP && name == TCP_ULP)
        return options_refuse(s, "TCP_ULP", ENOENT);
    if (level == SOL_SOCKET && value && len >= sizeof number) {
        if (name == SO_ZEROCOPY)
            return options_refuse(s, "SO_ZEROCOPY", EOPNOTSUPP);
        if (name == SO_RCVLOWAT)
            return set_lowat(fd, s, number);
        if (name == SO_RCVBUF || name == SO_RCVBUFFORCE)
            return set_rcvbuf(fd, s, name, number);
        if (name == SO_LINGER && len >= sizeof(struct linger)) {
            struct linger wish;
            memcpy(&wish, value, sizeof wish);
            s->abort = wish.l_onoff && !wish.l_linger;
        }
    }
    return real.setsockopt(fd, level, name, value, len);
}
