/* send.h - plaintext into a managed connection. Shapes and errors are those of sendmsg(2). */
#ifndef MTLSWRAP_SEND_H
#define MTLSWRAP_SEND_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "conn.h"

/* Returns bytes, -1 with errno, or CONN_PLAIN. flags: MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE. */
ssize_t send_stream(int fd, struct slot *s, const struct iovec *iov, int count, int flags);

/* All with tx_lock held. */

/* The keys have come into force: counts what the kernel is handed from here on. */
void send_begin(int fd, struct slot *s);
/* Seals kept early bytes and sends what waits. True when nothing is left. */
bool send_flush(int fd, struct slot *s, int flags);
/* The same without waiting, and the end of the stream behind it when the program has shut writing down. */
bool send_all(int fd, struct slot *s);
/* One control record (alert, key update); what the kernel does not take becomes the tail. */
void send_control(int fd, struct slot *s, uint8_t type, const uint8_t *body, size_t n);
/* The client closed before its first byte, so no keys can ever be agreed on. TCP takes one write and learns
 * by it that nobody is there: an alert in its place lets the kernel find out. False: it has, errno says. */
bool send_to_nobody(int fd, int flags);
/* close_notify, once. */
void send_goodbye(int fd, struct slot *s);
/* A fatal alert, best effort. */
void send_alert(int fd, struct slot *s, uint8_t description);

#endif
