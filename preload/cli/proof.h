/* proof.h - proof that the program that `run` becomes has really loaded libmtlswrap.so.
 *
 * ld.so fails open: it warns and goes on without an object that it cannot load. So a watcher, not a child of
 * the program, waits for the object's constructor to write one byte to the descriptor that MTLSWRAP_PROOF
 * names (the constructor then closes it and unsets the variable, before it reads anything else). When the
 * program gets as far as loading its other libraries, or ends, without that byte, the watcher says so and,
 * unless told otherwise, kills it: no application byte may leave in the clear (I2).
 */
#ifndef MTLSWRAP_PROOF_H
#define MTLSWRAP_PROOF_H

#include <stdbool.h>

/* No watcher is started by process 1 and by a subreaper, because it would stay there as a zombie; loader.h
 * has answered before. Sets MTLSWRAP_PROOF and starts the watcher over the calling process, which is about to
 * exec. library is the object's path. False with errno when that is not possible. */
bool proof_start(const char *program, const char *library, bool kill_it);
/* exec failed: the watcher ends in silence. */
void proof_cancel(void);

#endif
