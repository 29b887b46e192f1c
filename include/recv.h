/* recv.h - plaintext out of a managed connection. Shapes and errors are those of recvmsg(2). */
#ifndef MTLSWRAP_RECV_H
#define MTLSWRAP_RECV_H

#include <sys/types.h>
#include <sys/uio.h>

#include "slot.h"

/* Returns bytes, 0 at end of file, -1 with errno, or CONN_PLAIN. flags: MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT,
 * MSG_TRUNC. */
ssize_t recv_stream(int fd, struct slot *s, const struct iovec *iov, int count, int flags);

/* Plaintext bytes that a read would give now (FIONREAD), or -1, or CONN_PLAIN. */
ssize_t recv_available(int fd, struct slot *s);

/* Takes what is no plaintext (handshake, tickets) out of the kernel's queue without blocking. True when a
 * read would now give data, end of file or an error. */
bool recv_true(int fd, struct slot *s);

/* Before close: takes unread control records away, so that the kernel sends FIN. True when plaintext is left:
 * then TCP resets. */
bool recv_unread(int fd, struct slot *s);

#endif
