/* embryo.h - TCP sockets that are no connection yet when a fork shares them: whichever process connects one,
 * in all of them it stands for the connection (I2). */
#ifndef MTLSWRAP_EMBRYO_H
#define MTLSWRAP_EMBRYO_H

#include <stdbool.h>

#include "slot.h"

/* A socket was made. Costs no system call. */
void embryo_note(int fd, int domain, int type);
/* Before a fork: gives each that is neither connected nor listening a slot, in memory that the child shares.
 */
void embryo_share(void);
/* Its slot, or NULL when fd is none. */
struct slot *embryo_of(int fd);
/* It will never be a connection to be protected: all processes forget it. */
void embryo_forget(int fd);
/* What any transfer on it answers; no byte is moved, also if another process connects it this very moment. */
int embryo_refuse(int fd, bool write, int flags);

#endif
