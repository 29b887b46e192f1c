/* helgrind_clocklock.c - preloaded behind the object under test: Debian's helgrind does not know
 * pthread_mutex_clocklock, and would take the unlocking of what it locked for a mistake. */
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#include <valgrind/helgrind.h>

int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *limit) {
    int (*next)(pthread_mutex_t *, clockid_t, const struct timespec *);
    *(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_clocklock");
    VALGRIND_HG_MUTEX_LOCK_PRE(mutex, 1); /* as by trying: it gives up, so no deadlock can come of it */
    int r = next(mutex, clock, limit);
    if (!r)
        VALGRIND_HG_MUTEX_LOCK_POST(mutex);
    return r;
}
