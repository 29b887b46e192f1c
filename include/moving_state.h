/* moving_state.h - one connection as bytes in a memory file: keys, sequence numbers, what waits on both
 * sides.
 */
#ifndef MTLSWRAP_MOVING_STATE_H
#define MTLSWRAP_MOVING_STATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "slot.h"

/* Writes the state of s behind offset `at` and makes s SLOT_MOVED in the same breath (I3). False, and nothing
 * changes, when somebody is in the middle of using it or its handshake is not done. */
bool moving_state_write(int file, off_t at, struct slot *s);
/* The same for a slot of another family's arena. */
bool moving_state_write_view(int file, off_t at, struct slot_view *v);
/* Whoever should have got it did not: the slot is ours again. */
void moving_state_back(struct slot *s);
/* A new slot with the state, held by this process; NULL when it cannot be read. */
struct slot *moving_state_read(int file, off_t at);

#endif
