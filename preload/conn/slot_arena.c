/* slot_arena.c - the arena: its memory and file, the free lists of slots and of their buffers. Maps, hands
 * out, takes back; what a slot means is told in slot.c. */
#include "slot_parts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "real.h"

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
    _Atomic bool loose;
    struct freelist slots, rx_regions, tx_regions;
};

/* Where the parts of an arena lie. */
struct layout {
    size_t head, body, links, rx, all;
};

/* Set once under the lock below, hence no lock for readers. */
static struct arena *_Atomic arena; /* the last to be set */
static struct slot *slots;
static uint8_t *rx_regions, *tx_regions;
static _Atomic uint32_t *rx_next, *tx_next;
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static int arena_file = -1; /* until slot_arena_file hands it out */
static struct stat arena_stat;

static const uint64_t ARENA_MAGIC = 0x616e6572412d3377;
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

/* Never on a free list, never freed: as many descriptors stand for it as may be. */
static void make_sealed(void) {
    struct slot *s = &slots[0];
    slot_lock_init(&s->rx_lock);
    slot_lock_init(&s->tx_lock);
    s->user_lowat = 1;
    s->holders_lost = true;
    atomic_store(&s->refs, 1u << 30);
    atomic_store(&s->generation, 1);
    atomic_store(&s->state, SLOT_MOVED);
    atomic_store(&arena->slots.fresh, 1);
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
    make_sealed();
    return true;
}

struct slot *slot_sealed(void) {
    return slots;
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

uint32_t slot_index(const struct slot *s) {
    return (uint32_t)(s - slots);
}

struct slot *slot_at(uint32_t index) {
    return &slots[index];
}

/* --- free lists ---------------------------------------------------------------------------------- */

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

uint32_t slot_arena_take(void) {
    return list_pop(&arena->slots);
}

void slot_arena_give(uint32_t index) {
    list_push(&arena->slots, index);
}

uint32_t slot_arena_fresh(void) {
    uint32_t used = atomic_load(&arena->slots.fresh);
    return used < arena->capacity ? used : arena->capacity;
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

/* --- fork ---------------------------------------------------------------------------------------- */

void slot_fork_prepare(void) {
    pthread_mutex_lock(&arena_lock);
}

void slot_fork_done(void) {
    pthread_mutex_unlock(&arena_lock);
}
