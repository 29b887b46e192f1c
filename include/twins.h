/* twins.h - several numbers for one socket that is no connection yet: when one of them is connected, all of
 * them stand for the connection (I2). */
#ifndef MTLSWRAP_TWINS_H
#define MTLSWRAP_TWINS_H

#include "slot.h"

/* b is a duplicate of a, which is not managed. Costs no system call. */
void twins_note(int a, int b);
/* fd has just come to stand for s: so do its duplicates. */
void twins_join(int fd, struct slot *s);
/* It was no connection after all: none of them does. */
void twins_part(int fd, struct slot *s);

#endif
