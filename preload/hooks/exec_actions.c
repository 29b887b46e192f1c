/* exec_actions.c - what the child of posix_spawn will have. libc keeps the file actions in a structure that
 * no header declares, so its shape is looked at once, on a list of our own with known contents; if it is not
 * as expected, nothing is concluded from anybody's list. */
#include "exec_parts.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>

#include "fdtable.h"
#include "real.h"

enum tag { TAG_CLOSE, TAG_DUP2, TAG_OPEN, TAG_CHDIR, TAG_FCHDIR, TAG_CLOSEFROM, TAG_TERMINAL };

struct action {
    int tag;
    union {
        int fd; /* close, open, closefrom */
        struct {
            int from, to;
        } dup2;
        struct {
            int fd;
            char *path;
            int flags;
            mode_t mode;
        } open;
    };
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool known;

static const struct action *list_of(const posix_spawn_file_actions_t *a) {
    return (const struct action *)(const void *)a->__actions;
}

static bool as_expected(const posix_spawn_file_actions_t *a) {
    const struct action *l = list_of(a);
    return a->__used == 3 && l[0].tag == TAG_CLOSE && l[0].fd == 701 && l[1].tag == TAG_DUP2 &&
           l[1].dup2.from == 702 && l[1].dup2.to == 703 && l[2].tag == TAG_OPEN && l[2].open.fd == 704 &&
           l[2].open.flags == O_APPEND;
}

static void probe(void) {
    posix_spawn_file_actions_t a;
    if (posix_spawn_file_actions_init(&a))
        return;
    if (!posix_spawn_file_actions_addclose(&a, 701) && !posix_spawn_file_actions_adddup2(&a, 702, 703) &&
        !posix_spawn_file_actions_addopen(&a, 704, "/", O_APPEND, 0))
        known = as_expected(&a);
    posix_spawn_file_actions_destroy(&a);
}

/* The child's numbers that differ from the parent's. */
struct changes {
    unsigned count;
    bool overflow;
    int closed_from;
    struct change {
        int fd, from; /* from -1: no connection of ours any more */
    } list[MOVING_HEIRS];
};

static struct change *find(struct changes *c, int fd) {
    for (unsigned i = 0; i < c->count; i++)
        if (c->list[i].fd == fd)
            return &c->list[i];
    return NULL;
}

static void set(struct changes *c, int fd, int from) {
    struct change *known_one = find(c, fd);
    if (known_one)
        known_one->from = from;
    else if (c->count < MOVING_HEIRS)
        c->list[c->count++] = (struct change){fd, from};
    else
        c->overflow = true;
}

static int origin(struct changes *c, int fd) {
    const struct change *known_one = find(c, fd);
    return known_one ? known_one->from : fd < c->closed_from ? fd : -1;
}

static void close_from(struct changes *c, int fd) {
    for (unsigned i = 0; i < c->count; i++)
        if (c->list[i].fd >= fd)
            c->list[i].from = -1;
    if (fd < c->closed_from)
        c->closed_from = fd;
}

static void follow(struct changes *c, const struct action *a) {
    switch (a->tag) {
    case TAG_DUP2:
        set(c, a->dup2.to, origin(c, a->dup2.from));
        break;
    case TAG_CLOSE:
        set(c, a->fd, -1);
        break;
    case TAG_OPEN:
        set(c, a->open.fd, -1);
        break;
    case TAG_CLOSEFROM:
        close_from(c, a->fd);
        break;
    case TAG_CHDIR:
    case TAG_FCHDIR:
    case TAG_TERMINAL:
        break;
    default:
        c->overflow = true;
    }
}

static void add_unchanged(struct moving_heirs *h, struct changes *c) {
    struct moving_heirs all = {.count = 0};
    moving_inherited(&all);
    h->overflow |= all.overflow;
    for (unsigned i = 0; i < all.count; i++)
        if (all.list[i].fd < c->closed_from && !find(c, all.list[i].fd))
            moving_add(h, all.list[i].fd, all.list[i].slot);
}

void exec_actions(const posix_spawn_file_actions_t *actions, struct moving_heirs *h) {
    struct changes c = {.closed_from = INT_MAX};
    pthread_once(&once, probe);
    for (int i = 0; actions && known && i < actions->__used; i++)
        follow(&c, &list_of(actions)[i]);
    h->overflow |= c.overflow || (actions && actions->__used && !known);
    add_unchanged(h, &c);
    for (unsigned i = 0; i < c.count; i++) {
        struct slot *s = c.list[i].from >= 0 ? fdtable_slot(c.list[i].from) : NULL;
        if (s)
            moving_add(h, c.list[i].fd, s);
    }
}
