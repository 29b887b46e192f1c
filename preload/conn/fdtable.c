/* fdtable.c - the array from descriptor to slot. Makes no system call on the lookup's way. */
#include "fdtable.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "real.h"
#include "reserve.h"
#include "wire.h"

enum {
    FDTABLE_SIZE = 1 << 20, /* the kernel's default fs.nr_open; the pages are touched as needed */
    FDTABLE_OWN_FLOOR =
        3904, /* high enough to be out of the way, low enough to keep the kernel's table small */
    FDTABLE_OWN_MAX = 4096,
};

_Atomic uint64_t *fdtable;
_Atomic unsigned fdtable_size;

static pthread_mutex_t map_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int highest = -1; /* nothing above was ever managed */
static _Atomic pid_t owner;      /* whose table this is */
static _Atomic uint8_t
    own[FDTABLE_SIZE / 8] RESERVE; /* bit per descriptor of ours; untouched pages cost nothing */
static _Atomic unsigned own_count;
static _Atomic int kept = -1; /* the arena's file; forked children keep these three as well */
static _Atomic int stopper = -1;
static _Atomic int logged = -1;

bool fdtable_ready(void) {
    if (atomic_load(&fdtable_size))
        return true;
    pthread_mutex_lock(&map_lock);
    if (!atomic_load(&fdtable_size)) {
        void *p = mmap(NULL, (size_t)FDTABLE_SIZE * sizeof *fdtable, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p != MAP_FAILED) {
            fdtable = p;
            atomic_store(&owner, wire_getpid());
            atomic_store(&fdtable_size, FDTABLE_SIZE);
        }
    }
    pthread_mutex_unlock(&map_lock);
    return atomic_load(&fdtable_size) != 0;
}

static uint64_t entry_of(const struct slot *s) {
    return (uint64_t)atomic_load(&s->generation) << 32 | (slot_index(s) + 1);
}

static struct slot *slot_behind(uint64_t entry) {
    struct slot *s = slot_at((uint32_t)entry - 1);
    return atomic_load(&s->generation) == (uint32_t)(entry >> 32) ? s : NULL;
}

struct slot *fdtable_slot(int fd) {
    uint64_t entry = fdtable_entry(fd);
    if (!entry)
        return NULL;
    struct slot *s = slot_behind(entry);
    if (s && atomic_load(&s->state) != SLOT_PLAIN)
        return s;
    if (fdtable_mine() && atomic_compare_exchange_strong(&fdtable[fd], &entry, 0) && s && !slot_unref(s))
        slot_retire(s);
    return NULL;
}

static void note_highest(int fd) {
    int seen = atomic_load(&highest);
    while (seen < fd && !atomic_compare_exchange_weak(&highest, &seen, fd))
        ;
}

void fdtable_set(int fd, struct slot *s) {
    note_highest(fd);
    atomic_store_explicit(&fdtable[fd], entry_of(s), memory_order_release);
}

bool fdtable_claim(int fd, struct slot *s) {
    uint64_t none = 0;
    note_highest(fd);
    return atomic_compare_exchange_strong(&fdtable[fd], &none, entry_of(s));
}

struct slot *fdtable_take(int fd) {
    if (!fdtable_entry(fd))
        return NULL;
    uint64_t entry = atomic_exchange(&fdtable[fd], 0);
    return entry ? slot_behind(entry) : NULL;
}

bool fdtable_seal(int fd, struct slot **s) {
    uint64_t entry = fdtable_entry(fd);
    *s = NULL;
    if (!entry)
        return false;
    struct slot *seal = slot_sealed();
    uint64_t sealed = entry_of(seal);
    slot_ref(seal);
    while (entry && entry != sealed)
        if (atomic_compare_exchange_weak(&fdtable[fd], &entry, sealed)) {
            *s = slot_behind(entry);
            return true;
        }
    slot_unref(seal);
    return false;
}

bool fdtable_sealed(int fd) {
    uint64_t entry = fdtable_entry(fd);
    return entry && entry == entry_of(slot_sealed());
}

void fdtable_unseal(int fd) {
    uint64_t sealed = fdtable_entry(fd) ? entry_of(slot_sealed()) : 0;
    if (sealed && atomic_compare_exchange_strong(&fdtable[fd], &sealed, 0))
        slot_unref(slot_sealed());
}

/* With the only thread nobody else can write meanwhile. */
void fdtable_stop(int fd) {
    int stop = atomic_load(&stopper);
    if (stop >= 0 && !__libc_single_threaded && !confine_lost(CONFINE_DUP))
        real.dup3(stop, fd, O_CLOEXEC);
}

