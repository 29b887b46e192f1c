/* paths.h - where things live: the user's state, the shared object, programs on PATH. */
#ifndef MTLSWRAP_PATHS_H
#define MTLSWRAP_PATHS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* All outputs have room for PATH_MAX bytes. False means: none, or too long (errno says which). */

/* $MTLSWRAP_STATE, $XDG_STATE_HOME/mtlswrap or ~/.local/state/mtlswrap; absolute. */
bool paths_state(char *out);
/* libmtlswrap.so: $MTLSWRAP_LIB, beside this executable, ../lib/mtlswrap or ../lib of it; absolute. */
bool paths_library(char *out);
/* Like realpath(3) for the directory, but the last part need not exist and is not resolved. */
bool paths_absolute(const char *path, char *out);
/* dir/leaf. */
bool paths_join(char *out, const char *dir, const char *leaf);
/* mkdir -p; every directory that it makes gets that mode. */
bool paths_mkdirs(const char *path, unsigned mode);
/* What execvp(3) would run. Returns 0, ENOENT, EACCES or another errno. */
int paths_program(const char *name, char *out);

#endif
