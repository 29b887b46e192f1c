/* real.h - libc's own definitions of the calls we interpose.
 *
 * Nobody outside real.c calls dlsym, and nobody but hooks calls an interposed symbol by its name: the rest of
 * the core goes through `real`. */
#ifndef MTLSWRAP_REAL_H
#define MTLSWRAP_REAL_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <threads.h>
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

/* An entry begins as a stub that finds the call, puts it here and goes on to it. Until real_init the calls
 * that an allocator or a loader may make early are raw system calls. NULL: what liburing defines, until
 * real_late. An entry only ever changes into what does the same, hence no lock; but do not compare two reads
 * of one. */
extern struct real_calls real;

/* For the stubs: the definition of the entry with this number. */
void *real_resolve(size_t call);

/* Puts libc's own in the place of the raw system calls. */
void real_init(void);

/* Loads a shared object privately and returns the address of one of its symbols, or NULL with the
 * loader's reason in error (never NULL then). The object is never unloaded. */
void *real_load(const char *path, const char *symbol, const char **error);

/* Fills in one hooked call from the objects behind us or from a library that the program loaded later. */
void real_late(const char *library, const char *name);

/* The path of libmtlswrap.so, absolute from the first call on, which must come before the program can change
 * its directory. */
const char *real_object(void);

#endif
