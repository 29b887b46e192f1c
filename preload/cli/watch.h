/* watch.h - the watcher process of proof.h. */
#ifndef MTLSWRAP_WATCH_H
#define MTLSWRAP_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

struct watch {
    const char *program, *library; /* library: its path */
    pid_t pid;
    int pidfd;    /* of the watched process */
    int proof_in; /* one byte: loaded */
    int exec_in;  /* end of file: exec has happened */
    bool kill_it;
};

/* Becomes the watcher: closes everything else but standard error, never returns. */
_Noreturn void watch_run(const struct watch *w);

/* What /proc/PID/maps tells. Exposed for its tests; maps is NUL-terminated. */
enum watch_sight { WATCH_EARLY, WATCH_LOADED, WATCH_WITHOUT };
enum watch_sight watch_sight(const char *maps, const char *exe, const char *library);

#endif
