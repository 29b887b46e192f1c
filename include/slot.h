/* slot.h - one slot per managed connection: plain data in memory that related processes share.
 *
 * The arena is mapped MAP_SHARED before the first slot is used, so a parent and its forked children see one
 * truth (I3). Slots are never unmapped: a stale reader locks valid memory, sees another generation and steps
 * aside. A slot holds no pointer; what belongs to one process alone lives in struct conn.
 *
 * Locking: rx_lock before tx_lock. rx_lock guards what is marked rx, tx_lock what is marked tx; what is
 * marked init is written before the slot is published and constant until it is free again. */
#ifndef MTLSWRAP_SLOT_H
#define MTLSWRAP_SLOT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "record.h"

enum slot_state {
    SLOT_FREE,
    SLOT_SHAKING, /* handshake not done; application bytes are kept */
    SLOT_OPEN,    /* keys are in place */
    SLOT_PLAIN,   /* PERMISSIVE decided for plaintext: treat as unmanaged */
    SLOT_DEAD,    /* failed: error says with which errno */
    SLOT_MOVED,   /* another process image or an unrelated process has it now */
    SLOT_EMBRYO,  /* a socket that a fork shared before anybody connected it */
};

enum {
    SLOT_HOLDERS = 6,
    SLOT_RX_REGION = 20480,        /* one record's carry or held plaintext */
    SLOT_TX_REGION = 65536 + 8192, /* one sealed batch */
    SLOT_BATCH = 65536,            /* plaintext sealed for one send */
    SLOT_RULE_MAX = 96,
    SLOT_PEER_MAX = 160,
    SLOT_NO_REGION = 0,
};

/* An address in 28 bytes: sockaddr_storage would cost 128. */
union slot_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* What each read and write looks at lies together: a server with many connections waits for memory, not for
 * instructions. Behind every key lies its secret, which only a KeyUpdate wants, and then 16 bytes of use. */
struct slot {
    /* made once, before the first use of the slot */
    pthread_mutex_t rx_lock, tx_lock;
    _Atomic uint32_t generation; /* changes whenever the slot is freed */

    /* all that follows begins anew with each connection */
    _Atomic uint8_t state;    /* enum slot_state; written with both locks, read with either or none */
    _Atomic bool rx_waits;    /* the holder of rx_lock is blocked in the kernel */
    _Atomic bool tx_waits;    /* the holder of tx_lock is blocked in the kernel */
    _Atomic bool orphan;      /* closed under a call, which frees it at its end (slot_reap) */
    _Atomic bool nonblocking; /* O_NONBLOCK of the open file, as last seen */
    bool server;              /* init */
    _Atomic bool rx_eof;      /* rx: close_notify came, or a fatal error was reported */
    _Atomic bool rx_shut;     /* rx: the program shut reading down: FIN is no truncation then */
    _Atomic bool saw_input;   /* rx: an application record has come */
    _Atomic bool torn;        /* rx: records have come in parts, or may at any time */
    _Atomic bool loose;       /* rx: no byte of the held record is in the kernel to report it readable */
    _Atomic bool tail_rides;  /* tx: the tail is a ticket that waits for the first application bytes */
    _Atomic bool tx_closed;   /* tx: close_notify was sealed */
    _Atomic bool half_closed; /* tx: the program shut writing down; FIN follows what is kept */
    _Atomic bool early_left;  /* tx: the shaker still keeps early bytes: nobody else may seal yet */
    _Atomic bool tx_amid;     /* tx: sealed bytes are on their way: an owner that dies now leaves a gap */
    _Atomic bool update_due;  /* tx: the peer asked for a KeyUpdate */
    _Atomic int lost_error;   /* the kernel told it to a send of our own; the program has yet to hear of it */
    _Atomic uint32_t tail;    /* tx: sealed bytes that the kernel has not taken */
    uint32_t tx_going;        /* tx: bytes of the send that tx_amid speaks of; 0: not yet sealed */
    _Atomic uint32_t carry;   /* rx: bytes of an incomplete record at the region's start */
    _Atomic uint32_t held;    /* rx: undelivered plaintext in the region; one byte pins it in the kernel */

