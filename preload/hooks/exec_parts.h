/* exec_parts.h - what the rooms of exec share: the environment that goes along, and whether the program that
 * comes next will load us. */
#ifndef MTLSWRAP_EXEC_PARTS_H
#define MTLSWRAP_EXEC_PARTS_H

#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>

#include "moving.h"

/* LD_PRELOAD and our variables are in this environment already. */
bool exec_env_complete(char *const envp[]);
/* Bytes that exec_env_build needs. */
size_t exec_env_room(char *const envp[]);
/* The program's environment with ours in it; space as asked for above, extra one more variable or "".
 * Allocates nothing. */
char **exec_env_build(char *const envp[], void *space, const char *extra);

enum exec_target {
    EXEC_FAILS, /* the kernel will refuse it */
    EXEC_BARE,  /* it will run without us: static, setuid, of another architecture */
    EXEC_FINE,
};
/* search: look the name up in PATH as execvp does. */
enum exec_target exec_target_of(int folder, const char *path, int flags, bool search);

/* One line where nothing about the program says that it runs without us: a daemon that keeps root in reserve
 * and starts its worker by exec. */
void exec_mind(int folder, const char *path, int flags, bool search);

/* No connection may end up in a program that cannot protect it. True: all that h names were marked
 * close-on-exec and h is empty; false (EPERM, logged): one of them is its standard input or output. */
bool exec_bare(const char *path, struct moving_heirs *h, struct moving_heirs *marked);
/* The exec did not happen. */
void exec_bare_undo(const struct moving_heirs *marked);

/* What the child of posix_spawn will have after its file actions. */
void exec_actions(const posix_spawn_file_actions_t *actions, struct moving_heirs *h);

#endif
