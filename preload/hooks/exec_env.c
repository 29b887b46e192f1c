/* exec_env.c - the variables that every program started from here carries on, whatever environment its parent
 * made. Works in a child that shares memory with its parent, so nothing is allocated after start-up. */
#include "exec_parts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keep.h"
#include "real.h"

enum { CARRIED_MAX = 16 };

/* Copies made before main: programs overwrite the memory of their first environment. Immutable then. */
static char *carried[CARRIED_MAX];
static size_t carried_count;

static const char PRELOAD[] = "LD_PRELOAD=", OBJECT[] = "libmtlswrap.so", OURS[] = "MTLSWRAP_";

static bool begins(const char *text, const char *with) {
    return !strncmp(text, with, strlen(with));
}

/* Meant for one process only. */
static bool passing(const char *text) {
    return begins(text, "MTLSWRAP_STATE_FD=") || begins(text, "MTLSWRAP_PROOF=");
}

__attribute__((constructor)) static void remember(void) {
    real_object();
    for (char **e = environ; e && *e && carried_count < CARRIED_MAX; e++)
        if (begins(*e, OURS) && !passing(*e) && (carried[carried_count] = keep(*e)))
            carried_count++;
}

static const char *value_of(char *const envp[], const char *name) {
    for (; envp && *envp; envp++)
        if (begins(*envp, name))
            return *envp + strlen(name);
    return NULL;
}

static bool has(char *const envp[], const char *variable) {
    size_t n = (size_t)(strchr(variable, '=') - variable) + 1;
    for (; envp && *envp; envp++)
        if (!strncmp(*envp, variable, n))
            return true;
    return false;
}

/* By a path that holds in every directory, or by a name that the loader searches for. */
static bool names_us(const char *preload) {
    const char *hit = preload ? strstr(preload, OBJECT) : NULL, *begin = hit;
    if (!hit || (hit[sizeof OBJECT - 1] && !strchr(": ", hit[sizeof OBJECT - 1])))
        return false;
    while (begin > preload && !strchr(": ", begin[-1]))
        begin--;
    return begin == hit || *begin == '/';
}

bool exec_env_complete(char *const envp[]) {
    if (!names_us(value_of(envp, PRELOAD)))
        return false;
    for (size_t i = 0; i < carried_count; i++)
        if (!has(envp, carried[i]))
            return false;
    return true;
}

static size_t count(char *const envp[]) {
    size_t n = 0;
    while (envp && envp[n])
        n++;
    return n;
}

size_t exec_env_room(char *const envp[]) {
    const char *preload = value_of(envp, PRELOAD);
    size_t text = sizeof PRELOAD + strlen(real_object()) + 1 + (preload ? strlen(preload) : 0);
    return (count(envp) + carried_count + 3) * sizeof(char *) + text;
}

static char *append(char *at, const char *text) {
    size_t n = strlen(text);
    memcpy(at, text, n + 1);
    return at + n;
}

char **exec_env_build(char *const envp[], void *space, const char *extra) {
    char **out = space;
    size_t n = 0;
    char *preload = (char *)(out + count(envp) + carried_count + 3);
    const char *old = value_of(envp, PRELOAD);
    char *at = append(preload, PRELOAD);
    if (!names_us(old)) {
        at = append(at, real_object());
        if (old && *old)
            at = append(at, ":");
    }
    append(at, old ? old : "");
    out[n++] = preload;
    for (char *const *e = envp; e && *e; e++)
        if (!begins(*e, PRELOAD) && !passing(*e))
            out[n++] = *e;
    for (size_t i = 0; i < carried_count; i++)
        if (!has(envp, carried[i]))
            out[n++] = carried[i];
    if (*extra)
        out[n++] = (char *)(uintptr_t)extra;
    out[n] = NULL;
    return out;
}
