/* fdtable.h - which descriptors of this process stand for which slot.
 *
 * Private to the process and copied on fork as descriptors are. The lookup takes no lock and is safe in a
 * signal handler (I5, I6); an entry is one atomic word: generation in the high half, slot index + 1 in
 * the low half, 0 for unmanaged. */
#ifndef MTLSWRAP_FDTABLE_H
#define MTLSWRAP_FDTABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "slot.h"

/* Both written once by fdtable_ready: a reader that still sees size 0 finds nothing, which is true then. */
extern _Atomic uint64_t *fdtable;
extern _Atomic unsigned fdtable_size;

/* The entry, 0 when unmanaged. This is the whole cost of a hook on a foreign descriptor. */
static inline uint64_t fdtable_entry(int fd) {
    if ((unsigned)fd >= atomic_load_explicit(&fdtable_size, memory_order_acquire))
        return 0;
    return atomic_load_explicit(&fdtable[fd], memory_order_acquire);
}

bool fdtable_ready(void);

/* The slot behind a managed descriptor, or NULL; drops an entry that went stale or turned plaintext. */
struct slot *fdtable_slot(int fd);

/* Makes fd stand for s (the reference is the caller's to give). */
void fdtable_set(int fd, struct slot *s);
/* The same where nothing is there; false: something was. */
bool fdtable_claim(int fd, struct slot *s);
/* Takes the entry out. Returns the slot whose reference the caller now has, or NULL. Exactly one of several
 * concurrent callers gets it. */
struct slot *fdtable_take(int fd);

/* The same, but fd stays managed: every use of it fails until fdtable_unseal. Between the farewell and the
 * kernel's close other threads would write in the clear. False: unmanaged, or another thread is at it. */
bool fdtable_seal(int fd, struct slot **s);
bool fdtable_sealed(int fd);
/* fd is closed, or something else by now. Does nothing when it is not sealed. */
void fdtable_unseal(int fd);
/* Puts a descriptor in the place of fd that can be neither read nor written, where there is one. */
void fdtable_stop(int fd);

/* The next managed descriptor >= from, or -1. */
int fdtable_next(int from);

/* Descriptors of our own, kept out of the program's range. fdtable_own_move moves fd up there (close-on-exec)
 * and returns the new number or -1; fdtable_is_own says that a number is ours. */
int fdtable_own_move(int fd);
/* A copy of fd (close-on-exec) up there that is not known as ours: the program may close it. -1: no number is
 * free. */
int fdtable_high(int fd);
/* fd itself becomes ours: at the end of the process, when no other number is to be had. */
void fdtable_own_claim(int fd);
bool fdtable_is_own(int fd);
void fdtable_own_close(int fd);
/* The next one >= from, or -1. */
int fdtable_next_own(int from);

/* Moves fd up (the old number is closed) and keeps it in forked children too: the arena's file. -1: lost. */
int fdtable_own_keep(int fd);
int fdtable_own_kept(void);
/* Makes the descriptor that fdtable_stop needs, with the number of one that nobody has yet. */
void fdtable_own_stopper(void);
/* fd itself becomes ours and is kept in forked children too: the log's file. */
void fdtable_own_log(int fd);

/* In a child that shares the parent's memory (vfork, posix_spawn) nothing may be changed. */
bool fdtable_mine(void);
/* After a fork: this process owns its copy now. */
void fdtable_forked(void);

/* Around fork, in the parent and in the child. */
void fdtable_fork_prepare(void);
void fdtable_fork_done(void);

#endif
