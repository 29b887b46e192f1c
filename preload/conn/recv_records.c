/* recv_records.c - what an opened record means: data, alerts, tickets, KeyUpdate, and how a connection fails
 * that receives anything else. */
#include "recv_parts.h"

#include <errno.h>
#include <string.h>

#include "calm.h"
#include "conn.h"
#include "send.h"
#include "wire.h"

/* A writer that is blocked in the kernel keeps its lock; that the descriptor is shut down ends its wait. */
void recv_records_fail(int fd, struct slot *s, int error, int alert, const char *why) {
    bool locked = slot_lock_soon(&s->tx_lock, &s->tx_waits);
    if (locked && alert >= 0)
        send_alert(fd, s, (uint8_t)alert);
    conn_fail(fd, s, error, why);
    if (locked)
        slot_unlock(&s->tx_lock);
}

static void broken(int fd, struct slot *s, int error, uint8_t alert, const char *why) {
    recv_records_fail(fd, s, error, alert, why);
}

static void record_error(int fd, struct slot *s, long verdict) {
    if (verdict == RECORD_BAD_MAC)
        broken(fd, s, EBADMSG, 20, "a record failed authentication (changed on its way)");
    else if (verdict == RECORD_TOO_LONG)
        broken(fd, s, EBADMSG, 22, "a record is longer than TLS allows");
    else if (verdict == RECORD_BAD_FORMAT)
        broken(fd, s, EBADMSG, 10, "the peer sent bytes that are no TLS record");
    else
        broken(fd, s, EIO, 80, "the record engine failed");
}

void recv_records_bad_header(int fd, struct slot *s, const uint8_t *header) {
    bool tls = header[0] >= RECORD_CHANGE_CIPHER_SPEC && header[0] <= RECORD_DATA && header[1] == 3;
    record_error(fd, s, tls && (header[3] || header[4]) ? RECORD_TOO_LONG : RECORD_BAD_FORMAT);
}

/* Behind close_notify: the peer's FIN, most of all. */
static bool more_comes(int fd, uint8_t *byte) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return wire_peeks() ? wire_recv(fd, byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 : wire_poll(&p, 1, 0) == 1;
}

void recv_records_end(int fd, struct slot *s) {
    uint8_t byte;
    if (s->rx_eof && !slot_orphaned(s) && !more_comes(fd, &byte))
        wire_shutdown(fd, SHUT_RD);
}

static void on_alert(int fd, struct slot *s, const uint8_t *body, size_t n) {
    char words[HANDSHAKE_ERROR_MAX];
    if (n == 2 && body[1] == 0) {
        s->rx_eof = true;
        return;
    }
    if (n == 2 && body[1] == 90 /* user_canceled: close_notify follows */)
        return;
    const char *why = n == 2 ? core_loaded->handshake->alert_words(body[1], words, sizeof words)
                             : "the peer sent a malformed alert";
    recv_records_fail(fd, s, ECONNRESET, -1, why);
}

static void on_ticket(struct slot *s, const uint8_t *raw, size_t raw_len) {
    calm_begin();
    struct conn *c = conn_pin(s);
    if (c && c->post && !core_loaded->handshake->post(c->post, raw, raw_len)) {
        core_loaded->handshake->free_(c->post);
        c->post = NULL;
    }
    conn_unpin(c);
    calm_end();
}

static void on_handshake(int fd, struct slot *s, const uint8_t *body, size_t n, const uint8_t *raw,
                         size_t raw_len) {
    enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };
    if (s->rx.version == 0x0304 && n == 5 && body[0] == KEY_UPDATE && body[4] <= 1) {
        if (body[4])
            atomic_store(&s->update_due, true);
        if (recv_engine()->update(&s->rx) < 0)
            record_error(fd, s, RECORD_INTERNAL);
    } else if (s->rx.version == 0x0304 && n && body[0] == NEW_SESSION_TICKET && !s->server) {
        on_ticket(s, raw, raw_len);
    } else if (s->rx.version == 0x0304) {
        broken(fd, s, EBADMSG, 10, "the peer sent an unexpected handshake message");
    } else {
        broken(fd, s, EBADMSG, 100, "the peer asked for renegotiation, which is not supported");
    }
}

static void on_control(int fd, struct slot *s, uint8_t type, const uint8_t *body, size_t n,
                       const uint8_t *raw, size_t raw_len) {
    if (type == RECORD_ALERT)
        on_alert(fd, s, body, n);
    else if (type == RECORD_HANDSHAKE)
        on_handshake(fd, s, body, n, raw, raw_len);
    else
        record_error(fd, s, RECORD_BAD_FORMAT);
}

static void first_data(struct slot *s) {
    if (s->saw_input)
        return;
    s->saw_input = true;
    calm_begin();
    struct conn *c = conn_pin(s);
    if (c && c->post) { /* tickets come before data, or not at all */
        core_loaded->handshake->free_(c->post);
        c->post = NULL;
    }
    conn_unpin(c);
    calm_end();
}

/* Opens the whole record at rec. Data goes straight to the sink when it fits there, or else to *plain inside
 * the record's own space. Returns the data length, or -1 when the connection is dead or the record was no
 * data (then 0). */
long recv_records_open(int fd, struct slot *s, const struct record_engine *e, uint8_t *rec, size_t wire,
                       struct sink *k, uint8_t **plain) {
    uint8_t *raw = conn_scratch()->ticket, type = 0; /* the caller has made sure of the scratch */
    struct conn *c = s->saw_input || s->server ? NULL : conn_of(s);
    bool ticket_may_come = c && c->post && wire <= CONN_TICKET_RECORD;
    if (ticket_may_come)
        memcpy(raw, rec, wire);
    size_t overhead = record_overhead(&s->rx);
    size_t limit = wire > overhead ? wire - overhead : 0;
    size_t nonce = record_explicit(&s->rx);
    /* An alert has no business in the program's memory, not even behind what is delivered. */
    uint8_t *direct = k && !ticket_may_come && limit > RECV_CONTROL_MAX ? recv_fill_direct(k, limit) : NULL;
    *plain = direct ? direct : rec + RECORD_HEADER + nonce;
    long n = e->open(&s->rx, rec, wire, *plain, limit, &type);
    if (n < 0) {
        record_error(fd, s, n);
        return -1;
    }
    if (type == RECORD_DATA) {
        first_data(s);
        s->bytes_in += (uint64_t)n;
        if (direct) {
            k->done += (size_t)n;
            k->room -= (size_t)n;
            k->skip += (size_t)n;
            if (k->skip == k->iov->iov_len) {
                k->iov++;
                k->skip = 0;
            }
            *plain = NULL;
        }
        return n;
    }
    on_control(fd, s, type, *plain, (size_t)n, raw, ticket_may_come ? wire : 0);
    if (direct)
        explicit_bzero(direct, (size_t)n);
    return atomic_load(&s->state) == SLOT_OPEN ? 0 : -1;
}
