/* moving_ticket.h - a connection on its way to another process over an AF_UNIX socket.
 *
 * In the message a ticket (a small sealed memory file) takes the place of the connection's descriptor; the
 * descriptor itself follows behind the program's own, and the arena's file at the very end. So a process that
 * knows nothing of tickets holds nothing that it could write plaintext to (I2). */
#ifndef MTLSWRAP_MOVING_TICKET_H
#define MTLSWRAP_MOVING_TICKET_H

#include <stdbool.h>

#include "slot.h"

/* Everything that only this process can do for s is done: its handshake, its early bytes. Waits at most as
 * long as a handshake may take. False: it cannot be passed on. */
bool moving_ticket_ready(int fd, struct slot *s);

/* A ticket for s, or -1. family: the receiver may share the arena, and the reference that travels with the
 * ticket is counted; else the state moves. */
int moving_ticket_issue(struct slot *s, bool family);
/* It was not sent. */
void moving_ticket_undo(struct slot *s, bool family);
/* A descriptor of the arena's file for the message, or -1; to be closed after use. */
int moving_ticket_arena(void);

bool moving_ticket_is(int fd);
/* Takes up the connection on sock, which gets the ticket's number in place of it. arena: the file that came
 * along or -1. peeked: the message stays in the queue. The state stays away: sealed. */
void moving_ticket_redeem(int ticket, int sock, int arena, bool cloexec, bool peeked);

#endif
