/* real.h - libc's own definitions of the calls we interpose.
 *
 * Nobody outside real.c calls dlsym, and nobody but hooks calls an interposed symbol by its name: the rest of
 * the core goes through `real`. */
#ifndef MTLSWRAP_REAL_H
#define MTLSWRAP_REAL_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <wchar.h>

struct addrinfo;
struct aiocb;
struct gaicb;
struct hostent;
struct io_uring;
struct io_uring_params;
struct sigevent;

struct real_calls {
#define HOOK(name, result, parameters) result(*name) parameters;
#define TWIN(name)
#include "hooks.def"
#undef HOOK
#undef TWIN
};

/* Complete after real_init; before that, the calls that an allocator or a loader may make early are raw
 * system calls, and each of the others calls real_init first. Then NULL only for what no library defines.
 * Written once, hence no lock. */
extern struct real_calls real;

/* Resolves the whole table; allocates nothing. Safe to call again. */
void real_init(void);

/* Loads a shared object privately and returns the address of one of its symbols, or NULL with the
 * loader's reason in error (never NULL then). The object is never unloaded. */
void *real_load(const char *path, const char *symbol, const char **error);

/* Fills in one hooked call from a library that the program loaded later. */
void real_late(const char *library, const char *name);

/* The directory that holds libmtlswrap.so, without a trailing slash, or "." when unknown. */
const char *real_home(void);

#endif
