/* lifecycle.c - hooks: how connections begin. connect() and accept() return as TCP's do; the handshake comes
 * later. */
#include "hook.h"

#include <netinet/in.h>
#include <string.h>

#include "driver.h"
#include "embryo.h"
#include "farewell.h"
#include "log.h"
#include "places.h"
#include "shake.h"
#include "twins.h"

EXPORT int socket(int domain, int type, int protocol) {
    int fd = real.socket(domain, type, protocol);
    if (fdtable_entry(fd))
        hook_fresh(fd);
    if (core.active)
        embryo_note(fd, domain, type);
    return fd;
}

EXPORT int socketpair(int domain, int type, int protocol, int fds[2]) {
    int r = real.socketpair(domain, type, protocol, fds);
    if (!r && (fdtable_entry(fds[0]) || fdtable_entry(fds[1]))) {
        hook_fresh(fds[0]);
        hook_fresh(fds[1]);
    }
    return r;
}

EXPORT int pipe2(int fds[2], int flags) {
    int r = real.pipe2(fds, flags);
    if (!r && (fdtable_entry(fds[0]) || fdtable_entry(fds[1]))) {
        hook_fresh(fds[0]);
        hook_fresh(fds[1]);
    }
    return r;
}

EXPORT int pipe(int fds[2]) {
    return pipe2(fds, 0);
}

EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len) {
    core_init();
    struct sockaddr_storage own;
    if (!core.active || !addr || !places_own(fd, addr, len, &own))
        return real.bind(fd, addr, len);
    int saved = errno, r = real.bind(fd, (struct sockaddr *)&own, len);
    if (!r || errno != EADDRNOTAVAIL)
        return r;
    errno = saved; /* the table's address belongs to something in front of this machine */
    return real.bind(fd, addr, len);
}

EXPORT int listen(int fd, int backlog) {
    core_init();
    int saved = errno;
    if (core.active && places_protected(fd)) {
        core_settle();
        log_keep_early(); /* a server gives up files and user before it has a connection to tell of */
    }
    embryo_forget(fd);
    errno = saved;
    return real.listen(fd, backlog);
}

/* --- accept -------------------------------------------------------------------------------------- */

static void give_peer(const struct sockaddr_storage *peer, socklen_t len, struct sockaddr *addr,
                      socklen_t *out) {
    if (!addr || !out)
        return;
    memcpy(addr, peer, len < *out ? len : *out);
    *out = len;
}

static void adopt(int fd, const struct sockaddr_storage *peer, socklen_t len) {
    struct conn *c = conn_inbound(fd, (const struct sockaddr *)peer, len);
    if (!c)
        return;
    conn_publish(c, fd);
    driver_attend(c, DRIVER_PATIENCE_ACCEPTED_MS);
}

static int accept_any(int fd, struct sockaddr *addr, socklen_t *len, int flags) {
    if (!core.active)
        return real.accept4(fd, addr, len, flags);
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof peer;
    int got = real.accept4(fd, (struct sockaddr *)&peer, &peer_len, flags);
    if (got < 0)
        return got;
    int saved = errno;
    hook_fresh(got);
    adopt(got, &peer, peer_len);
    if (errno == ENOBUFS) { /* must be protected and cannot be: fail closed */
        real.close(got);
        errno = ECONNABORTED;
        return -1;
    }
    give_peer(&peer, peer_len, addr, len);
    errno = saved;
    return got;
}

EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags) {
    core_init();
    return accept_any(fd, addr, len, flags);
}

EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len) {
    core_init();
    return core.active ? accept_any(fd, addr, len, 0) : real.accept(fd, addr, len);
}

/* --- connect ------------------------------------------------------------------------------------- */

/* It was no connection after all. */
static void connect_failed(int fd, struct conn *c, struct slot *s, bool shared) {
    twins_part(fd, s);
    if (shared) {
        conn_drop(c);
        slot_set_state(s, SLOT_EMBRYO);
    } else if (fdtable_take(fd)) {
        farewell_free(s);
    }
}

static int connect_protected(struct conn *c, int fd, const struct sockaddr *addr, socklen_t len) {
    struct slot *s = c->slot;
    bool shared = atomic_load(&s->state) == SLOT_EMBRYO;
    conn_publish(c, fd);
    twins_join(fd, s);
    int r = real.connect(fd, addr, len);
    int saved = errno;
    if (r && errno != EINPROGRESS && errno != EINTR) {
        connect_failed(fd, c, s, shared);
        errno = saved;
        return r;
    }
    socklen_t local_len = sizeof s->local;
    (void)!getsockname(fd, &s->local.any, &local_len);
    if (!r && slot_lock(&s->tx_lock)) {
        shake_start(fd, s, c);
        slot_unlock(&s->tx_lock);
    }
    if (!c->shake && atomic_load(&s->state) == SLOT_SHAKING)
        shake_prepare(s, c);
    driver_attend(c, DRIVER_PATIENCE_MS);
    errno = saved;
    return r;
}

static bool is_unspec(const struct sockaddr *addr, socklen_t len) {
    return len >= sizeof(sa_family_t) && addr->sa_family == AF_UNSPEC;
}

/* A second connect() of a descriptor whose first one is pending, or done. */
static bool same_attempt(int fd, const struct slot *s, const struct sockaddr *addr, socklen_t len) {
    if (s->server || s->shaker || atomic_load(&s->state) == SLOT_OPEN || shake_connected(fd))
        return true;
    return atomic_load(&s->state) == SLOT_SHAKING && len <= sizeof s->peer &&
           !memcmp(&s->peer, addr, len < sizeof s->peer.v4 ? len : 8);
}

static int connect_any(int fd, const struct sockaddr *addr, socklen_t len) {
    struct sockaddr_storage target;
    if (!addr)
        return real.connect(fd, addr, len);
    struct slot *s = embryo_of(fd) ? NULL : fdtable_slot(fd);
    if (s && (is_unspec(addr, len) || !same_attempt(fd, s, addr, len)))
        hook_fresh(fd); /* TCP resets here, or the first attempt has failed */
    else if (s)
        return real.connect(fd, addr, len); /* "already", "is connected", or the end of a pending one */
    int saved = errno;
    struct conn *c = conn_outbound(fd, addr, len);
    if (!c && errno)
        return -1;
    if (!c && !is_unspec(addr, len))
        embryo_forget(fd);
    errno = saved;
    if (places_target(addr, len, &target))
        addr = (struct sockaddr *)&target;
    places_source(fd, addr);
    return c ? connect_protected(c, fd, addr, len) : real.connect(fd, addr, len);
}

EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len) {
    core_init();
    int saved = errno;
    int r = core.active ? connect_any(fd, addr, len) : real.connect(fd, addr, len);
    if (!r)
        errno = saved;
    return r;
}

EXPORT int __connect(int fd, const struct sockaddr *addr, socklen_t len) {
    return connect(fd, addr, len);
}

EXPORT int shutdown(int fd, int how) {
    struct slot *s = embryo_of(fd) ? NULL : fdtable_slot(fd);
    return s ? farewell_half(fd, s, how) : real.shutdown(fd, how);
}
