/* moving.c - what goes into the memory file for the next program image, and how that image takes it up. Makes
 * no decision about which descriptors are inherited, and may run in a child that shares its parent's memory:
 * allocates nothing until moving_adopt. */
#include "moving.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"
#include "driver.h"
#include "fdtable.h"
#include "log.h"
#include "moving_state.h"
#include "real.h"
#include "streams.h"

static const uint64_t STATE_MAGIC = 0x65746174732d3177;
enum { HIGH = 3840 }; /* out of the program's way; below where descriptors of ours live */

struct head {
    uint64_t magic;
    uint32_t slot_size, count;
    bool overflow;
};

enum kind { KIND_SHARED, KIND_STATE, KIND_SAME, KIND_SEALED };

struct entry {
    uint64_t cookie;
    int32_t fd;
    int32_t kind;
    uint32_t index, generation; /* KIND_SHARED */
    int64_t at;                 /* KIND_STATE: offset; KIND_SAME: the number that got the state */
    bool sign_in;               /* nobody else will say that the new process holds it */
};

/* --- the old image ------------------------------------------------------------------------------- */

/* The same file under a high number and without close-on-exec. */
static int put_high(int fd) {
    int high = real.fcntl(fd, F_DUPFD, HIGH);
    return high >= 0 ? high : real.fcntl(fd, F_DUPFD, 3);
}

/* A child may have closed everything; its parent has not. */
static int arena_copy(enum moving_way way) {
    int kept = fdtable_own_kept();
    if (kept < 0 || !slot_arena_own_family())
        return -1;
    if (slot_arena_is(kept))
        return put_high(kept);
    if (way != MOVING_CHILD)
        return -1;
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getppid(), kept);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    int copy = fd >= 0 && slot_arena_is(fd) ? put_high(fd) : -1;
    if (fd >= 0)
        real.close(fd);
    return copy;
}

static void count_heir(struct slot *s, enum moving_way way) {
    if (way == MOVING_EXEC)
        return;
    slot_ref(s);
    if (way == MOVING_CHILD)
        slot_hold(s);
    else
        atomic_fetch_add(&s->forking, 1);
}

static int first_with(const struct moving_heirs *h, unsigned i) {
    for (unsigned j = 0; j < i; j++)
        if (h->list[j].slot == h->list[i].slot)
            return h->list[j].fd;
    return -1;
}

static void describe(struct entry *e, const struct moving_bundle *b, const struct moving_heirs *h, unsigned i,
                     off_t *end) {
    struct slot *s = h->list[i].slot;
    int twin = first_with(h, i);
    *e = (struct entry){.cookie = s->cookie, .fd = h->list[i].fd, .kind = KIND_SEALED};
    if (b->arena >= 0 && atomic_load(&s->state) != SLOT_MOVED) {
        e->kind = KIND_SHARED;
        e->index = slot_index(s);
        e->generation = atomic_load(&s->generation);
        e->sign_in = b->way == MOVING_POPEN;
        count_heir(s, b->way);
    } else if (twin >= 0) {
        e->kind = KIND_SAME;
        e->at = twin;
    } else if (moving_state_write(b->state, *end, s)) {
        e->kind = KIND_STATE;
        e->at = *end;
        *end = lseek(b->state, 0, SEEK_END);
    }
}

static bool write_state(struct moving_bundle *b, const struct moving_heirs *h) {
    struct head head = {STATE_MAGIC, sizeof(struct slot), h->count, h->overflow};
    off_t end = (off_t)(sizeof head + h->count * sizeof(struct entry));
    bool ok = pwrite(b->state, &head, sizeof head, 0) == (ssize_t)sizeof head;
    for (unsigned i = 0; i < h->count; i++) {
        struct entry e;
        describe(&e, b, h, i, &end);
        off_t at = (off_t)(sizeof head + i * sizeof e);
        ok &= pwrite(b->state, &e, sizeof e, at) == (ssize_t)sizeof e;
    }
    int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    return ok && !real.fcntl(b->state, F_ADD_SEALS, seals);
}

static void not_handed_on(const struct moving_heirs *h) {
    char name[SLOT_NAME_MAX], whom[SLOT_WHOM_MAX];
    for (unsigned i = 0; i < h->count; i++) {
        const struct slot *s = h->list[i].slot;
        log_error("%s: the state of this protected connection%s cannot be handed on, so the next program "
                  "cannot use "
                  "descriptor %d, rule %s",
                  slot_name(s, name), slot_whom(s, whom), h->list[i].fd, s->rule);
    }
}

