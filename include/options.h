/* options.h - socket options whose meaning shifts under TLS: the kernel counts ciphertext, the program
 * plaintext. */
#ifndef MTLSWRAP_OPTIONS_H
#define MTLSWRAP_OPTIONS_H

#include <sys/socket.h>

#include "slot.h"

/* Lets the kernel report readable only when `missing` bytes have come; 1: the program's own value again.
 * rx_lock is held. */
void options_lowat(int fd, struct slot *s, uint32_t missing);

/* Makes the kernel tell of room, also to those who wait for edges, who know nothing of what had filled up:
 * the bytes that were kept during a handshake. */
void options_tell_room(int fd);

/* Exactly `want`, whatever the program asked for: for our own blocking receive. */
void options_lowat_exactly(int fd, struct slot *s, uint32_t want);
/* The program's own SO_RCVLOWAT, before the first change of ours. */
void options_learn(int fd, struct slot *s);

/* Whether a record of full length fits into one segment, once connected. */
void options_learn_segments(int fd, struct slot *s);

/* getsockopt and setsockopt of a managed descriptor; results as there. */
int options_get(int fd, struct slot *s, int level, int name, void *value, socklen_t *len);
int options_set(int fd, struct slot *s, int level, int name, const void *value, socklen_t len);
/* Says that TLS has no such thing (I7). Returns -1 with errno. */
int options_refuse(const struct slot *s, const char *what, int error);

#endif
