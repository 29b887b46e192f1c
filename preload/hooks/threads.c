/* threads.c - hooks: the calls after which somebody may cancel a thread that waits in one of ours. */
#include "hook.h"

#include <pthread.h>
#include <threads.h>

#include "wire.h"

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *arg) {
    atomic_store(&wire_cancellable, true);
    return real.pthread_create(thread, attributes, start, arg);
}

EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *arg) {
    atomic_store(&wire_cancellable, true);
    return real.thrd_create(thread, start, arg);
}

EXPORT int pthread_cancel(pthread_t thread) {
    atomic_store(&wire_cancellable, true);
    return real.pthread_cancel(thread);
}
