/* recv_parts.h - what the rooms of receiving share: a call's view of the queue, and of the program's buffers.
 */
#ifndef MTLSWRAP_RECV_PARTS_H
#define MTLSWRAP_RECV_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core.h"
#include "slot.h"

/* The program's buffers as a stream to fill. */
struct sink {
    const struct iovec *iov;
    size_t skip; /* into iov[0] */
    size_t room; /* bytes left to fill */
    size_t done;
    bool discard; /* MSG_TRUNC: count, do not copy */
};

/* One call's view of the queue: have bytes at buf, of which the first is a record's header. */
struct fill {
    uint8_t *buf;
    size_t have;
    bool drained; /* the kernel gave less than was asked for */
    bool dirty;   /* differs from the slot's carry */
    bool gone;    /* the program closed the descriptor meanwhile: its number may mean something else */
};

/* A KeyUpdate's length. Alerts are shorter; tickets come before data. */
enum { RECV_CONTROL_MAX = 5 };

static inline const struct record_engine *recv_engine(void) {
    return core_loaded->record;
}

/* recv_fill.c. All below: rx_lock is held. */
void recv_fill_put(struct sink *k, const uint8_t *p, size_t n);
/* Where n bytes can be written without a copy, or NULL. */
uint8_t *recv_fill_direct(const struct sink *k, size_t n);
/* At the beginning of a call: what was left of the last one. */
void recv_fill_load(struct slot *s, struct fill *f);
/* At its end: an incomplete record stays in the carry, and the kernel waits for the rest. */
void recv_fill_settle(int fd, struct slot *s, struct fill *f);
/* At most n bytes more. Returns as recv; f->gone tells of a close meanwhile. */
ssize_t recv_fill_take(int fd, struct slot *s, struct fill *f, size_t n, int flags);
/* Peeks at the last byte of the record that f has all the rest of. 1 (it is there), or as recv. */
ssize_t recv_fill_peek(int fd, struct slot *s, struct fill *f, int flags);
/* recv_fill_take returned n, 0 or less. Returns what the call has to return when nothing was delivered. */
ssize_t recv_fill_end(int fd, struct slot *s, ssize_t n, bool partial);

/* recv.c: would a read that does not wait have something to say, plaintext, an end or an error? */
bool recv_glance(int fd, struct slot *s);

/* recv_records.c: the connection is dead afterwards. alert: what the peer is told, -1: nothing. */
void recv_records_fail(int fd, struct slot *s, int error, int alert, const char *why);
void recv_records_bad_header(int fd, struct slot *s, const uint8_t *header);
/* Opens the whole record at rec. Data goes straight to the sink when it fits there, or else to *plain inside
 * the record's own space. Returns the data length, or -1 when the connection is dead or the record was no
 * data (then 0). */
long recv_records_open(int fd, struct slot *s, const struct record_engine *e, uint8_t *rec, size_t wire,
                       struct sink *k, uint8_t **plain);
/* If that was close_notify, the kernel reports end of file from now on, even before the peer's FIN. All of
 * the record must have left the kernel: a byte of it would look like more to come. */
void recv_records_end(int fd, struct slot *s);

/* recv_held.c. Takes all but the last byte of the record at the front and holds its plaintext. Returns 1 when
 * progress was made, else as recv. */
ssize_t recv_held_take(int fd, struct slot *s, struct fill *f, int flags);
/* The same for the first record, whatever is there of it, by a call without a fill of its own. 1, or as recv.
 */
ssize_t recv_held_first(int fd, struct slot *s, int flags);
void recv_held_deliver(int fd, struct slot *s, struct sink *k);
/* MSG_PEEK on an open connection. */
ssize_t recv_held_peek(int fd, struct slot *s, struct sink *k, int flags);

#endif
