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

/* Moves as far as possible; rx_lock is held by the caller (and held again on return). wait: the caller would
 * block in the kernel on plain TCP, so wait for the peer like that. */
enum shake_result shake_advance(int fd, struct slot *s, bool wait);

/* Has the kernel connected this descriptor? */
bool shake_connected(int fd);
/* Waits for that if wait says so. False: errno is EAGAIN, or why the connection was refused (told with this).
 */
bool shake_reachable(int fd, struct slot *s, bool wait);

/* Sends what is ready (a ClientHello) without reading; tx_lock is held. */
void shake_start(int fd, struct slot *s, struct conn *c);

/* Keeps up to total application bytes, found skip bytes into iov, until the peer is verified; tx_lock is
 * held. Returns bytes kept, 0 when the buffer is full. */
size_t shake_keep(struct conn *c, const struct iovec *iov, size_t skip, size_t total);

#endif
