/* fallback.h - the default that `run` uses when no table is named: own CA, STRICT, loopback mutual TLS. */
#ifndef MTLSWRAP_FALLBACK_H
#define MTLSWRAP_FALLBACK_H

#include <stdbool.h>

/* Makes what is missing in the user's state directory (CA, table) and puts the table's path into config
 * (PATH_MAX bytes). Any number of processes may do so at once. False with a printed reason. */
bool fallback_prepare(char *config);

#endif
