/* policy_pool.c - memory and lists of one table.
 *
 * Everything a table owns comes from here and goes in one sweep; nothing is freed singly. A failed
 * allocation is remembered, so that callers may go on and the reading fails once, at its end.
 */
#include "policy_table.h"
#include "reserve.h"

#include <stdlib.h>
#include <string.h>

struct policy_chunk {
    struct policy_chunk *next;
    size_t used, room;
    max_align_t data[];
};

/* For the first table, which every start reads: small programs have no use for a heap so early. */
static union {
    struct policy_chunk chunk;
    char bytes[16384];
} ready RESERVE;
static atomic_flag ready_used = ATOMIC_FLAG_INIT;

static struct policy_chunk *new_chunk(size_t room) {
    if (room <= sizeof ready - sizeof(struct policy_chunk) && !atomic_flag_test_and_set(&ready_used))
        return &ready.chunk;
    return calloc(1, sizeof(struct policy_chunk) + room);
}

static void free_chunk(struct policy_chunk *c) {
    if (c != &ready.chunk) {
        free(c);
        return;
    }
    memset(&ready, 0, sizeof *c + c->used);
    atomic_flag_clear(&ready_used);
}

void policy_pool_reserve(struct policy_pool *pool, size_t size) {
    size_t room = size < 4096 ? 4096 : size;
    struct policy_chunk *c = new_chunk(room);
    if (!c) {
        pool->failed = true;
        return;
    }
    c->room = room;
    c->next = pool->head;
    pool->head = c;
}

void *policy_pool_alloc(struct policy_pool *pool, size_t size) {
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!pool->head || pool->head->room - pool->head->used < size) {
        struct policy_chunk *before = pool->head;
        policy_pool_reserve(pool, before && before->room < 262144 ? before->room * 2 + size : size + 262144);
        if (pool->head == before)
            return NULL;
    }
    void *at = (char *)pool->head->data + pool->head->used;
    pool->head->used += size;
    return at;
}

char *policy_pool_copy(struct policy_pool *pool, const char *s, size_t len) {
    char *copy = policy_pool_alloc(pool, len + 1);
    if (copy)
        memcpy(copy, s, len);
    return copy;
}

/* Every start of a wrapped program comes through here, and most have no use for printf so early. */
char *policy_pool_join(struct policy_pool *pool, const char *const *parts) {
    size_t len = 0;
    for (size_t i = 0; parts[i]; i++)
        len += strlen(parts[i]);
    char *joined = policy_pool_alloc(pool, len + 1), *at = joined;
    for (size_t i = 0; at && parts[i]; i++)
        at = stpcpy(at, parts[i]);
    return joined;
}

void policy_pool_free(struct policy_pool *pool) {
    while (pool->head) {
        struct policy_chunk *next = pool->head->next;
        free_chunk(pool->head);
        pool->head = next;
    }
}

void policy_list_add(struct policy_pool *pool, struct policy_list *list, const char *item) {
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 2;
        const char **items = policy_pool_alloc(pool, room * sizeof *items);
        if (!items)
            return;
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
}

bool policy_list_has(const struct policy_list *list, const char *item) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], item) == 0)
            return true;
    return false;
}
