/* contract.h - one end of a TLS connection behind one table, so that a test has one body for every pair.
 *
 * Ends talk through rings of a few bytes and never see more of the other. Two kinds exist: ours
 * (the handshake's wall, then the record engine over plain keys) and the oracle (an SSL object for the
 * whole life of the connection).
 */
#ifndef MTLSWRAP_CONTRACT_H
#define MTLSWRAP_CONTRACT_H

#include "../unit/test_handshake_foreign.h"
#include "../unit/test_record.h"

enum { RING_MAX = 512 };

/* Bytes on the wire in one direction. */
struct ring {
    uint8_t bytes[RING_MAX];
    size_t room; /* 1 to RING_MAX */
    size_t at, n;
};

static inline size_t ring_put(struct ring *r, const uint8_t *from, size_t n) {
    size_t done = 0;
    for (; done < n && r->n < r->room; done++)
        r->bytes[(r->at + r->n++) % r->room] = from[done];
    return done;
}

static inline size_t ring_take(struct ring *r, uint8_t *to, size_t n) {
    size_t done = 0;
    for (; done < n && r->n > 0; done++, r->n--) {
        to[done] = r->bytes[r->at];
        r->at = (r->at + 1) % r->room;
    }
    return done;
}

enum { READ_NOTHING = 0, READ_END = -1 };

/* A failure of an end is a failed assertion inside of it. */
struct end_kind {
    const char *name;
    /* Moves bytes between the rings and the inside. True when anything moved. */
    bool (*move)(void *end, struct ring *in, struct ring *out);
    bool (*ready)(const void *end);
    /* Takes up to n bytes of plaintext, possibly none. */
    size_t (*write)(void *end, const uint8_t *from, size_t n);
    /* Bytes, READ_NOTHING, or READ_END after the peer's close_notify. */
    long (*read)(void *end, uint8_t *to, size_t n);
    void (*update)(void *end, bool ask); /* TLS 1.3 KeyUpdate */
    void (*close)(void *end);
    void (*free_)(void *end);
};

struct end {
    const struct end_kind *kind;
    void *self;
};

struct end ours_handshake(struct handshake_config cfg);
/* Without a handshake: both directions' keys are given. */
struct end ours_keyed(struct record_keys rx, struct record_keys tx);
struct end oracle_new(struct test_peer peer);

#endif
