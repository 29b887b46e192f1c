/* core.h - what the process decided at start-up: is there a policy, who are we, where is the engine. */
#ifndef MTLSWRAP_CORE_H
#define MTLSWRAP_CORE_H

#include <stdbool.h>

#include "handshake.h"
#include "policy.h"

/* Immutable after core_init except policy, which a reload replaces as a whole (old tables are kept, because
 * connections refer to their strings). */
struct core {
    bool active; /* a table is loaded */
    const struct policy *_Atomic policy;
    const char *config;
    const char *workload;
};
extern struct core core;

/* Reads the environment and the table, once. With a broken table the process ends with status 78, but only
 * before main began. Called by the constructor, and by hooks that may run earlier. */
void core_init(void);

/* The table in force now (looked at on disk a few times a second at most) and this process's place in it. */
const struct policy *core_policy(struct policy_self *self);

/* Looks whether the table has changed, and puts the changed one in force. */
void core_look(void);

/* The heavy object, loaded at the first call; NULL when it cannot be loaded (said once in the log). */
const struct mtlswrap_engine *core_engine(void);
/* The engine if it is loaded already. */
extern const struct mtlswrap_engine *core_loaded;

/* The program is about to lose access to files: load what a later connection needs. */
void core_settle(void);

#endif
