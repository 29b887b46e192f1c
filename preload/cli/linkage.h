/* imports.h - what a program and all libraries it is linked with ask of libc. */
#ifndef MTLSWRAP_IMPORTS_H
#define MTLSWRAP_IMPORTS_H

#include <stdbool.h>

enum imports_kind {
    IMPORTS_SOCKET,  /* socket calls: something to wrap */
    IMPORTS_EXEC,    /* starts other programs */
    IMPORTS_DLOPEN,  /* loads plugins, which may do anything */
    IMPORTS_SYSCALL, /* syscall(2) */
    IMPORTS_URING,   /* liburing */
    IMPORTS_GO,      /* Go code, which makes system calls by itself */
    IMPORTS_MISSING, /* a library that was not found */
    IMPORTS_KINDS,
};

/* by[kind] is the file name of the first object of that kind ("" for none), for IMPORTS_MISSING the
 * library's. */
struct imports {
    char by[IMPORTS_KINDS][128];
};

void imports_collect(struct imports *out, const char *path);

#endif
