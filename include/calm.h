/* calm.h - stretches in which no signal's handler may run in this thread.
 *
 * A handler may leave the process, jump out of the call or use the connection itself. On TCP that is
 * harmless: nothing of libc's is in the midst of anything then. So while a call holds a lock that is not made
 * for it, or is inside OpenSSL or malloc, handlers wait; where it waits for the peer they do not. */
#ifndef MTLSWRAP_CALM_H
#define MTLSWRAP_CALM_H

/* Nest. errno stays as it was. */
void calm_begin(void);
void calm_end(void);

/* Around a wait for the peer inside of one: handlers run. calm_resume takes what calm_pause returned. A jump
 * out of the wait leaves nothing behind. */
unsigned calm_pause(void);
void calm_resume(unsigned depth);

#endif
