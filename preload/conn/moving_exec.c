/* moving_exec.c - which connections survive an exec, and what must be done for them and for the others before
 * the program's memory is gone. The half for children that share their parent's memory changes no table and
 * allocates nothing. */
#include "moving.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"
#include "driver.h"
#include "embryo.h"
#include "fdtable.h"
#include "real.h"
#include "recv.h"
#include "send.h"
#include "shake.h"

void moving_add(struct moving_heirs *h, int fd, struct slot *s) {
    if (h->count == MOVING_HEIRS) {
        h->overflow = true;
        return;
    }
    h->list[h->count++] = (struct moving_heir){fd, s};
}

static bool leaves(int fd) {
    int flags = real.fcntl(fd, F_GETFD);
    return flags < 0 || (flags & FD_CLOEXEC);
}

void moving_inherited(struct moving_heirs *h) {
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = leaves(fd) || embryo_of(fd) ? NULL : fdtable_slot(fd);
        if (s)
            moving_add(h, fd, s);
    }
}

/* --- in a child that shares memory --------------------------------------------------------------- */

static struct slot *slot_with(int fd, uint64_t cookie) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    if (s && s->cookie == cookie)
        return s;
    for (int other = fdtable_next(0); other >= 0; other = fdtable_next(other + 1)) {
        s = fdtable_slot(other);
        if (s && s->cookie == cookie)
            return s;
    }
    return NULL;
}

static void look_at(struct moving_heirs *h, int fd) {
    if (leaves(fd))
        return;
    uint64_t cookie = conn_cookie(fd);
    struct slot *s = cookie ? slot_with(fd, cookie) : NULL;
    if (s)
        moving_add(h, fd, s);
}

static int number(const char *text) {
    int n = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (*text - '0');
    return *text || n > 1 << 24 ? -1 : n;
}

struct listed {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* readdir would allocate. */
void moving_inherited_child(struct moving_heirs *h) {
    int saved = errno;
    _Alignas(8) char names[2048];
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;
    while (folder >= 0 && (n = real.syscall(SYS_getdents64, folder, names, sizeof names, 0, 0, 0)) > 0)
        for (long at = 0; at < n;) {
            const struct listed *l = (const struct listed *)(const void *)(names + at);
            int fd = number(l->name);
            if (fd >= 0 && l->name[0] != '.')
                look_at(h, fd);
            at += l->length;
        }
    for (int fd = 0; folder < 0 && fd < 1024; fd++)
        look_at(h, fd);
    if (folder >= 0)
        real.close(folder);
    errno = saved;
}

/* --- in a process of its own --------------------------------------------------------------------- */

static bool mine(const struct slot *s) {
    return s->shaker == getpid();
}

/* What would be lost with this process's memory. */
static bool pending(int fd, const struct slot *s, const struct conn *c) {
    if (!c)
        return false;
    switch (atomic_load(&s->state)) {
    case SLOT_SHAKING:
        return c->early_len || (c->shake && !leaves(fd));
    case SLOT_OPEN:
        return (s->early_left && mine(s)) || (s->tail && !s->tail_rides && leaves(fd));
    default:
        return false;
    }
}

static void push(int fd, struct slot *s) {
    if (atomic_load(&s->state) == SLOT_SHAKING && slot_trylock(&s->rx_lock)) {
        shake_advance(fd, s, SHAKE_NOW);
        slot_unlock(&s->rx_lock);
    }
    if (atomic_load(&s->state) == SLOT_OPEN && slot_trylock(&s->tx_lock)) {
        send_flush(fd, s, MSG_DONTWAIT | MSG_NOSIGNAL);
        slot_unlock(&s->tx_lock);
    }
}

/* A handshake that has not begun is the next image's to begin: the driver must not do so in our last moment.
 */
static void leave_fresh(int fd, const struct slot *s, struct conn *c) {
    if (!leaves(fd) && atomic_load(&s->state) == SLOT_SHAKING && !c->shake)
        driver_forget(c);
}

/* The limit of the most patient connection that has something left, 0 when nothing is. */
static unsigned push_all(void) {
    unsigned limit = 0;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        struct conn *c = s ? conn_of(s) : NULL;
        if (c)
            leave_fresh(fd, s, c);
        if (!c || !pending(fd, s, c))
            continue;
        push(fd, s);
        unsigned wait = leaves(fd) ? c->mesh->linger_ms : c->mesh->handshake_timeout_ms;
        if (pending(fd, s, c) && wait > limit)
            limit = wait;
    }
    return limit;
}

