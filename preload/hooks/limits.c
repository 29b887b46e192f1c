/* limits.c - hooks: the limit of address space. What we reserve is no memory that the program uses: a daemon
 * that allows itself a little must still get all of it (I6). */
#include "hook.h"

#include <sys/resource.h>
#include <unistd.h>

enum {
    TABLES = 32 << 20,  /* descriptor tables, the engine's code and data */
    THREADS = 192 << 20 /* the driver's stack, and the heap that libc reserves for a second thread */
};

static rlim_t ours(void) {
    return core.active ? (rlim_t)slot_arena_size() + TABLES + THREADS : 0;
}

static rlim_t more(rlim_t limit, rlim_t by) {
    return limit > RLIM_INFINITY - 1 - by ? RLIM_INFINITY : limit + by;
}

/* Set before we came, or by others: there it is as it is. */
static rlim_t less(rlim_t limit, rlim_t by) {
    return limit == RLIM_INFINITY || limit <= by ? limit : limit - by;
}

static _Atomic bool raised; /* the limit in force is the program's and ours */

static const struct rlimit *wider(int resource, const struct rlimit *wish, struct rlimit *space) {
    rlim_t by = resource == RLIMIT_AS && wish ? ours() : 0;
    if (!by || (wish->rlim_cur == RLIM_INFINITY && wish->rlim_max == RLIM_INFINITY))
        return wish;
    *space = (struct rlimit){more(wish->rlim_cur, by), more(wish->rlim_max, by)};
    return space;
}

static void narrow(int resource, struct rlimit *limit) {
    if (resource != RLIMIT_AS || !limit || !atomic_load(&raised))
        return;
    rlim_t by = ours();
    limit->rlim_cur = less(limit->rlim_cur, by);
    limit->rlim_max = less(limit->rlim_max, by);
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *wish) {
    struct rlimit space;
    const struct rlimit *wide = wider((int)resource, wish, &space);
    int r = real.setrlimit(resource, wide);
    if (!r && wide != wish)
        atomic_store(&raised, true);
    return r;
}

EXPORT int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) {
    int r = real.getrlimit(resource, limit);
    if (!r)
        narrow((int)resource, limit);
    return r;
}

EXPORT int prlimit(pid_t pid, __rlimit_resource_t resource, const struct rlimit *wish, struct rlimit *old) {
    bool self = !pid || pid == getpid();
    struct rlimit space;
    const struct rlimit *wide = self ? wider((int)resource, wish, &space) : wish;
    int r = real.prlimit(pid, resource, wide, old);
    if (!r && self)
        narrow((int)resource, old);
    if (!r && wide != wish)
        atomic_store(&raised, true);
    return r;
}

/* struct rlimit64 is the same on 64-bit machines. */
int setrlimit64(__rlimit_resource_t, const struct rlimit64 *);
int getrlimit64(__rlimit_resource_t, struct rlimit64 *);
int prlimit64(pid_t, __rlimit_resource_t, const struct rlimit64 *, struct rlimit64 *);
_Static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "one shape for both");

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *wish) {
    return setrlimit(resource, (const struct rlimit *)(const void *)wish);
}

EXPORT int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit) {
    return getrlimit(resource, (struct rlimit *)(void *)limit);
}

EXPORT int prlimit64(pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *wish,
                     struct rlimit64 *old) {
    return prlimit(pid, resource, (const struct rlimit *)(const void *)wish, (struct rlimit *)(void *)old);
}
