/* passing.c - managed descriptors in control messages: tickets go in where connections were, and connections
 * come out where tickets were. Knows the shape of messages, not what a ticket holds. */
#include "passing.h"

#include <alloca.h>
#include <string.h>
#include <unistd.h>

#include "embryo.h"
#include "farewell.h"
#include "hook.h"
#include "log.h"
#include "moving_ticket.h"
#include "receiver.h"

enum {
    FDS_MAX = 253, /* SCM_MAX_FD of the kernel */
    RIGHTS_ROOM = CMSG_SPACE(FDS_MAX * sizeof(int)),
    CONTROL_MAX = 65536,
};

static bool is_rights(const struct cmsghdr *c) {
    return c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(0);
}

static size_t fds_in(const struct cmsghdr *c) {
    return (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static int fd_at(const struct cmsghdr *c, size_t i) {
    int fd;
    memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
    return fd;
}

/* --- sending ------------------------------------------------------------------------------------- */

bool passing_sends(const struct msghdr *msg) {
    if (!msg || !msg->msg_control || msg->msg_controllen < CMSG_LEN(sizeof(int)) || fdtable_next(0) < 0)
        return false;
    struct msghdr m = *msg;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        for (size_t i = 0; is_rights(c) && i < fds_in(c); i++)
            if (!embryo_of(fd_at(c, i)) && fdtable_slot(fd_at(c, i)))
                return true;
    return false;
}

/* All descriptors of one message: the program's, then the connections behind tickets, then the arena. */
struct parcel {
    int fds[FDS_MAX];
    size_t own, count;
    struct slot *slots[FDS_MAX]; /* NULL: no connection */
    int socks[FDS_MAX];
    bool family;
    int arena;
};

static bool collect(struct parcel *p, const struct msghdr *msg) {
    struct msghdr m = *msg;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        for (size_t i = 0; is_rights(c) && i < fds_in(c); i++) {
            if (p->own == FDS_MAX)
                return false;
            int fd = fd_at(c, i);
            p->slots[p->own] = embryo_of(fd) ? NULL : fdtable_slot(fd);
            p->socks[p->own] = fd;
            p->fds[p->own++] = fd;
        }
    p->count = p->own;
    for (size_t i = 0; i < p->own; i++)
        if (p->slots[i] && p->count < FDS_MAX - 1)
            p->fds[p->count++] = p->socks[i];
        else if (p->slots[i])
            return false;
    return true;
}

static ssize_t refuse(const struct parcel *p, const char *to) {
    char name[SLOT_NAME_MAX], whom[SLOT_WHOM_MAX];
    for (size_t i = 0; i < p->own; i++)
        if (p->slots[i])
            log_warn("%s: protected connection%s not passed on to %s, rule %s", slot_name(p->slots[i], name),
                     slot_whom(p->slots[i], whom), to, p->slots[i]->rule);
    errno = EPERM;
    return -1;
}

static void take_back(struct parcel *p, size_t issued, bool sent) {
    int saved = errno;
    for (size_t i = 0; i < issued; i++)
        if (p->slots[i]) {
            if (!sent)
                moving_ticket_undo(p->slots[i], p->family);
            real.close(p->fds[i]);
        }
    if (p->arena >= 0)
        real.close(p->arena);
    errno = saved;
}

/* Returns how many of the program's descriptors were dealt with; all, or the rest cannot be. */
static size_t issue(struct parcel *p) {
    p->arena = p->family ? moving_ticket_arena() : -1;
    p->family = p->arena >= 0;
    if (p->family)
        p->fds[p->count++] = p->arena;
    for (size_t i = 0; i < p->own; i++) {
        if (!p->slots[i])
            continue;
        int ticket =
            moving_ticket_ready(p->socks[i], p->slots[i]) ? moving_ticket_issue(p->slots[i], p->family) : -1;
        if (ticket < 0)
            return i;
        p->fds[i] = ticket;
    }
    return p->own;
}

/* The control data anew: everything but descriptors as it was, then all descriptors. */
static size_t write_control(void *space, const struct parcel *p, const struct msghdr *msg) {
    struct msghdr m = *msg;
    char *at = space;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (is_rights(c))
            continue;
        memcpy(at, c, c->cmsg_len);
        at += CMSG_ALIGN(c->cmsg_len);
    }
    struct cmsghdr rights = {CMSG_LEN(p->count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(at, &rights, sizeof rights);
    memcpy(at + CMSG_LEN(0), p->fds, p->count * sizeof(int));
    return (size_t)(at - (char *)space) + CMSG_SPACE(p->count * sizeof(int));
}

ssize_t passing_send(int fd, const struct msghdr *msg, int flags) {
    struct parcel p = {.arena = -1};
    int saved = errno;
    if (msg->msg_controllen > CONTROL_MAX || !collect(&p, msg))
        return refuse(&p, "anybody: too many descriptors in one message");
    struct receiver receiver = receiver_of(fd);
    p.family = receiver.family;
    if (!receiver.protects)
        return refuse(&p, receiver.name);
    size_t issued = issue(&p);
    if (issued < p.own) {
        take_back(&p, issued, false);
        return refuse(&p, "another process in the middle of a handshake or of a call");
    }
    struct msghdr m = *msg;
    m.msg_control = alloca(msg->msg_controllen + RIGHTS_ROOM);
    memset(m.msg_control, 0, msg->msg_controllen + RIGHTS_ROOM);
    m.msg_controllen = write_control(m.msg_control, &p, msg);
    ssize_t n = real.sendmsg(fd, &m, flags);
    if (n < 0)
        saved = errno;
    take_back(&p, p.own, n >= 0);
    errno = saved;
    return n;
}

/* --- receiving ----------------------------------------------------------------------------------- */

bool passing_receives(const struct msghdr *msg) {
    return core.active && msg && msg->msg_control && msg->msg_controllen >= CMSG_LEN(sizeof(int)) &&
           msg->msg_controllen <= CONTROL_MAX;
}

/* Exchanges the tickets among n descriptors for their connections. Returns how many are the program's. */
static size_t redeem(int *fds, size_t n, int flags) {
    size_t own = n, tickets = 0;
    for (size_t i = 0; i < n; i++) {
        if (fdtable_entry(fds[i]))
            hook_fresh(fds[i]);
        tickets += moving_ticket_is(fds[i]);
    }
    if (!tickets)
        return n;
    int arena = slot_file_is_arena(fds[n - 1]) ? fds[n - 1] : -1;
    if (tickets * 2 + (arena >= 0) > n)
        return n; /* cut off on the way: a ticket alone is of no use, and of no harm */
    own = n - tickets - (arena >= 0);
    for (size_t i = 0, sock = own; i < own && sock < own + tickets; i++)
        if (moving_ticket_is(fds[i]))
            moving_ticket_redeem(fds[i], fds[sock++], arena, flags & MSG_CMSG_CLOEXEC, flags & MSG_PEEK);
    if (arena >= 0)
        real.close(arena);
    return own;
}

/* Room in the program's control buffer. */
struct place {
    char *at;
    size_t left;
    int flags;
};

/* As the kernel does it: what does not fit is cut and said so. */
static void give(struct place *p, const struct cmsghdr *c, const void *data, size_t size) {
    if (p->left < sizeof *c) {
        p->flags |= MSG_CTRUNC;
        return;
    }
    struct cmsghdr head = *c;
    head.cmsg_len = CMSG_LEN(size);
    if (head.cmsg_len > p->left) {
        head.cmsg_len = p->left;
        p->flags |= MSG_CTRUNC;
    }
    memcpy(p->at, &head, sizeof head);
    memcpy(p->at + CMSG_LEN(0), data, head.cmsg_len - CMSG_LEN(0));
    size_t space = CMSG_SPACE(head.cmsg_len - CMSG_LEN(0));
    space = space < p->left ? space : p->left;
    p->at += space;
    p->left -= space;
}

static void give_fds(struct place *p, const struct cmsghdr *c, const int *fds, size_t n) {
    size_t fit = p->left < CMSG_LEN(0) ? 0 : (p->left - CMSG_LEN(0)) / sizeof(int);
    if (fit > n)
        fit = n;
    for (size_t i = fit; i < n; i++)
        farewell_close(fds[i]);
    if (fit)
        give(p, c, fds, fit * sizeof(int));
    if (fit < n)
        p->flags |= MSG_CTRUNC;
}

static void give_all(struct msghdr *to, struct msghdr *from, int flags) {
    struct place p = {to->msg_control, to->msg_controllen, from->msg_flags};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(from); c; c = CMSG_NXTHDR(from, c)) {
        if (!is_rights(c)) {
            give(&p, c, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
            continue;
        }
        int fds[FDS_MAX];
        size_t n = fds_in(c) < FDS_MAX ? fds_in(c) : FDS_MAX;
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
        give_fds(&p, c, fds, redeem(fds, n, flags));
    }
    to->msg_controllen = (size_t)(p.at - (char *)to->msg_control);
    to->msg_flags = p.flags;
}

ssize_t passing_receive(int fd, struct msghdr *msg, int flags) {
    struct msghdr m = *msg;
    m.msg_controllen = CMSG_ALIGN(msg->msg_controllen) + RIGHTS_ROOM;
    m.msg_control = alloca(m.msg_controllen);
    ssize_t n = real.recvmsg(fd, &m, flags);
    if (n < 0)
        return n;
    int saved = errno;
    msg->msg_namelen = m.msg_namelen;
    give_all(msg, &m, flags);
    errno = saved;
    return n;
}

/* --- fetching ------------------------------------------------------------------------------------ */

bool passing_fetched(int fd) {
    struct slot_ends ends;
    char name[SLOT_NAME_MAX];
    int saved = errno;
    uint64_t cookie = core.active ? conn_cookie(fd) : 0;
    for (int own = cookie ? fdtable_next(0) : -1; own >= 0; own = fdtable_next(own + 1)) {
        struct slot *s = fdtable_slot(own);
        if (s && s->cookie == cookie) { /* our own connection once more */
            hook_duplicated(own, fd);
            return true;
        }
    }
    bool refused = cookie && conn_ought(fd, &ends);
    errno = saved;
    if (!refused)
        return true;
    log_warn(
        "%s: a connection fetched from another process (descriptor %d) does not bring its protection along; "
        "refused by rule %s",
        slot_ends_name(&ends, name), fd, ends.rule);
    real.close(fd);
    errno = EPERM;
    return false;
}
