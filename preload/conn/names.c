/* names.c - a bounded memory of what names the program resolved to which addresses. */
#include "names.h"

#include "forks.h"
#include "reserve.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { NAMES_MAX = 1024, NAME_LEN = 256 };

struct entry {
    uint8_t address[16];
    uint8_t length; /* 4, 16, or 0: free */
    char name[NAME_LEN];
};

/* Static and untouched until used, so it costs no memory. An entry's name is only ever overwritten by another
 * answer for the same bucket; readers copy under the lock. */
static struct entry entries[NAMES_MAX] RESERVE;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread char found[NAME_LEN];

static const uint8_t *address_of(const struct sockaddr *addr, uint8_t *length) {
    if (addr->sa_family == AF_INET) {
        *length = 4;
        return (const uint8_t *)&((const struct sockaddr_in *)addr)->sin_addr;
    }
    if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        *length = mapped ? 4 : 16;
        return v6->sin6_addr.s6_addr + (mapped ? 12 : 0);
    }
    return NULL;
}

static struct entry *bucket(const uint8_t *p, uint8_t length) {
    uint32_t hash = 2166136261u;
    for (uint8_t i = 0; i < length; i++)
        hash = (hash ^ p[i]) * 16777619u;
    return &entries[hash % NAMES_MAX];
}

void names_remember(const char *name, const struct sockaddr *addr) {
    uint8_t length;
    const uint8_t *p = address_of(addr, &length);
    size_t n = strlen(name);
    if (!p || !n || n >= NAME_LEN)
        return;
    forks_ready();
    pthread_mutex_lock(&lock);
    struct entry *e = bucket(p, length);
    memcpy(e->address, p, length);
    memcpy(e->name, name, n + 1);
    e->length = length;
    pthread_mutex_unlock(&lock);
}

const char *names_last(const struct sockaddr *addr) {
    uint8_t length;
    const uint8_t *p = address_of(addr, &length);
    if (!p)
        return NULL;
    pthread_mutex_lock(&lock);
    struct entry *e = bucket(p, length);
    bool hit = e->length == length && !memcmp(e->address, p, length);
    if (hit)
        memcpy(found, e->name, NAME_LEN);
    pthread_mutex_unlock(&lock);
    return hit ? found : NULL;
}

void names_fork_prepare(void) {
    pthread_mutex_lock(&lock);
}

void names_fork_done(void) {
    pthread_mutex_unlock(&lock);
}
