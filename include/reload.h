/* reload.h - what an edited table means for connections that are running. */
#ifndef MTLSWRAP_RELOAD_H
#define MTLSWRAP_RELOAD_H

#include "policy.h"

/* Ends the protected connections of this process that the table would refuse now. No slot's lock is held by
 * the caller. */
void reload_apply(const struct policy *p, const struct policy_self *self);

#endif