    /* rx */
    _Alignas(64) struct record_keys rx;
    uint32_t lowat;              /* SO_RCVLOWAT as the kernel has it now; 0: untouched, that is user_lowat */
    _Atomic uint32_t user_lowat; /* the program's own value, 1 unless it set one */
    uint64_t bytes_in;

    /* tx */
    _Alignas(64) struct record_keys tx;
    uint64_t wire_out; /* bytes that the kernel was handed since the keys came into force, by our count */
    uint64_t bytes_out;

    /* seldom: init */
    uint64_t cookie; /* SO_COOKIE: whatever number it has, this is the kernel's socket */
    bool permissive;
    uint16_t id_low; /* keeps log lines of one connection together */
    union slot_address local, peer;
    char rule[SLOT_RULE_MAX]; /* "file:line [Section]" */

    /* seldom: rx */
    uint32_t held_at;
    _Atomic uint32_t user_rcvbuf; /* what the program asked for; 0: nothing */

    /* seldom: tx */
    uint64_t wire_base; /* bytes that the kernel had been handed when the keys came into force */
    uint32_t tail_at;
    _Atomic uint32_t out_news; /* writes that found no room, and shutdowns */
    _Atomic bool abort;        /* SO_LINGER with 0 seconds: close resets */

    /* seldom: both */
    _Atomic bool reset_told;       /* a write or SO_ERROR has reported why the kernel's stream is gone */
    _Atomic bool error_told;       /* SO_ERROR or a call has reported error */
    _Atomic int error;             /* errno for SLOT_DEAD */
    char peer_name[SLOT_PEER_MAX]; /* its identity once open; empty: none, or too long */

    /* its place in the arena, and the processes that stand for it: all before describes the connection and
     * goes along when it moves elsewhere */
    _Atomic uint32_t refs;                  /* descriptors that stand for it, in all processes */
    _Atomic uint32_t progress;              /* futex word: bumped when state changes */
    uint32_t rx_region;                     /* rx; SLOT_NO_REGION: none */
    uint32_t tx_region;                     /* tx */
    uint32_t next;                          /* free list */
    _Atomic pid_t shaker;                   /* the process that owns the handshake; 0: nobody yet */
    _Atomic uint8_t forking;                /* forks whose child has not signed in yet */
    _Atomic bool holders_lost;              /* more processes than places */
    _Atomic uint64_t holders[SLOT_HOLDERS]; /* processes that hold it: generation << 32 | process; 0: free */
};

/* Maps the arena (once per process family). False when memory cannot be reserved. */
bool slot_arena_ready(void);

/* The one slot that is no connection: it stands behind numbers whose connection is ending, so that whatever
 * another thread does to them in the meantime fails (I2). */
struct slot *slot_sealed(void);

/* Bytes of address space that it has, or will have. */
size_t slot_arena_size(void);

/* The arena's file, for the one who keeps it out of the program's way; -1 when there is none or it was handed
 * out before. */
int slot_arena_file(void);
/* Maps the arena that the former program image or a relative made, instead of a new one. False when there is
 * one already, or fd is none of this version. */
bool slot_arena_adopt(int fd);
/* fd is the file of some arena. */
bool slot_file_is_arena(int fd);
/* fd is the file of the arena in use. */
bool slot_arena_is(int fd);
/* This process has the credentials of the one that made the arena: its keys are no secret here. */
bool slot_arena_own_family(void);

/* One slot of another family's arena, to take a connection over from. */
struct slot_view {
    uint8_t *base, *rx_regions, *tx_regions;
    size_t size;
    struct slot *slot;
};
bool slot_view_begin(struct slot_view *v, int fd, uint32_t index);
void slot_view_end(struct slot_view *v);

/* A fresh slot with refs 1, held by this process, both locks initialised, state SLOT_SHAKING. NULL when
 * there is none left even after slots of dead processes were taken back. */
