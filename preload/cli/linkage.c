/* imports.c - walks a program's DT_NEEDED tree and sorts what its members import. Reads files only. */
#include "imports.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filemap.h"
#include "elfread.h"
#include "sonames.h"

enum { TREE_MAX = 512, NAME_MAX_LEN = 128 }; /* far beyond real programs; hostile files stop here */

struct tree {
    struct {
        char name[NAME_MAX_LEN]; /* DT_NEEDED's word */
        char path[PATH_MAX];
    } node[TREE_MAX];
    size_t count;
};

static const struct {
    const char *name;
    enum imports_kind kind;
} words[] = {
    {"socket", IMPORTS_SOCKET},     {"connect", IMPORTS_SOCKET},     {"accept", IMPORTS_SOCKET},
    {"accept4", IMPORTS_SOCKET},    {"bind", IMPORTS_SOCKET},        {"listen", IMPORTS_SOCKET},
    {"recv", IMPORTS_SOCKET},       {"send", IMPORTS_SOCKET},        {"recvfrom", IMPORTS_SOCKET},
    {"sendto", IMPORTS_SOCKET},     {"recvmsg", IMPORTS_SOCKET},     {"sendmsg", IMPORTS_SOCKET},
    {"shutdown", IMPORTS_SOCKET},   {"getpeername", IMPORTS_SOCKET}, {"__recv_chk", IMPORTS_SOCKET},
    {"execv", IMPORTS_EXEC},        {"execve", IMPORTS_EXEC},        {"execvp", IMPORTS_EXEC},
    {"execvpe", IMPORTS_EXEC},      {"execl", IMPORTS_EXEC},         {"execlp", IMPORTS_EXEC},
    {"execle", IMPORTS_EXEC},       {"fexecve", IMPORTS_EXEC},       {"posix_spawn", IMPORTS_EXEC},
    {"posix_spawnp", IMPORTS_EXEC}, {"system", IMPORTS_EXEC},        {"popen", IMPORTS_EXEC},
    {"dlopen", IMPORTS_DLOPEN},     {"dlmopen", IMPORTS_DLOPEN},     {"syscall", IMPORTS_SYSCALL},
};

/* glibc's own parts: what they do inside, no hook sees, and none of it is the program's traffic. */
static bool is_libc(const char *soname) {
    static const char *const parts[] = {"libc.so",      "ld-linux", "libpthread.so", "libdl.so",   "librt.so",
                                        "libresolv.so", "libm.so",  "libanl.so",     "libmtlswrap"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(soname, parts[i], strlen(parts[i])) == 0)
            return true;
    return false;
}

static void mark(struct imports *out, enum imports_kind kind, const char *file) {
    const char *slash = strrchr(file, '/');
    if (!out->by[kind][0])
        snprintf(out->by[kind], sizeof out->by[kind], "%s", slash ? slash + 1 : file);
}

static void sort_imports(struct imports *out, const struct elfread *e, const char *path) {
    for (size_t i = 0; i < e->sym_len; i++) {
        const char *name = elfread_import(e, i);
        if (!name)
            continue;
        if (strncmp(name, "io_uring_", 9) == 0)
            mark(out, IMPORTS_URING, path);
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (strcmp(words[w].name, name) == 0)
                mark(out, words[w].kind, path);
    }
    if (e->is_go)
        mark(out, IMPORTS_GO, path);
}

static bool known(const struct tree *t, const char *soname) {
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->node[i].name, soname) == 0)
            return true;
    return false;
}

static void add_needed(struct tree *t, struct imports *out, const struct elfread *e, const char *path) {
    const char *soname;
    for (size_t n = 0; n < TREE_MAX && (soname = elfread_string(e, DT_NEEDED, n)); n++) {
        if (is_libc(soname) || known(t, soname) || t->count == TREE_MAX || strlen(soname) >= NAME_MAX_LEN)
            continue;
        if (!sonames_find(soname, e, path, t->node[t->count].path)) {
            mark(out, IMPORTS_MISSING, soname);
            continue;
        }
        memcpy(t->node[t->count].name, soname, strlen(soname) + 1);
        t->count++;
    }
}

void imports_collect(struct imports *out, const char *path) {
    *out = (struct imports){0};
    struct tree *t = calloc(1, sizeof *t);
    if (!t)
        return;
    t->count = 1;
    if (!realpath(path, t->node[0].path)) /* $ORIGIN of a program is where its file really is */
        snprintf(t->node[0].path, sizeof t->node[0].path, "%s", path);
    for (size_t i = 0; i < t->count; i++) {
        struct filemap m;
        struct elfread e;
        if (!filemap_open(&m, t->node[i].path))
            continue;
        if (elfread_open(&e, m.data, m.size) == ELFREAD_OK) {
            sort_imports(out, &e, t->node[i].path);
            add_needed(t, out, &e, t->node[i].path);
        }
        filemap_close(&m);
    }
    free(t);
}
