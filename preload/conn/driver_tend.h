/* driver_tend.h - what the driver does for one connection; between driver.c and driver_tend.c alone. */
#ifndef MTLSWRAP_DRIVER_TEND_H
#define MTLSWRAP_DRIVER_TEND_H

#include "conn.h"

/* What a connection needs next. */
enum need { NEED_NOTHING, NEED_INPUT, NEED_OUTPUT, NEED_TIME, NEED_FREE };

/* One look at c, which is marked busy: moves what can be moved without waiting. */
enum need driver_tend(struct conn *c);
/* When it has to be looked at though nothing has come, in milliseconds of conn_now. */
uint64_t driver_tend_next(const struct conn *c);
/* The end of one that the program has closed: NEED_FREE. */
void driver_tend_end(struct conn *c);

#endif
