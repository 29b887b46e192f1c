/* paths.c - finds and makes paths. Reads the environment, changes nothing but directories it is told to
 * make. */
#include "paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fits(int len) {
    if (len >= 0 && len < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

bool paths_join(char *out, const char *dir, const char *leaf) {
    return fits(snprintf(out, PATH_MAX, "%s/%s", dir, leaf));
}

bool paths_absolute(const char *path, char *out) {
    if (path[0] == '/')
        return fits(snprintf(out, PATH_MAX, "%s", path));
    char cwd[PATH_MAX];
    return getcwd(cwd, sizeof cwd) && paths_join(out, cwd, path);
}

bool paths_state(char *out) {
    const char *own = getenv("MTLSWRAP_STATE"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (own && *own)
        return paths_absolute(own, out);
    if (xdg && *xdg == '/') /* the XDG specification: relative values are to be ignored */
        return paths_join(out, xdg, "mtlswrap");
    if (!home || *home != '/') {
        const struct passwd *pw = getpwuid(getuid());
        home = pw ? pw->pw_dir : NULL;
    }
    if (!home || *home != '/') {
        errno = ENOENT;
        return false;
    }
    return paths_join(out, home, ".local/state/mtlswrap");
}

bool paths_library(char *out) {
    const char *told = getenv("MTLSWRAP_LIB");
    char dir[PATH_MAX];
    if (told && *told)
        return paths_absolute(told, out) && access(out, R_OK) == 0;
    ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);
    if (n <= 0)
        return false;
    dir[n] = 0;
    *strrchr(dir, '/') = 0;
    static const char *const places[] = {"libmtlswrap.so", "../lib/mtlswrap/libmtlswrap.so",
                                         "../lib/libmtlswrap.so"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char candidate[PATH_MAX];
        if (paths_join(candidate, dir, places[i]) && realpath(candidate, out))
            return true;
    }
    errno = ENOENT;
    return false;
}

bool paths_mkdirs(const char *path, unsigned mode) {
    char part[PATH_MAX];
    if (!fits(snprintf(part, sizeof part, "%s", path)))
        return false;
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return false;
        *p = '/';
    }
    return mkdir(part, mode) == 0 || errno == EEXIST;
}

/* 0 when that file can be executed. Directories look executable to access(2), but are not. */
static int executable(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
        return EACCES;
    return 0;
}

int paths_program(const char *name, char *out) {
    if (!*name)
        return ENOENT;
    if (strchr(name, '/'))
        return fits(snprintf(out, PATH_MAX, "%s", name)) ? executable(name) : ENAMETOOLONG;
    const char *path = getenv("PATH");
    int verdict = ENOENT;
    for (const char *p = path ? path : "/bin:/usr/bin"; p;) {
        size_t len = strcspn(p, ":");
        int n = len ? snprintf(out, PATH_MAX, "%.*s/%s", (int)len, p, name)
                    : snprintf(out, PATH_MAX, "./%s", name); /* an empty part is the current directory */
        int e = fits(n) ? executable(out) : ENAMETOOLONG;
        if (e == 0)
            return 0;
        if (e == EACCES)
            verdict = EACCES;
        p = p[len] ? p + len + 1 : NULL;
    }
    return verdict;
}
