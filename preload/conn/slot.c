/* slot.c - the arena of slots and of their buffers. Knows processes and locks, nothing of TLS or descriptors.
 */
#include "slot.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "real.h"
#include "wire.h"

/* A list whose head carries a counter, so that a slow thread cannot mistake a reused head for its own. */
struct freelist {
    _Atomic uint64_t head;  /* counter << 32 | index + 1 */
    _Atomic uint32_t fresh; /* never used so far: everything from here on */
};

/* Lies in a memory file, so that a program image that follows by exec can map it too. */
struct arena {
    uint64_t magic; /* with slot_size: another version's arena is not for us */
    uint32_t slot_size, capacity;
    uid_t uid; /* whose keys these are */
    gid_t gid;
    _Atomic uint32_t in_use;
    _Atomic bool loose;
    struct freelist slots, rx_regions, tx_regions;
};

/* Where the parts of an arena lie. */
struct layout {
    size_t head, body, links, rx, all;
};

/* Set once under the lock below, hence no lock for readers. */
static struct arena *arena;
static struct slot *slots;
static uint8_t *rx_regions, *tx_regions;
static _Atomic uint32_t *rx_next, *tx_next;
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static int arena_file = -1; /* until slot_arena_file hands it out */
static struct stat arena_stat;

static const uint64_t ARENA_MAGIC = 0x616e6572412d3177;
enum { ARENA_MIN = 4096, ARENA_MAX = 1 << 20 };

static size_t round_page(size_t n) {
    return (n + 4095) & ~(size_t)4095;
}

static uint32_t wanted_capacity(void) {
    struct rlimit limit;
    rlim_t n = real.getrlimit(RLIMIT_NOFILE, &limit) ? 0 : limit.rlim_max;
    /* Related processes share the arena, each with its own limit. */
    n = n > ARENA_MAX / 4 ? ARENA_MAX : n * 4;
    return n < ARENA_MIN ? ARENA_MIN : (uint32_t)n;
}

static struct layout layout_of(uint32_t capacity) {
    struct layout l = {
        .head = round_page(sizeof(struct arena)),
        .body = round_page((size_t)capacity * sizeof(struct slot)),
        .links = round_page((size_t)capacity * sizeof(uint32_t)),
        .rx = (size_t)capacity * SLOT_RX_REGION,
    };
    l.all = l.head + l.body + 2 * l.links + l.rx + (size_t)capacity * SLOT_TX_REGION;
    return l;
}

