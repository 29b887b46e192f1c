/* linkage.h - what a program and all libraries it is linked with ask of libc. */
#ifndef MTLSWRAP_LINKAGE_H
#define MTLSWRAP_LINKAGE_H

#include <stdbool.h>

enum linkage_kind {
    LINKAGE_SOCKET,   /* socket calls: something to wrap */
    LINKAGE_EXEC,     /* starts other programs */
    LINKAGE_DLOPEN,   /* loads plugins, which may do anything */
    LINKAGE_SYSCALL,  /* syscall(2) */
    LINKAGE_URING,    /* liburing */
    LINKAGE_GO,       /* Go code, which makes system calls by itself */
    LINKAGE_UNHOOKED, /* a call that moves bytes, and that our object does not hook */
    LINKAGE_MISSING,  /* a library that was not found */
    LINKAGE_KINDS,
};

/* by[kind] is the file name of the first object of that kind ("" for none), for LINKAGE_MISSING the
 * library's, for LINKAGE_UNHOOKED that of the call. */
struct linkage {
    char by[LINKAGE_KINDS][128];
};

/* hooks is the file of our object; NULL: not known, then nothing counts as unhooked. */
void linkage_collect(struct linkage *out, const char *path, const char *hooks);

#endif
