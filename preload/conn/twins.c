/* twins.c - remembers which numbers were ever made by duplication, and asks the kernel which of them are the
 * same socket when one of them is connected. Decides nothing. */
#include "twins.h"

#include <stdatomic.h>
#include <stddef.h>

#include "conn.h"
#include "fdtable.h"
#include "reserve.h"

enum { TWINS_MAX = 1 << 20, WORD = 64 };

/* Bit per number; untouched pages cost nothing. A bit is never taken back: the kernel has the last word. */
static _Atomic uint64_t noted[TWINS_MAX / WORD] RESERVE;
static _Atomic int highest = -1;

static void note(int fd) {
    if (fd < 0 || fd >= TWINS_MAX)
        return;
    _Atomic uint64_t *word = &noted[fd / WORD];
    uint64_t bit = (uint64_t)1 << (fd % WORD);
    if (!(atomic_load(word) & bit))
        atomic_fetch_or(word, bit);
    int seen = atomic_load(&highest);
    while (seen < fd && !atomic_compare_exchange_weak(&highest, &seen, fd))
        ;
}

static bool is_noted(int fd) {
    return fd >= 0 && fd < TWINS_MAX && atomic_load(&noted[fd / WORD]) >> (fd % WORD) & 1;
}

void twins_note(int a, int b) {
    note(a);
    note(b);
}

void twins_join(int fd, struct slot *s) {
    if (!is_noted(fd) || !s->cookie)
        return;
    struct conn *c = conn_of(s);
    for (int other = 0; other <= atomic_load(&highest); other++) {
        if (!atomic_load(&noted[other / WORD]) && other % WORD == 0)
            other += WORD - 1;
        else if (other != fd && is_noted(other) && !fdtable_entry(other) && conn_cookie(other) == s->cookie) {
            if (c)
                atomic_fetch_add(&c->fds, 1);
            slot_ref(s);
            fdtable_set(other, s);
        }
    }
}

void twins_part(int fd, struct slot *s) {
    if (!is_noted(fd))
        return;
    for (int other = fdtable_next(0); other >= 0; other = fdtable_next(other + 1))
        if (other != fd && fdtable_slot(other) == s && fdtable_take(other))
            slot_unref(s);
}