void moving_pack(struct moving_bundle *b, const struct moving_heirs *h, enum moving_way way) {
    *b = (struct moving_bundle){.way = way, .state = -1, .arena = -1};
    if (!h->count && !h->overflow)
        return;
    int saved = errno;
    int fd = memfd_create("mtlswrap-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    b->state = fd < 0 ? -1 : put_high(fd);
    if (fd >= 0)
        real.close(fd);
    b->arena = b->state < 0 ? -1 : arena_copy(way);
    if (b->state >= 0 && !write_state(b, h))
        not_handed_on(h);
    for (unsigned i = 0; way == MOVING_EXEC && b->arena < 0 && i < h->count; i++) {
        uint32_t generation = atomic_load(&h->list[i].slot->generation);
        slot_unref(h->list[i].slot);
        slot_unhold(h->list[i].slot, generation);
    }
    /* Without a readable state the new image seals whatever is a connection. */
    snprintf(b->variable, sizeof b->variable, "MTLSWRAP_STATE_FD=%d:%d", b->state, b->arena);
    errno = saved;
}

static void close_bundle(struct moving_bundle *b) {
    if (b->state >= 0)
        real.close(b->state);
    if (b->arena >= 0)
        real.close(b->arena);
    b->state = b->arena = -1;
}

void moving_done(struct moving_bundle *b, const struct moving_heirs *h, pid_t pid) {
    bool shared = b->arena >= 0;
    close_bundle(b);
    for (unsigned i = 0; shared && b->way == MOVING_SPAWN && i < h->count; i++) {
        slot_hold_for(h->list[i].slot, pid);
        atomic_fetch_sub(&h->list[i].slot->forking, 1);
    }
}

void moving_undo(struct moving_bundle *b, const struct moving_heirs *h) {
    int saved = errno;
    bool shared = b->arena >= 0;
    close_bundle(b);
    for (unsigned i = 0; i < h->count; i++) {
        struct slot *s = h->list[i].slot;
        if (!shared && b->way == MOVING_EXEC) {
            slot_ref(s);
            slot_hold(s);
        }
        if (!shared)
            moving_state_back(s);
        else if (b->way != MOVING_EXEC)
            slot_unref(s);
        if (shared && (b->way == MOVING_SPAWN || b->way == MOVING_POPEN))
            atomic_fetch_sub(&s->forking, 1);
        else if (shared && b->way == MOVING_CHILD)
            slot_unhold(s, atomic_load(&s->generation));
    }
    errno = saved;
}

/* --- the new image ------------------------------------------------------------------------------- */

void moving_seal(int fd, bool expected) {
    struct slot *s = fdtable_ready() ? slot_new() : NULL;
    struct slot_ends ends;
    char name[SLOT_NAME_MAX];
    if (!s) {
        real.close(fd); /* what cannot be guarded must not be written to */
        return;
    }
    if (!conn_ought(fd, &ends))
        snprintf(ends.rule, sizeof ends.rule, "of the other process");
    slot_set_ends(s, &ends);
    s->cookie = conn_cookie(fd);
    slot_set_state(s, SLOT_MOVED);
    fdtable_set(fd, s);
    log_write(expected ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
              "%s: descriptor %d was protected in the process that it comes from and its state did not "
              "come along; it cannot be used here, rule %s",
              slot_name(s, name), fd, s->rule);
}

static bool is_connection(int fd) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    return !getpeername(fd, (struct sockaddr *)&peer, &len) &&
           (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
}

static void seal_others(void) {
    for (int fd = 0; fd < 65536; fd++)
        if (!fdtable_entry(fd) && is_connection(fd))
            moving_seal(fd, false);
}

static struct slot *shared_slot(const struct entry *e) {
    struct slot *s = e->index < slot_capacity() ? slot_at(e->index) : NULL;
    return s && atomic_load(&s->generation) == e->generation ? s : NULL;
}

void moving_take_up(int fd, struct slot *s) {
    struct conn *c = conn_join(s, fd);
    if (!c) {
        real.close(fd);
        return;
    }
    atomic_store(&s->nonblocking, (real.fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    fdtable_set(fd, s);
    bool fresh = atomic_load(&s->state) == SLOT_SHAKING && !s->shaker;
    if (fresh || (s->tail && !s->tail_rides))
        driver_attend(c, fresh ? DRIVER_PATIENCE_ACCEPTED_MS : DRIVER_PATIENCE_MS);
}

static void adopt_one(const struct entry *e, int state, bool family) {
    struct slot *s = e->kind == KIND_SHARED && family ? shared_slot(e) : NULL;
    if (s && e->sign_in) {
        slot_hold(s);
        atomic_fetch_sub(&s->forking, 1);
    }
    if (conn_cookie(e->fd) != e->cookie || !e->cookie) { /* closed on the way */
        if (s)
            slot_unref(s);
        return;
    }
    if (e->kind == KIND_STATE)
        s = moving_state_read(state, e->at);
    else if (e->kind == KIND_SAME)
        s = fdtable_slot((int)e->at);
    if (!s || !core_engine()) {
        moving_seal(e->fd, false);
        return;
    }
    if (e->kind == KIND_SAME)
        slot_ref(s);
    slot_hold(s);
    moving_take_up(e->fd, s);
}

static bool read_head(int state, struct head *head) {
    return state >= 0 && (real.fcntl(state, F_GET_SEALS) & F_SEAL_WRITE) &&
           pread(state, head, sizeof *head, 0) == (ssize_t)sizeof *head && head->magic == STATE_MAGIC &&
           head->slot_size == sizeof(struct slot);
}

static void adopt_all(int state, int arena) {
    struct head head;
    bool readable = read_head(state, &head);
    bool family = readable && arena >= 0 && slot_arena_adopt(arena);
    if (family)
        fdtable_own_keep(arena);
    for (uint32_t i = 0; readable && i < head.count; i++) {
        struct entry e;
        if (pread(state, &e, sizeof e, (off_t)(sizeof head + i * sizeof e)) == (ssize_t)sizeof e)
            adopt_one(&e, state, family);
    }
    if (!readable || head.overflow)
        seal_others();
    if (readable || (state > 2 && real.fcntl(state, F_GET_SEALS) > 0))
        real.close(state);
    if (readable && arena > 2 && !family)
        real.close(arena);
}

void moving_adopt(void) {
    const char *text = getenv("MTLSWRAP_STATE_FD");
    if (!text)
        return;
    int state = -1, arena = -1, saved = errno;
    if (sscanf(text, "%d:%d", &state, &arena) != 2)
        state = arena = -1;
    unsetenv("MTLSWRAP_STATE_FD");
    if (fdtable_ready())
        adopt_all(state, arena);
    streams_std_ready();
    errno = saved;
}