int fdtable_next(int from) {
    if (atomic_load(&fdtable_size))
        for (int fd = from < 0 ? 0 : from; fd <= atomic_load(&highest); fd++)
            if (atomic_load_explicit(&fdtable[fd], memory_order_relaxed))
                return fd;
    return -1;
}

/* The program has used up its numbers; behind its soft limit there may be more. */
static int beyond_limit(int fd, const struct rlimit *limit) {
    struct rlimit wide = {limit->rlim_max, limit->rlim_max};
    if (confine_lost(CONFINE_LIMITS) || limit->rlim_cur >= limit->rlim_max ||
        limit->rlim_cur > FDTABLE_SIZE || real.setrlimit(RLIMIT_NOFILE, &wide))
        return -1;
    int moved = wire_fcntl(fd, F_DUPFD_CLOEXEC, (int)limit->rlim_cur);
    int saved = errno;
    real.setrlimit(RLIMIT_NOFILE, limit);
    errno = saved;
    return moved;
}

int fdtable_high(int fd) {
    struct rlimit limit = {1024, 1024};
    if (!confine_lost(CONFINE_LIMITS))
        real.getrlimit(RLIMIT_NOFILE, &limit);
    int floor = FDTABLE_OWN_FLOOR;
    if (limit.rlim_cur < FDTABLE_OWN_MAX)
        floor = limit.rlim_cur > 128 ? (int)limit.rlim_cur - 64 : (int)limit.rlim_cur / 2;
    int moved = wire_fcntl(fd, F_DUPFD_CLOEXEC, floor);
    if (moved < 0)
        moved = beyond_limit(fd, &limit);
    if (moved >= FDTABLE_SIZE) {
        real.close(moved);
        return -1;
    }
    return moved;
}

int fdtable_own_move(int fd) {
    int moved = fdtable_high(fd);
    if (moved >= 0)
        fdtable_own_claim(moved);
    return moved;
}

void fdtable_own_claim(int fd) {
    atomic_fetch_or(&own[fd / 8], (uint8_t)(1u << (fd % 8)));
    atomic_fetch_add(&own_count, 1);
}

bool fdtable_is_own(int fd) {
    return atomic_load_explicit(&own_count, memory_order_relaxed) && fd >= 0 && fd < FDTABLE_SIZE &&
           (atomic_load(&own[fd / 8]) & (1u << (fd % 8)));
}

void fdtable_own_close(int fd) {
    atomic_fetch_and(&own[fd / 8], (uint8_t) ~(1u << (fd % 8)));
    atomic_fetch_sub(&own_count, 1);
    real.close(fd);
}

bool fdtable_mine(void) {
    return atomic_load(&owner) == wire_getpid();
}

void fdtable_forked(void) {
    atomic_store(&owner, wire_getpid());
    /* The parent's own descriptors came along as copies; they are the parent's work. */
    const int stay[] = {atomic_load(&kept), atomic_load(&stopper), atomic_load(&logged)};
    unsigned stays = (stay[0] >= 0 ? 1u : 0u) + (stay[1] >= 0 ? 1u : 0u) + (stay[2] >= 0 ? 1u : 0u);
    for (int fd = 0; atomic_load(&own_count) > stays && fd < FDTABLE_SIZE; fd++)
        if (fdtable_is_own(fd) && fd != stay[0] && fd != stay[1] && fd != stay[2])
            fdtable_own_close(fd);
}

int fdtable_own_keep(int fd) {
    int moved = fdtable_own_move(fd);
    real.close(fd);
    atomic_store(&kept, moved);
    return moved;
}

int fdtable_own_kept(void) {
    return atomic_load(&kept);
}

void fdtable_own_stopper(void) {
    int fd = open("/", O_PATH | O_CLOEXEC);
    if (fd < 0)
        return;
    atomic_store(&stopper, fdtable_own_move(fd));
    real.close(fd);
}

void fdtable_own_log(int fd) {
    fdtable_own_claim(fd);
    atomic_store(&logged, fd);
}

int fdtable_next_own(int from) {
    for (int fd = from < 0 ? 0 : from; atomic_load(&own_count) && fd < FDTABLE_SIZE; fd++)
        if (fdtable_is_own(fd))
            return fd;
    return -1;
}

void fdtable_fork_prepare(void) {
    pthread_mutex_lock(&map_lock);
}

void fdtable_fork_done(void) {
    pthread_mutex_unlock(&map_lock);
}
