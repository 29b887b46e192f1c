/* send_sealed.h - between send.c and send_sealed.c alone. tx_lock is held in all of it. */
#ifndef MTLSWRAP_SEND_SEALED_H
#define MTLSWRAP_SEND_SEALED_H

#include "send.h"

/* Bytes of the caller that are yet to be sealed. */
struct source {
    const struct iovec *iov;
    int count;
    size_t skip, left;
};

void send_sealed_advance(struct source *src, size_t n);
/* Seals and sends one batch. Returns the plaintext bytes that were taken over, or -1. *full: the kernel took
 * less than everything. */
ssize_t send_sealed_batch(int fd, struct slot *s, struct source *src, int flags, bool *full);

/* Sealed bytes are on their way (slot.tx_amid). */
void send_sealed_amid(struct slot *s, bool now);
/* The mark was found under the lock: its owner ended in the midst of a send. Did the kernel get all of it, so
 * that the stream is whole? */
bool send_sealed_went_out(int fd, struct slot *s);

#endif
