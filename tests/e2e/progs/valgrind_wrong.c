/* valgrind_wrong.c - what valgrind's tools have to find: takes two locks in both orders, and writes behind
 * what it was given. */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;

static void *other(void *arg) {
    volatile char *given = malloc(8);
    size_t behind = 8;
    if (given)
        given[behind] = 1;
    free((void *)given);
    pthread_mutex_lock(&b);
    pthread_mutex_lock(&a);
    pthread_mutex_unlock(&a);
    pthread_mutex_unlock(&b);
    return arg;
}

int main(void) {
    pthread_t t;
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&b);
    pthread_mutex_unlock(&b);
    pthread_mutex_unlock(&a);
    return pthread_create(&t, NULL, other, NULL) || pthread_join(t, NULL);
}
