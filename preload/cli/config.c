/* config.c - finds the policy table; reads none. */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "paths.h"

bool config_named(const char *told, char *out) {
    told = told ? told : getenv("MTLSWRAP_CONFIG");
    return told && *told && paths_absolute(told, out);
}

bool config_find(const char *told, char *out) {
    char state[PATH_MAX];
    if (config_named(told, out))
        return true;
    if (paths_state(state) && paths_join(out, state, "default.ini") && access(out, R_OK) == 0)
        return true;
    cli_error("which table? Neither --config nor MTLSWRAP_CONFIG says, and there is no default yet");
    return false;
}

void config_print_error(void *arg, enum policy_severity severity, const char *file, int line,
                        const char *message) {
    (void)arg;
    if (severity != POLICY_ERROR)
        return;
    if (line > 0)
        cli_error("%s:%d: %s", file, line, message);
    else
        cli_error("%s: %s", file, message);
}
