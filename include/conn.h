/* conn.h - what one process keeps of a connection beside the shared slot, and how connections come under
 * management.
 *
 * A struct conn is made when connect or accept brings a connection under policy and lives until this
 * process's last descriptor for it is gone. Its handshake and early bytes are guarded by the slot's
 * tx_lock, its place in the driver's list by the driver's lock. What is atomic is looked at without them. */
#ifndef MTLSWRAP_CONN_H
#define MTLSWRAP_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "handshake.h"
#include "policy.h"
#include "slot.h"

enum {
    CONN_EARLY_MAX = 256 * 1024, /* application bytes kept until the peer is verified */
    CONN_EPOLLS = 4,
    CONN_RX_BATCH = 65536 + 256, /* wire bytes taken at once */
    CONN_SCRATCH_RX = CONN_RX_BATCH + SLOT_RX_REGION,
    CONN_TICKET_RECORD = 2048, /* a larger record is taken for no ticket */
    CONN_PAGES = 1024,
};

struct conn {
    _Atomic uint32_t pins;       /* calls inside, and whether it was dropped */
    _Atomic uint32_t generation; /* the slot's; 0: not in use */
    struct slot *slot;
    struct conn *spare; /* next one to be used again */
    _Atomic int fd;     /* the descriptor that the driver may use */
    _Atomic int fds;    /* descriptors of this process that stand for the slot */

    /* epoll sets that the program registered fd with; some programs do so for every request */
    int epoll_count;
    int epolls[CONN_EPOLLS];
    struct epoll_event epoll_events[CONN_EPOLLS];

    /* tx */
    struct handshake *_Atomic shake; /* NULL: not started, or done */
    struct handshake *post;          /* client: kept for tickets; under rx_lock */
    uint8_t *early;
    _Atomic size_t early_len;
    size_t early_at, early_room;
    bool heard;                /* the handshake of the peer has begun to arrive */
    _Atomic bool sniffed;      /* PERMISSIVE, accepting: the first bytes were a ClientHello */
    _Atomic bool going_plain;  /* PERMISSIVE: decided for plaintext, early bytes still to be sent */
    _Atomic bool reconnecting; /* PERMISSIVE, connecting: the plaintext connection is being made */
    const char *fallback_why;  /* the same: what was wrong with TLS */
    int fallback_error;        /* the same: the error that was met, 0: none */
    _Atomic bool no_own_tls;   /* connecting, tlsInTls = skip: the program speaks no TLS of its own here */
    _Atomic uint64_t up_ms;    /* the same: first seen connected */

    /* init */
    struct policy_outbound outbound;
    struct policy_inbound inbound;
    const struct policy_mesh *mesh;
    struct policy_self self;
    _Atomic uint64_t born_ms;

    /* driver */
    struct conn *prev, *next;
    bool listed, busy;
    bool again;           /* somebody asked for attention while it was busy */
    _Atomic bool closing; /* the program closed it; fd is a descriptor of our own */
    bool lent;            /* not so: it is the program's, whose close waits until all is delivered */
    bool said_goodbye;
    bool in_set; /* fd is in the driver's set */
    uint32_t
        armed; /* what the set will tell of: EPOLLIN or EPOLLOUT; 0: nothing, it is looked at at due_ms */
    uint64_t due_ms;
    _Atomic uint64_t deadline_ms;
};

/* Per-thread working memory: one receive batch, one send batch. What would be large on the stack of a program
 * with many small threads, or in the part of it that is thread-local memory, is here. */
struct scratch {
    uint8_t rx[CONN_SCRATCH_RX];
    uint8_t tx[SLOT_TX_REGION];
    uint8_t file[SLOT_BATCH];
    uint8_t ticket[CONN_TICKET_RECORD];
    uintptr_t pages[CONN_PAGES]; /* memory.c's */
};

/* Never NULL but when memory is out (errno ENOMEM). Freed when the thread ends. */
struct scratch *conn_scratch(void);
/* What the thread has of it so far: maybe NULL. */
struct scratch *conn_scratch_so_far(void);

/* Milliseconds of the monotonic clock. */
uint64_t conn_now(void);
/* Before the clock is gone: what is due at a certain time must not wait for ages. */
void conn_now_settle(void);

/* This process's part of a slot, or NULL when the connection came by fork. Another thread may drop it at any
 * time; its memory stays a struct conn for ever, so a look at it is harmless. */
struct conn *conn_of(const struct slot *s);
/* The same for a call that works on its handshake or early bytes, or waits: they stay until conn_unpin (which
 * takes NULL too). */
struct conn *conn_pin(const struct slot *s);
void conn_unpin(struct conn *c);
bool conn_dropped(const struct conn *c);
/* Lets go of it: out of the driver's list; secrets are wiped when no call is inside any more. */
void conn_drop(struct conn *c);
/* The kept bytes have gone out: wiped and given back. */
void conn_early_done(struct conn *c);
/* The same at the end of the process, which may have interrupted malloc: nothing is freed. False: another
 * thread was faster. */
bool conn_abandon(struct conn *c);
/* In a forked child: handshakes belong to the parent. */
void conn_forked(void);
/* Around fork, in the parent and in the child. */
void conn_fork_prepare(void);
void conn_fork_done(void);

/* All that the first connection of a process needs. False: out of memory. */
bool conn_ready(void);

/* Decides about a connection that is to be made to addr. Returns a conn whose slot is not yet in the
 * descriptor table, or NULL: plaintext (errno 0) or refused (errno set; logged). */
struct conn *conn_outbound(int fd, const struct sockaddr *addr, socklen_t len);
/* The same for an accepted one. */
struct conn *conn_inbound(int fd, const struct sockaddr *peer, socklen_t len);
/* Puts the slot behind fd. */
void conn_publish(struct conn *c, int fd);

/* Of a connection that came from elsewhere nobody says what was known of it there; policy says what it must
 * be. Fills addresses, direction and rule; true: it must be protected. */
bool conn_ought(int fd, struct slot_ends *ends);
/* This process's part of a connection that a relative or the former program image began, for one more
 * descriptor; the caller puts it into the table. NULL: out of memory. */
struct conn *conn_join(struct slot *s, int fd);
/* The kernel's name for the socket behind fd, never used twice; 0: no socket. */
uint64_t conn_cookie(int fd);

/* Declares a connection failed: error becomes the errno of the next call, the kernel's socket is shut so that
 * readiness tells, one line says why. Both locks may be held, tx_lock must be. */
void conn_fail(int fd, struct slot *s, int error, const char *why);
/* What a call on a dead connection returns: the error once, then end of file (0) or EPIPE. */
ssize_t conn_dead_read(struct slot *s);
ssize_t conn_dead_write(struct slot *s, int flags);

/* The length of a vector, as the kernel checks it. False: errno EINVAL. */
bool stream_total(const struct iovec *iov, int count, size_t *total);

/* A call must be repeated on the real descriptor: the connection turned out to be plaintext. */
enum { CONN_PLAIN = -2 };

#endif
