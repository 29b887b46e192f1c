/* shake_object.h - between shake.c and shake_object.c alone. tx_lock is held in both. */
#ifndef MTLSWRAP_SHAKE_OBJECT_H
#define MTLSWRAP_SHAKE_OBJECT_H

#include "conn.h"

/* Makes c->shake. False: the connection has failed. */
bool shake_object_make(int fd, struct slot *s, struct conn *c);
/* Draws the conclusions from a step: sends what the object has to say; when it is done (rx_lock is held, too)
 * the keys are in the slot and the object is gone; when it failed, so is the connection, or it falls back. */
void shake_object_settle(int fd, struct slot *s, struct conn *c, enum handshake_status status);

#endif
