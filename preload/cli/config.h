/* config.h - which policy table a subcommand means, and how its errors are printed. */
#ifndef MTLSWRAP_CONFIG_H
#define MTLSWRAP_CONFIG_H

#include <limits.h>
#include <stdbool.h>

#include "policy.h"

/* told, else $MTLSWRAP_CONFIG; absolute, PATH_MAX bytes. False when neither says anything. */
bool config_named(const char *told, char *out);
/* The same, or the default table that `run` has written before. False with a printed reason. */
bool config_find(const char *told, char *out);
/* A policy_report_fn for errors; `mtlswrap check` is the place for warnings. */
void config_print_error(void *arg, enum policy_severity severity, const char *file, int line,
                        const char *message);

#endif
