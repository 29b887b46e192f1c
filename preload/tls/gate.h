/* gate.h - fork waits until no thread is inside of OpenSSL.
 *
 * A lock that another thread holds at the moment of a fork stays locked in the child for ever, and OpenSSL
 * has many that no atfork handler knows. So every call of this room passes the gate, and fork closes it. */
#ifndef MTLSWRAP_GATE_H
#define MTLSWRAP_GATE_H

void gate_enter(void);
void gate_leave(void);

#endif
