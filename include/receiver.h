/* receiver.h - may a connection be handed to the process at the other end of an AF_UNIX socket? */
#ifndef MTLSWRAP_RECEIVER_H
#define MTLSWRAP_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>

/* What the kernel tells of the other end. */
struct receiver {
    bool protects; /* it runs under us too */
    bool family;   /* it has our user */
    char name[64]; /* for the log, if it does not protect */
};

struct receiver receiver_of(int fd);

/* To be called before /proc may be out of reach: looks at the parent, which can be recognised later. */
void receiver_settle(void);

#endif