/* A memory file of that size, or -1: then nobody but forked children can share the arena. */
static int make_file(size_t size) {
    struct rlimit limit;
    if (real.getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < size)
        return -1; /* the kernel would send SIGXFSZ */
    int fd = memfd_create("mtlswrap-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (!ftruncate(fd, (off_t)size) &&
        !real.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return fd;
    real.close(fd);
    return -1;
}

static uint8_t *map_file(int fd, size_t size) {
    int flags = MAP_SHARED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (base == MAP_FAILED)
        return NULL;
    /* Keys have no place in a core file. */
    madvise(base, size, MADV_DONTDUMP);
    return base;
}

static void use_arena(uint8_t *base, const struct layout *l) {
    slots = (struct slot *)(base + l->head);
    rx_next = (_Atomic uint32_t *)(base + l->head + l->body);
    tx_next = (_Atomic uint32_t *)(base + l->head + l->body + l->links);
    rx_regions = base + l->head + l->body + 2 * l->links;
    tx_regions = rx_regions + l->rx;
    arena = (struct arena *)base;
}

static bool map_arena(uint32_t capacity) {
    struct layout l = layout_of(capacity);
    int fd = make_file(l.all);
    uint8_t *base = map_file(fd, l.all);
    if (!base) {
        if (fd >= 0)
            real.close(fd);
        return false;
    }
    arena_file = fd;
    if (fd >= 0)
        fstat(fd, &arena_stat);
    struct arena *made = (struct arena *)base;
    made->magic = ARENA_MAGIC;
    made->slot_size = sizeof(struct slot);
    made->capacity = capacity;
    made->uid = geteuid();
    made->gid = getegid();
    use_arena(base, &l);
    return true;
}

bool slot_arena_ready(void) {
    if (arena)
        return true;
    pthread_mutex_lock(&arena_lock);
    for (uint32_t n = wanted_capacity(); !arena && n >= 64; n /= 4)
        if (map_arena(n)) /* under a small RLIMIT_AS a smaller arena still serves */
            break;
    pthread_mutex_unlock(&arena_lock);
    return arena != NULL;
}

size_t slot_arena_size(void) {
    return layout_of(arena ? arena->capacity : wanted_capacity()).all;
}

int slot_arena_file(void) {
    int fd = arena_file;
    arena_file = -1;
    return fd;
}

/* Maps another process's arena; *l says where its parts lie. NULL: it is none, or not of this version. */
static uint8_t *map_foreign(int fd, struct layout *l) {
    struct arena head;
    struct stat st;
    enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
    if (fstat(fd, &st) || (real.fcntl(fd, F_GET_SEALS) & SEALS) != SEALS ||
        pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || head.magic != ARENA_MAGIC ||
        head.slot_size != sizeof(struct slot))
        return NULL;
    *l = layout_of(head.capacity);
    return (size_t)st.st_size == l->all ? map_file(fd, l->all) : NULL;
}

bool slot_file_is_arena(int fd) {
    uint64_t magic = 0;
    return (real.fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK) && pread(fd, &magic, sizeof magic, 0) == 8 &&
           magic == ARENA_MAGIC;
}

bool slot_arena_adopt(int fd) {
    struct layout l;
    pthread_mutex_lock(&arena_lock);
    uint8_t *base = arena ? NULL : map_foreign(fd, &l);
    if (base) {
        use_arena(base, &l);
        fstat(fd, &arena_stat);
    }
    pthread_mutex_unlock(&arena_lock);
    return base != NULL;
}

bool slot_arena_is(int fd) {
    struct stat st;
    return arena && arena_stat.st_ino && !fstat(fd, &st) && st.st_ino == arena_stat.st_ino &&
           st.st_dev == arena_stat.st_dev;
}

bool slot_arena_own_family(void) {
    return arena && arena->uid == geteuid() && arena->gid == getegid();
}

bool slot_view_begin(struct slot_view *v, int fd, uint32_t index) {
    struct layout l;
    v->base = map_foreign(fd, &l);
    if (!v->base)
        return false;
    v->size = l.all;
    if (index >= ((struct arena *)v->base)->capacity) {
        munmap(v->base, v->size);
        return false;
    }
    v->slot = (struct slot *)(v->base + l.head) + index;
    v->rx_regions = v->base + l.head + l.body + 2 * l.links;
    v->tx_regions = v->rx_regions + l.rx;
    return true;
}

void slot_view_end(struct slot_view *v) {
    munmap(v->base, v->size);
}

uint32_t slot_capacity(void) {
    return arena ? arena->capacity : 0;
}

uint32_t slot_in_use(void) {
    return arena ? atomic_load(&arena->in_use) : 0;
}

static _Atomic uint32_t *link_of(struct freelist *list, uint32_t index) {
    return list == &arena->rx_regions ? &rx_next[index] : &tx_next[index];
}

static uint32_t link_get(struct freelist *list, uint32_t index) {
    return list == &arena->slots ? slots[index].next : atomic_load(link_of(list, index));
}

static void link_set(struct freelist *list, uint32_t index, uint32_t next) {
    if (list == &arena->slots)
        slots[index].next = next;
    else
        atomic_store(link_of(list, index), next);
}

/* Returns index + 1, or 0 when the list is exhausted. */
static uint32_t list_pop(struct freelist *list) {
    uint64_t head = atomic_load(&list->head);
    while ((uint32_t)head) {
        uint32_t index = (uint32_t)head - 1;
        uint64_t next = ((head >> 32) + 1) << 32 | link_get(list, index);
        if (atomic_compare_exchange_weak(&list->head, &head, next))
            return index + 1;
    }
    uint32_t fresh = atomic_load(&list->fresh);
    while (fresh < arena->capacity)
        if (atomic_compare_exchange_weak(&list->fresh, &fresh, fresh + 1))
            return fresh + 1;
    return 0;
}

static void list_push(struct freelist *list, uint32_t index) {
    uint64_t head = atomic_load(&list->head);
    do {
        link_set(list, index, (uint32_t)head);
    } while (!atomic_compare_exchange_weak(&list->head, &head, ((head >> 32) + 1) << 32 | (index + 1)));
}

static void lock_init(pthread_mutex_t *lock) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

/* Killed, but its parent has not asked yet: it holds nothing any more. */
static bool zombie(pid_t pid) {
    char path[32], text[512];
    if (confine_lost(CONFINE_FILES))
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : real.read(fd, text, sizeof text - 1);
    if (fd >= 0)
        real.close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *name_end = strrchr(text, ')'); /* the name may hold anything */
    return name_end && name_end[1] == ' ' && (name_end[2] == 'Z' || name_end[2] == 'X');
}

static bool alive(pid_t pid) {
    return confine_lost(CONFINE_KILL) || ((!kill(pid, 0) || errno != ESRCH) && !zombie(pid));
}

bool slot_others_dead(const struct slot *s) {
    int saved = errno;
    pid_t self = wire_getpid();
    bool dead = !s->holders_lost && !atomic_load(&s->forking);
    for (size_t i = 0; dead && i < SLOT_HOLDERS; i++)
        dead = !s->holders[i] || s->holders[i] == self || !alive(s->holders[i]);
    errno = saved;
    return dead;
}

static bool abandoned(const struct slot *s) {
    if (atomic_load(&s->state) == SLOT_FREE || !slot_others_dead(s))
        return false;
    for (size_t i = 0; i < SLOT_HOLDERS; i++)
        if (s->holders[i] == wire_getpid())
            return false;
    return true;
}

/* Relatives may be at it too: only the locks make sure that it is still as it looked. */
static void reclaim_one(struct slot *s) {
    if (!slot_trylock(&s->rx_lock))
        return;
    if (slot_trylock(&s->tx_lock)) {
        if (abandoned(s))
            slot_free(s);
        slot_unlock(&s->tx_lock);
    }
    slot_unlock(&s->rx_lock);
}

/* Takes back what processes left behind that ended without saying so. */
static void reclaim(void) {
    uint32_t used = atomic_load(&arena->slots.fresh);
    for (uint32_t i = 0; i < used && i < arena->capacity; i++) {
        if (abandoned(&slots[i]))
            reclaim_one(&slots[i]);
        else if (slot_orphaned(&slots[i])) /* a cancelled thread took its lock with it */
            slot_reap(&slots[i]);
    }
}

struct slot *slot_new(void) {
    if (!slot_arena_ready())
        return NULL;
    uint32_t got = list_pop(&arena->slots);
    if (!got) {
        reclaim();
        got = list_pop(&arena->slots);
        if (!got)
            return NULL;
    }
    struct slot *s = &slots[got - 1];
    if (!atomic_load(&s->generation)) {
        lock_init(&s->rx_lock);
        lock_init(&s->tx_lock);
        atomic_store(&s->generation, 1);
    }
    memset((char *)s + offsetof(struct slot, refs), 0, sizeof *s - offsetof(struct slot, refs));
    s->user_lowat = 1;
    atomic_store(&s->refs, 1);
    slot_hold(s);
    atomic_fetch_add(&arena->in_use, 1);
    atomic_store(&s->state, SLOT_SHAKING);
    return s;
}

uint32_t slot_index(const struct slot *s) {
    return (uint32_t)(s - slots);
}

struct slot *slot_at(uint32_t index) {
    return &slots[index];
}

void slot_ref(struct slot *s) {
    atomic_fetch_add(&s->refs, 1);
}

bool slot_ref_used(struct slot *s) {
    uint32_t refs = atomic_load(&s->refs);
    while (refs && !atomic_compare_exchange_weak(&s->refs, &refs, refs + 1))
        ;
    return refs != 0;
}

uint32_t slot_unref(struct slot *s) {
    return atomic_fetch_sub(&s->refs, 1) - 1;
}

void slot_unhold(struct slot *s) {
    pid_t self = wire_getpid();
    for (size_t i = 0; i < SLOT_HOLDERS; i++)
        if (s->holders[i] == self)
            s->holders[i] = 0;
}

void slot_hold(struct slot *s) {
    slot_hold_for(s, wire_getpid());
}

void slot_hold_for(struct slot *s, pid_t self) {
    for (size_t i = 0; i < SLOT_HOLDERS; i++)
        if (s->holders[i] == self)
            return;
    for (size_t i = 0; i < SLOT_HOLDERS; i++)
        if (!s->holders[i] || !alive(s->holders[i])) {
            s->holders[i] = self;
            return;
        }
    s->holders_lost = true;
}

void slot_free(struct slot *s) {
    slot_rx_release(s);
    slot_tx_release(s);
    explicit_bzero(&s->rx, sizeof s->rx);
    explicit_bzero(&s->tx, sizeof s->tx);
    atomic_store(&s->orphan, false);
    atomic_fetch_add(&s->generation, 1);
    atomic_store(&s->state, SLOT_FREE);
    atomic_fetch_sub(&arena->in_use, 1);
    list_push(&arena->slots, slot_index(s));
}

void slot_retire(struct slot *s) {
    atomic_store(&s->orphan, true);
    slot_reap(s);
}

/* Whoever finds a lock taken may leave: its holder comes here after giving it back. */
void slot_reap(struct slot *s) {
    while (slot_orphaned(s)) {
        if (!slot_trylock(&s->rx_lock))
            return;
        if (slot_trylock(&s->tx_lock)) {
            if (atomic_exchange(&s->orphan, false))
                slot_free(s);
            slot_unlock(&s->tx_lock);
            slot_unlock(&s->rx_lock);
            return;
        }
        slot_unlock(&s->rx_lock);
        if (!slot_trylock(&s->tx_lock))
            return;
        slot_unlock(&s->tx_lock);
    }
}

/* The data under a lock is whole at every point where its owner can die or be cancelled: inside a system
 * call. So an orphaned lock is simply taken over. */
static bool lock_taken(pthread_mutex_t *lock, int verdict) {
    if (verdict == EOWNERDEAD) {
        pthread_mutex_consistent(lock);
        return true;
    }
    return verdict == 0;
}

bool slot_lock(pthread_mutex_t *lock) {
    return lock_taken(lock, pthread_mutex_lock(lock));
}

bool slot_trylock(pthread_mutex_t *lock) {
    return lock_taken(lock, pthread_mutex_trylock(lock));
}

static struct timespec in_a_moment(bool now) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += now ? 0 : 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* As pthread_mutex_lock, but EBUSY while the holder is blocked in the kernel. */
static int lock_soon(pthread_mutex_t *lock, _Atomic bool *waits) {
    for (;;) {
        bool blocked = atomic_load(waits);
        struct timespec limit = in_a_moment(blocked);
        int verdict = pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &limit);
        if (verdict != ETIMEDOUT)
            return verdict;
        if (blocked)
            return EBUSY;
    }
}