static void give_up(void) {
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        struct conn *c = s ? conn_of(s) : NULL;
        if (!c || leaves(fd) || !pending(fd, s, c) || !slot_trylock(&s->tx_lock))
            continue;
        conn_fail(fd, s, ECONNRESET, "the TLS handshake was not finished before another program took over");
        slot_unlock(&s->tx_lock);
    }
}

static unsigned linger_limit(void) {
    struct policy_self self;
    const struct policy *p = core_policy(&self);
    return p ? policy_mesh(p)->linger_ms : 5000;
}

void moving_finish(void) {
    int saved = errno;
    uint64_t begin = conn_now();
    for (unsigned limit; (limit = push_all()) != 0;) {
        if (conn_now() - begin >= limit) {
            give_up();
            break;
        }
        real.poll(NULL, 0, 1);
    }
    driver_finish(linger_limit());
    errno = saved;
}

/* Every descriptor that this process has of s goes away, and nobody else has one. */
static bool last_one(const struct slot *s, const struct conn *c, uint32_t left) {
    return (!c || !atomic_load(&c->fds)) && (!left || slot_others_dead(s));
}

/* A peer's ticket that nobody reads would make the kernel reset what is still on its way. */
static void await_delivery(int fd, const struct slot *s) {
    int unacknowledged = 0;
    for (int i = 0; i < 1000 && !s->server && !s->saw_input; i++) {
        if (real.ioctl(fd, SIOCOUTQ, &unacknowledged) || !unacknowledged || !shake_connected(fd))
            return;
        real.poll(NULL, 0, 1);
    }
}

static void say_goodbye(int fd, struct slot *s) {
    if (s->abort || recv_unread(fd, s))
        return; /* the kernel resets, as for any program that leaves with input unread */
    if (slot_trylock(&s->tx_lock)) {
        if (atomic_load(&s->state) == SLOT_OPEN)
            send_goodbye(fd, s);
        slot_unlock(&s->tx_lock);
    }
    await_delivery(fd, s);
}

/* The first descriptor from fd on that leaves, and its slot; -1 when there is none. */
static int next_leaving(int fd, struct slot **s) {
    for (fd = fdtable_next(fd); fd >= 0; fd = fdtable_next(fd + 1))
        if (leaves(fd) && (*s = fdtable_slot(fd)))
            return fd;
    return -1;
}

void moving_leave(void) {
    int saved = errno;
    struct slot *s;
    for (int fd = next_leaving(0, &s); fd >= 0; fd = next_leaving(fd + 1, &s)) {
        struct conn *c = conn_of(s);
        uint32_t generation = atomic_load(&s->generation), left = slot_unref(s);
        if (c)
            atomic_fetch_sub(&c->fds, 1);
        if (last_one(s, c, left))
            say_goodbye(fd, s);
        if (!c || !atomic_load(&c->fds))
            slot_unhold(s, generation);
    }
    errno = saved;
}

void moving_stay(void) {
    int saved = errno;
    struct slot *s;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct conn *c = leaves(fd) || !(s = fdtable_slot(fd)) ? NULL : conn_of(s);
        if (c && atomic_load(&s->state) == SLOT_SHAKING)
            driver_attend(c, DRIVER_PATIENCE_MS);
    }
    for (int fd = next_leaving(0, &s); fd >= 0; fd = next_leaving(fd + 1, &s)) {
        struct conn *c = conn_of(s);
        slot_ref(s);
        slot_hold(s);
        if (c)
            atomic_fetch_add(&c->fds, 1);
    }
    errno = saved;
}
