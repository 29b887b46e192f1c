/* linkage.c - walks a program's DT_NEEDED tree and sorts what its members import. Reads files only. */
#include "linkage.h"

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
    enum linkage_kind kind;
} words[] = {
    {"socket", LINKAGE_SOCKET},     {"connect", LINKAGE_SOCKET},     {"accept", LINKAGE_SOCKET},
    {"accept4", LINKAGE_SOCKET},    {"bind", LINKAGE_SOCKET},        {"listen", LINKAGE_SOCKET},
    {"recv", LINKAGE_SOCKET},       {"send", LINKAGE_SOCKET},        {"recvfrom", LINKAGE_SOCKET},
    {"sendto", LINKAGE_SOCKET},     {"recvmsg", LINKAGE_SOCKET},     {"sendmsg", LINKAGE_SOCKET},
    {"shutdown", LINKAGE_SOCKET},   {"getpeername", LINKAGE_SOCKET}, {"__recv_chk", LINKAGE_SOCKET},
    {"execv", LINKAGE_EXEC},        {"execve", LINKAGE_EXEC},        {"execvp", LINKAGE_EXEC},
    {"execvpe", LINKAGE_EXEC},      {"execl", LINKAGE_EXEC},         {"execlp", LINKAGE_EXEC},
    {"execle", LINKAGE_EXEC},       {"fexecve", LINKAGE_EXEC},       {"posix_spawn", LINKAGE_EXEC},
    {"posix_spawnp", LINKAGE_EXEC}, {"system", LINKAGE_EXEC},        {"popen", LINKAGE_EXEC},
    {"dlopen", LINKAGE_DLOPEN},     {"dlmopen", LINKAGE_DLOPEN},     {"syscall", LINKAGE_SYSCALL},
};

/* Calls that move a socket's bytes by ways of their own. */
static const char *const movers[] = {
    "aio_read",   "aio_write",       "aio_read64",  "aio_write64",   "lio_listio", "lio_listio64", "preadv2",
    "preadv64v2", "pwritev2",        "pwritev64v2", "recvmmsg",      "sendmmsg",   "splice",       "tee",
    "vmsplice",   "copy_file_range", "sendfile",    "sendfile64",    "readv",      "writev",       "recvmsg",
    "sendmsg",    "__read_chk",      "__recv_chk",  "__recvfrom_chk"};

/* glibc's own parts: what they do inside, no hook sees, and none of it is the program's traffic. */
static bool is_libc(const char *soname) {
    static const char *const parts[] = {"libc.so",      "ld-linux", "libpthread.so", "libdl.so",   "librt.so",
                                        "libresolv.so", "libm.so",  "libanl.so",     "libmtlswrap"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(soname, parts[i], strlen(parts[i])) == 0)
            return true;
    return false;
}

static void mark(struct linkage *out, enum linkage_kind kind, const char *file) {
    const char *slash = strrchr(file, '/');
    if (!out->by[kind][0])
        snprintf(out->by[kind], sizeof out->by[kind], "%s", slash ? slash + 1 : file);
}

static void sort_mover(struct linkage *out, const struct elfread *hooks, const char *name) {
    for (size_t i = 0; hooks->data && i < sizeof movers / sizeof *movers; i++)
        if (strcmp(movers[i], name) == 0 && !elfread_exports(hooks, name))
            mark(out, LINKAGE_UNHOOKED, name);
}

static void sort_imports(struct linkage *out, const struct elfread *e, const struct elfread *hooks,
                         const char *path) {
    for (size_t i = 0; i < e->sym_len; i++) {
        const char *name = elfread_import(e, i);
        if (!name)
            continue;
        if (strncmp(name, "io_uring_", 9) == 0)
            mark(out, LINKAGE_URING, path);
        sort_mover(out, hooks, name);
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (strcmp(words[w].name, name) == 0)
                mark(out, words[w].kind, path);
    }
    if (e->is_go)
        mark(out, LINKAGE_GO, path);
}

static bool known(const struct tree *t, const char *soname) {
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->node[i].name, soname) == 0)
            return true;
    return false;
}

static void add_needed(struct tree *t, struct linkage *out, const struct elfread *e, const char *path) {
    const char *soname;
    for (size_t n = 0; n < TREE_MAX && (soname = elfread_string(e, DT_NEEDED, n)); n++) {
        if (is_libc(soname) || known(t, soname) || t->count == TREE_MAX || strlen(soname) >= NAME_MAX_LEN)
            continue;
        if (!sonames_find(soname, e, path, t->node[t->count].path)) {
            mark(out, LINKAGE_MISSING, soname);
            continue;
        }
        memcpy(t->node[t->count].name, soname, strlen(soname) + 1);
        t->count++;
    }
}

static void walk(struct linkage *out, struct tree *t, const struct elfread *hooks) {
    for (size_t i = 0; i < t->count; i++) {
        struct filemap m;
        struct elfread e;
        if (!filemap_open(&m, t->node[i].path))
            continue;
        if (elfread_open(&e, m.data, m.size) == ELFREAD_OK) {
            sort_imports(out, &e, hooks, t->node[i].path);
            add_needed(t, out, &e, t->node[i].path);
        }
        filemap_close(&m);
    }
}

void linkage_collect(struct linkage *out, const char *path, const char *hooks) {
    *out = (struct linkage){0};
    struct tree *t = calloc(1, sizeof *t);
    struct filemap m = {0};
    struct elfread own = {0};
    if (!t)
        return;
    t->count = 1;
    if (!realpath(path, t->node[0].path)) /* $ORIGIN of a program is where its file really is */
        snprintf(t->node[0].path, sizeof t->node[0].path, "%s", path);
    if (hooks && (!filemap_open(&m, hooks) || elfread_open(&own, m.data, m.size) != ELFREAD_OK))
        own.data = NULL;
    walk(out, t, &own);
    filemap_close(&m);
    free(t);
}
