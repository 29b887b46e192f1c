/* names.h - what the program asked the resolver, so that policy can speak of hosts. */
#ifndef MTLSWRAP_NAMES_H
#define MTLSWRAP_NAMES_H

#include <sys/socket.h>

/* The name that most recently resolved to this address in this process, or NULL. Valid until the same thread
 * asks again. */
const char *names_last(const struct sockaddr *addr);
/* Remembers an answer of the resolver. */
void names_remember(const char *name, const struct sockaddr *addr);

/* Around fork, in the parent and in the child. */
void names_fork_prepare(void);
void names_fork_done(void);

#endif
