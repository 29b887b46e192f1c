/* slot.c - the life of a slot: who stands for it, its locks, its state, its name. Knows processes and locks,
 * nothing of TLS or descriptors. Where slots lie is told in slot_arena.c. */
#include "slot_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "real.h"
#include "wire.h"

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

static pid_t holder_of(const struct slot *s, size_t i) {
    return (pid_t)(uint32_t)atomic_load(&s->holders[i]);
}

static bool gone(pid_t pid, pid_t self) {
    return !pid || pid == self || !alive(pid);
}

bool slot_others_dead(const struct slot *s) {
    int saved = errno;
    pid_t self = wire_getpid();
    bool dead = !s->holders_lost && !atomic_load(&s->forking);
    for (size_t i = 0; dead && i < SLOT_HOLDERS; i++)
        dead = gone(holder_of(s, i), self);
    errno = saved;
    return dead;
}

bool slot_others_use(const struct slot *s) {
    return atomic_load(&s->refs) > 1 && !slot_others_dead(s);
}

static bool abandoned(const struct slot *s) {
    if (atomic_load(&s->state) == SLOT_FREE || !slot_others_dead(s))
        return false;
    for (size_t i = 0; i < SLOT_HOLDERS; i++)
        if (holder_of(s, i) == wire_getpid())
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
    uint32_t used = slot_arena_fresh();
    for (uint32_t i = 0; i < used; i++) {
        struct slot *s = slot_at(i);
        if (abandoned(s))
            reclaim_one(s);
        else if (slot_orphaned(s)) /* a cancelled thread took its lock with it */
            slot_reap(s);
    }
}

struct slot *slot_new(void) {
    if (!slot_arena_ready())
        return NULL;
    uint32_t got = slot_arena_take();
    if (!got) {
        reclaim();
        got = slot_arena_take();
        if (!got)
            return NULL;
    }
    struct slot *s = slot_at(got - 1);
    if (!atomic_load(&s->generation)) {
        slot_lock_init(&s->rx_lock);
        slot_lock_init(&s->tx_lock);
        atomic_store(&s->generation, 1);
    }
    memset((char *)s + offsetof(struct slot, state), 0, sizeof *s - offsetof(struct slot, state));
    s->user_lowat = 1;
    atomic_store(&s->refs, 1);
    slot_hold(s);
    atomic_store(&s->state, SLOT_SHAKING);
    return s;
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

bool slot_unref_shared(struct slot *s) {
    uint32_t refs = atomic_load(&s->refs);
    while (refs > 1 && !atomic_compare_exchange_weak(&s->refs, &refs, refs - 1))
        ;
    return refs > 1;
}

static uint64_t holding(uint32_t generation, pid_t pid) {
    return (uint64_t)generation << 32 | (uint32_t)pid;
}

void slot_unhold(struct slot *s, uint32_t generation) {
    for (size_t i = 0; i < SLOT_HOLDERS; i++) {
        uint64_t self = holding(generation, wire_getpid());
        atomic_compare_exchange_strong(&s->holders[i], &self, 0);
    }
}

void slot_hold(struct slot *s) {
    slot_hold_for(s, wire_getpid());
}

void slot_hold_for(struct slot *s, pid_t pid) {
    uint64_t mine = holding(atomic_load(&s->generation), pid);
    for (size_t i = 0; i < SLOT_HOLDERS; i++)
        if (atomic_load(&s->holders[i]) == mine)
            return;
    for (size_t i = 0; i < SLOT_HOLDERS; i++) {
        uint64_t other = atomic_load(&s->holders[i]);
        if ((!other || !alive((pid_t)(uint32_t)other)) &&
            atomic_compare_exchange_strong(&s->holders[i], &other, mine))
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
    slot_arena_give(slot_index(s));
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

/* --- locks --------------------------------------------------------------------------------------- */

void slot_lock_init(pthread_mutex_t *lock) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
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

/* ThreadSanitizer's runtime does not see a lock that is taken by any other clock. */
#ifdef __SANITIZE_THREAD__
enum { LOCK_CLOCK = CLOCK_REALTIME };
#define lock_until(lock, limit) pthread_mutex_timedlock(lock, limit)
#else
enum { LOCK_CLOCK = CLOCK_MONOTONIC };
#define lock_until(lock, limit) pthread_mutex_clocklock(lock, LOCK_CLOCK, limit)
#endif

static struct timespec in_a_moment(bool now) {
    struct timespec t;
    clock_gettime(LOCK_CLOCK, &t);
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
        int verdict = lock_until(lock, &limit);
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

/* --- state and name ------------------------------------------------------------------------------ */

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

static const char *name(const union slot_address *from, const union slot_address *to, char *out) {
    char texts[2][56];
    address_text(from, texts[0], sizeof texts[0]);
    address_text(to, texts[1], sizeof texts[1]);
    snprintf(out, SLOT_NAME_MAX, "%s -> %s", texts[0], texts[1]);
    return out;
}

const char *slot_name(const struct slot *s, char *out) {
    return s->server ? name(&s->peer, &s->local, out) : name(&s->local, &s->peer, out);
}

const char *slot_ends_name(const struct slot_ends *ends, char *out) {
    return ends->server ? name(&ends->peer, &ends->local, out) : name(&ends->local, &ends->peer, out);
}

void slot_set_ends(struct slot *s, const struct slot_ends *ends) {
    s->server = ends->server;
    if (ends->local.any.sa_family)
        s->local = ends->local;
    s->peer = ends->peer;
    memcpy(s->rule, ends->rule, sizeof s->rule);
}

const char *slot_whom(const struct slot *s, char *out) {
    *out = 0;
    if (s->peer_name[0])
        snprintf(out, SLOT_WHOM_MAX, " with \"%.*s\"", SLOT_PEER_MAX, s->peer_name);
    return out;
}
