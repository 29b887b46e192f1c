/* real_find.h - what dlsym(RTLD_NEXT) would find, without its lock. */
#ifndef MTLSWRAP_REAL_FIND_H
#define MTLSWRAP_REAL_FIND_H

#include <link.h>
#include <stdbool.h>

/* For what a sanitizer's runtime may call before its own memory is there. */
#define REAL_EARLY __attribute__((no_sanitize("address", "undefined", "thread")))

/* The definition of name in the objects behind the caller's own, in *found; NULL when none of them has one.
 * False: something was met that the loader knows better how to treat. Allocates nothing, takes no lock, makes
 * no system call: fit for signal handlers and vfork children. */
REAL_EARLY bool real_find(const char *name, void **found);

/* The loader's entry for the object that this function is in; NULL when it is not among those that a program
 * was started with or has opened in the usual way. */
REAL_EARLY const struct link_map *real_find_self(void);

#endif
