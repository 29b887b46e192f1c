/* shake.h - moves a handshake over the program's descriptor. */
#ifndef MTLSWRAP_SHAKE_H
#define MTLSWRAP_SHAKE_H

#include <stdbool.h>
#include <sys/types.h>

#include "conn.h"

enum shake_result {
    SHAKE_OPEN,   /* the state is no longer SLOT_SHAKING: look again */
    SHAKE_AGAIN,  /* nothing to be done now (errno EAGAIN), or a signal or timeout ended the wait (errno) */
    SHAKE_NOTHING /* the peer closed without a single byte: a clean end of file */
};

/* Whether the caller would block in the kernel on plain TCP, and for what. */
enum shake_wait { SHAKE_NOW, SHAKE_TO_READ, SHAKE_TO_WRITE };

/* Moves as far as possible; rx_lock is held by the caller (and held again on return). */
enum shake_result shake_advance(int fd, struct slot *s, enum shake_wait wait);

/* What needs no input, while a reader waits in the kernel and has rx_lock: PERMISSIVE's patience with a
 * silent peer ends, a connection is made again. Takes tx_lock. */
void shake_beside(int fd, struct slot *s);

/* The peer's FIN or a reset has come; after a shutdown(SHUT_RD) poll and recv cannot tell. */
bool shake_peer_ended(int fd);

/* Has the kernel connected this descriptor? */
bool shake_connected(int fd);
/* Waits for that if wait says so. False: errno is EAGAIN, or why the connection was refused (told with this).
 */
bool shake_reachable(int fd, struct slot *s, bool wait);

/* In a call of the program: loads the engine and the credentials, so that the driver has no file to open,
 * whose number the program may be about to get (I6). */
void shake_prepare(const struct slot *s, const struct conn *c);
/* Sends what is ready (a ClientHello) without reading; tx_lock is held. */
void shake_start(int fd, struct slot *s, struct conn *c);

/* Keeps up to total application bytes, found skip bytes into iov, until the peer is verified; tx_lock is
 * held. Returns bytes kept, 0 when the buffer is full. */
size_t shake_keep(struct conn *c, const struct iovec *iov, size_t skip, size_t total);

#endif