bool slot_lock_soon(pthread_mutex_t *lock, _Atomic bool *waits) {
    if (!slot_trylock(lock) && !lock_taken(lock, lock_soon(lock, waits)))
        return false;
    if (atomic_load(waits)) /* who waited was cancelled */
        atomic_store(waits, false);
    return true;
}

bool slot_lock_rx(struct slot *s, bool patient) {
    if (slot_trylock(&s->rx_lock)) {
        if (atomic_load(&s->rx_waits))
            atomic_store(&s->rx_waits, false);
        return true;
    }
    int verdict = patient ? pthread_mutex_lock(&s->rx_lock) : lock_soon(&s->rx_lock, &s->rx_waits);
    if (verdict == EDEADLK)
        return atomic_exchange(&s->rx_waits, false);
    if (!lock_taken(&s->rx_lock, verdict))
        return false;
    atomic_store(&s->rx_waits, false);
    return true;
}

void slot_unlock(pthread_mutex_t *lock) {
    pthread_mutex_unlock(lock);
}

uint8_t *slot_rx_buffer(struct slot *s) {
    if (s->rx_region == SLOT_NO_REGION)
        s->rx_region = list_pop(&arena->rx_regions);
    return rx_regions + (size_t)(s->rx_region - 1) * SLOT_RX_REGION;
}

