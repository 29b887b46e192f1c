/* policy_pool.c - memory and lists of one table.
 *
 * Everything a table owns comes from here and goes in one sweep; nothing is freed singly. A failed
 * allocation is remembered, so that callers may go on and the reading fails once, at its end.
 */
#include "policy_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct policy_chunk {
    struct policy_chunk *next;
    size_t used, room;
    max_align_t data[];
};

void policy_pool_reserve(struct policy_pool *pool, size_t size) {
    size_t room = size < 4096 ? 4096 : size;
    struct policy_chunk *c = calloc(1, sizeof *c + room);
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

char *policy_pool_format(struct policy_pool *pool, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    return policy_pool_copy(pool, text, len < sizeof text ? len : sizeof text - 1);
}

void policy_pool_free(struct policy_pool *pool) {
    while (pool->head) {
        struct policy_chunk *next = pool->head->next;
        free(pool->head);
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