struct slot *slot_new(void);
uint32_t slot_index(const struct slot *s);
struct slot *slot_at(uint32_t index);
uint32_t slot_capacity(void);

/* One more or one less descriptor. slot_unref returns what is left; at 0 the caller does the farewell and
 * calls slot_free. */
void slot_ref(struct slot *s);
/* The same for one that may just be given up: false when it has been. */
bool slot_ref_used(struct slot *s);
uint32_t slot_unref(struct slot *s);
/* One less if it is not the last one; false: it is, and stays. */
bool slot_unref_shared(struct slot *s);
/* True when no living process but this one can hold the slot, whatever refs says (kill -9 leaves refs
 * behind). */
bool slot_others_dead(const struct slot *s);
/* Somebody else holds it, and lives. */
bool slot_others_use(const struct slot *s);
void slot_hold(struct slot *s);
void slot_hold_for(struct slot *s, pid_t pid);
/* This process no longer does (it is about to become another program, or has given its references back: the
 * slot may be another connection's by now, with this process among its holders; hence the generation). */
void slot_unhold(struct slot *s, uint32_t generation);
/* Only for a slot that nobody can know of yet. */
void slot_free(struct slot *s);
/* Nobody stands for it any more. Frees it as soon as no call is inside: now, or at the end of the last one,
 * which calls slot_reap after it has given its lock back. */
void slot_retire(struct slot *s);
static inline bool slot_orphaned(const struct slot *s) {
    return atomic_load_explicit(&s->orphan, memory_order_acquire);
}
void slot_reap(struct slot *s);

/* Locks survive the death and the cancellation of their owner. False: this very thread holds it already
 * (a signal handler, or a jump out of a call). */
bool slot_lock(pthread_mutex_t *lock);
void slot_unlock(pthread_mutex_t *lock);
bool slot_trylock(pthread_mutex_t *lock);
/* For calls that must not wait for the peer (I4): false when the holder is blocked in the kernel, as *waits
 * says. Waits for a holder that is only at work. */
bool slot_lock_soon(pthread_mutex_t *lock, _Atomic bool *waits);
/* rx_lock, also from this very thread when a signal's handler, a jump or a cancellation took it out of a
 * blocking receive: there everything is in its place (and rx_waits, cleared, tells the receive). */
bool slot_lock_rx(struct slot *s, bool patient);

/* Buffers, taken when first needed and given back when drained. NULL never: there are as many as slots. */
uint8_t *slot_rx_buffer(struct slot *s);
uint8_t *slot_tx_buffer(struct slot *s);
void slot_rx_release(struct slot *s);
void slot_tx_release(struct slot *s);

/* Some process of the family holds, or held, plaintext that the kernel does not report. */
void slot_loose_begin(void);
bool slot_loose_any(void);

/* Publishes a state and wakes whoever waits in slot_wait. */
void slot_set_state(struct slot *s, enum slot_state state);
/* Waits at most ms for the progress word to leave `seen`. */
void slot_wait(struct slot *s, uint32_t seen, int ms);

/* What is known of a connection before it has a slot, in little enough memory for a small stack. */
struct slot_ends {
    union slot_address local, peer;
    bool server;
    char rule[SLOT_RULE_MAX];
};
/* A connecting side's own address is still to come: s keeps what it has. */
void slot_set_ends(struct slot *s, const struct slot_ends *ends);

/* "127.0.0.1:41234 -> 127.0.0.1:80", the connecting side first. */
enum { SLOT_NAME_MAX = 128 };
const char *slot_name(const struct slot *s, char *out);
const char *slot_ends_name(const struct slot_ends *ends, char *out);
/* ` with "spiffe://..."` once the peer has proved who it is, else nothing. */
enum { SLOT_WHOM_MAX = SLOT_PEER_MAX + 16 };
const char *slot_whom(const struct slot *s, char *out);

/* Around fork, in the parent and in the child. */
void slot_fork_prepare(void);
void slot_fork_done(void);

#endif
