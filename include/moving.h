/* moving.h - connections that go on in another program image or another process.
 *
 * Within one family (same credentials as the maker of the arena) nothing moves: the next image maps the same
 * arena and shares the slots as a forked child does. Across a change of credentials the state itself moves:
 * it travels in a sealed memory file and the old holders' slot becomes SLOT_MOVED. What cannot be taken up is
 * sealed: input and output fail with EIO, never in plaintext (I2). */
#ifndef MTLSWRAP_MOVING_H
#define MTLSWRAP_MOVING_H

#include <stdbool.h>

#include "conn.h"

enum { MOVING_HEIRS = 128, MOVING_VARIABLE = 64 };

/* The managed descriptors that a new image will have. */
struct moving_heirs {
    unsigned count;
    bool overflow; /* there are more: the new image seals every connection that is not listed */
    struct moving_heir {
        int fd; /* its number in the new image */
        struct slot *slot;
    } list[MOVING_HEIRS];
};

/* Who is about to start the new image. */
enum moving_way {
    MOVING_EXEC,  /* this process itself, with the references that it has */
    MOVING_CHILD, /* a child that shares its parent's memory: only the arena may change */
    MOVING_SPAWN, /* a child that does not exist yet */
    MOVING_POPEN, /* one whose number nobody will tell: it signs in by itself */
};

/* What goes along: descriptors that the new image inherits, and the variable that names them. */
struct moving_bundle {
    enum moving_way way;
    int state, arena;
    char variable[MOVING_VARIABLE]; /* "MTLSWRAP_STATE_FD=..."; empty: nothing goes along */
};

void moving_add(struct moving_heirs *h, int fd, struct slot *s);
/* Managed descriptors of this process without close-on-exec. */
void moving_inherited(struct moving_heirs *h);
/* The same in a child that shares memory with its parent, whose table does not know the child's numbers. */
void moving_inherited_child(struct moving_heirs *h);

/* Makes the bundle and counts the new image's references. Takes locks only for what must really move. */
void moving_pack(struct moving_bundle *b, const struct moving_heirs *h, enum moving_way way);
/* The new image runs (pid 0: it is this process's own and never returns here), or could not be started. */
void moving_done(struct moving_bundle *b, const struct moving_heirs *h, pid_t pid);
void moving_undo(struct moving_bundle *b, const struct moving_heirs *h);

/* Before exec in a process that owns its memory: bytes that only it can deliver are flushed for at most the
 * table's linger, handshakes of inherited connections are finished. Nothing that an exec that fails would
 * regret. */
void moving_finish(void);
/* The farewells of what is close-on-exec, and taking them back as far as that is possible. */
void moving_leave(void);
void moving_stay(void);

/* In the new image, before main. */
void moving_adopt(void);

/* fd stands for s from now on; the reference is the caller's to give. */
void moving_take_up(int fd, struct slot *s);
/* fd is a connection whose state did not come along: every use of it fails. expected: that is no news. */
void moving_seal(int fd, bool expected);

#endif