uint8_t *slot_tx_buffer(struct slot *s) {
    if (s->tx_region == SLOT_NO_REGION)
        s->tx_region = list_pop(&arena->tx_regions);
    return tx_regions + (size_t)(s->tx_region - 1) * SLOT_TX_REGION;
}

void slot_rx_release(struct slot *s) {
    if (s->rx_region == SLOT_NO_REGION)
        return;
    explicit_bzero(slot_rx_buffer(s) + s->held_at, s->held);
    list_push(&arena->rx_regions, s->rx_region - 1);
    s->rx_region = SLOT_NO_REGION;
    s->carry = s->held = s->held_at = 0;
    s->loose = false;
}

void slot_tx_release(struct slot *s) {
    if (s->tx_region == SLOT_NO_REGION)
        return;
    list_push(&arena->tx_regions, s->tx_region - 1);
    s->tx_region = SLOT_NO_REGION;
    s->tail = s->tail_at = 0;
    s->tail_rides = false;
}

void slot_loose_begin(void) {
    atomic_store(&arena->loose, true);
}

bool slot_loose_any(void) {
    return arena && atomic_load_explicit(&arena->loose, memory_order_relaxed);
}

void slot_set_state(struct slot *s, enum slot_state state) {
    int saved = errno;
    atomic_store(&s->state, (uint8_t)state);
    atomic_fetch_add(&s->progress, 1);
    if (!confine_lost(CONFINE_FUTEX))
        real.syscall(SYS_futex, &s->progress, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    errno = saved;
}

void slot_wait(struct slot *s, uint32_t seen, int ms) {
    struct timespec limit = {ms / 1000, (long)(ms % 1000) * 1000000};
    if (!confine_lost(CONFINE_FUTEX))
        real.syscall(SYS_futex, &s->progress, FUTEX_WAIT, seen, &limit, NULL, 0);
}

static void address_text(const union slot_address *a, char *out, size_t size) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof host);
        snprintf(out, size, "%s:%u", host, ntohs(a->v4.sin_port));
    } else if (a->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host);
        snprintf(out, size, "[%s]:%u", host, ntohs(a->v6.sin6_port));
    } else {
        snprintf(out, size, "?");
    }
}

const char *slot_name(const struct slot *s, char *out) {
    char local[56], peer[56];
    address_text(&s->local, local, sizeof local);
    address_text(&s->peer, peer, sizeof peer);
    snprintf(out, SLOT_NAME_MAX, "%s -> %s", s->server ? peer : local, s->server ? local : peer);
    return out;
}

void slot_fork_prepare(void) {
    pthread_mutex_lock(&arena_lock);
}

void slot_fork_done(void) {
    pthread_mutex_unlock(&arena_lock);
}
