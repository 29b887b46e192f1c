/* slot_parts.h - between slot.c and slot_arena.c: which slots are taken. */
#ifndef MTLSWRAP_SLOT_PARTS_H
#define MTLSWRAP_SLOT_PARTS_H

#include "slot.h"

/* slot_arena.c. The index + 1 of a slot that is nobody's, or 0 when there is none; and back. */
uint32_t slot_arena_take(void);
void slot_arena_give(uint32_t index);
/* Slots from here on were never taken. */
uint32_t slot_arena_fresh(void);

/* slot.c. One that relatives share and that outlives its owner. */
void slot_lock_init(pthread_mutex_t *lock);

#endif
