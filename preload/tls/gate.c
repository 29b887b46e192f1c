/* gate.c - the gate between handshakes and fork. Nothing here calls OpenSSL or takes another lock, so it
 * comes first in every order of locks. */
#include "gate.h"

#include <pthread.h>

/* Writers first: a fork must not wait until a busy server pauses. */
#define OPEN PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP

static pthread_rwlock_t gate = OPEN;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local unsigned inside; /* > 0 at a fork: a signal handler forks in the midst of a call */

static void before_fork(void) {
    if (inside == 0)
        pthread_rwlock_wrlock(&gate);
}

static void after_in_parent(void) {
    if (inside == 0)
        pthread_rwlock_unlock(&gate);
}

/* The lock knows its writer by a thread number that is another one now, and may count readers that are no
 * more. */
static void after_in_child(void) {
#ifdef __SANITIZE_THREAD__ /* its runtime would not see that the lock is free again */
    if (inside == 0)
        pthread_rwlock_unlock(&gate);
#endif
    gate = (pthread_rwlock_t)OPEN;
    if (inside > 0)
        pthread_rwlock_rdlock(&gate);
}

static void start(void) {
    (void)pthread_atfork(before_fork, after_in_parent, after_in_child);
}

void gate_enter(void) {
    (void)pthread_once(&once, start);
    if (inside++ == 0)
        pthread_rwlock_rdlock(&gate);
}

void gate_leave(void) {
    if (--inside == 0)
        pthread_rwlock_unlock(&gate);
}
