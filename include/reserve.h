/* reserve.h - where large static arrays lie that most processes never touch.
 *
 * Behind everything else, so that the small variables, some of which every process writes, share a page or
 * two: each page that is touched costs every start of a wrapped program. */
#ifndef MTLSWRAP_RESERVE_H
#define MTLSWRAP_RESERVE_H

#define RESERVE __attribute__((section(".sbss.reserve")))

#endif
