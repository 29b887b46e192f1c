/* ours.c - an end of ours: the handshake fed with whole records, then the record engine. Plays the part that
 * the core plays in a wrapped process, without any descriptor. */
#include "contract.h"

enum { KEY_UPDATE = 24, NEW_SESSION_TICKET = 4, TAIL_MAX = 4 * RECORD_WIRE_MAX };

struct ours {
    struct handshake *h; /* NULL once nothing needs it */
    bool established, server, ended, answer;
    struct record_keys rx, tx;
    uint8_t carry[RECORD_WIRE_MAX];
    size_t carried;
    uint8_t tail[TAIL_MAX];
    size_t tail_at, tail_end;
    uint8_t plain[RECORD_WIRE_MAX];
    size_t plain_at, plain_end;
};

static void seal(struct ours *o, uint8_t type, const uint8_t *from, size_t n) {
    if (o->tail_at == o->tail_end)
        o->tail_at = o->tail_end = 0;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)from, .iov_len = n};
    cr_assert_leq(o->tail_end + n + RECORD_OVERHEAD_MAX, sizeof o->tail);
    long len = record_engine_user.seal(&o->tx, type, &iov, 0, n, o->tail + o->tail_end);
    cr_assert_eq(len, (long)(n + record_overhead(&o->tx)));
    o->tail_end += (size_t)len;
}

static void send_update(struct ours *o, bool ask) {
    const uint8_t message[] = {KEY_UPDATE, 0, 0, 1, ask};
    seal(o, RECORD_HANDSHAKE, message, sizeof message);
    uint64_t before = o->tx.key_id;
    cr_assert_eq(record_engine_user.update(&o->tx), 0);
    cr_assert_neq(o->tx.key_id, before);
    cr_assert_eq(o->tx.seq, 0);
}

static void establish(struct ours *o) {
    struct handshake_result r;
    if (o->server) {
        cr_assert_leq(o->tail_end + RECORD_WIRE_MAX, sizeof o->tail);
        o->tail_end += API->ticket(o->h, o->tail + o->tail_end, RECORD_WIRE_MAX);
    }
    cr_assert_eq(API->export_(o->h, &r), 0);
    o->rx = r.rx;
    o->tx = r.tx;
    o->established = true;
    if (o->server || !API->wants_post(o->h)) {
        API->free_(o->h);
        o->h = NULL;
    }
}

static void collect_output(struct ours *o) {
    size_t len;
    for (const uint8_t *p; (p = API->output(o->h, &len)) != NULL && len > 0;) {
        cr_assert_leq(o->tail_end + len, sizeof o->tail);
        memcpy(o->tail + o->tail_end, p, len);
        o->tail_end += len;
        API->output_taken(o->h, len);
    }
}

static void shake(struct ours *o, bool feed) {
    enum handshake_status s = feed ? API->feed(o->h, o->carry, o->carried) : API->step(o->h);
    cr_assert_neq(s, HANDSHAKE_FAILED, "%s", API->error(o->h));
    collect_output(o);
    if (s == HANDSHAKE_DONE)
        establish(o);
}

static void take_message(struct ours *o, const uint8_t *message, size_t n) {
    if (message[0] == KEY_UPDATE) {
        cr_assert_eq(n, 5);
        o->answer |= message[4] != 0;
        cr_assert_eq(record_engine_user.update(&o->rx), 0);
        return;
    }
    cr_assert_eq(message[0], NEW_SESSION_TICKET);
    if (o->h && !API->post(o->h, o->carry, o->carried)) {
        API->free_(o->h);
        o->h = NULL;
    }
}

static void take_record(struct ours *o) {
    if (!o->established) {
        shake(o, true);
        return;
    }
    if (o->carry[0] == RECORD_CHANGE_CIPHER_SPEC)
        return;
    uint8_t type;
    long n = record_engine_user.open(&o->rx, o->carry, o->carried, o->plain, sizeof o->plain, &type);
    cr_assert_geq(n, 0, "open: %ld", n);
    o->plain_at = o->plain_end = 0;
    if (type == RECORD_DATA)
        o->plain_end = (size_t)n;
    else if (type == RECORD_HANDSHAKE)
        take_message(o, o->plain, (size_t)n);
    else {
        cr_assert_eq(type, RECORD_ALERT);
        cr_assert_eq(o->plain[1], 0, "alert %d", o->plain[1]);
        o->ended = true;
    }
}

/* Takes wire bytes only as far as the record that is under way: never a byte of the next one. */
static bool take_bytes(struct ours *o, struct ring *in) {
    size_t whole = RECORD_HEADER;
    if (o->carried >= RECORD_HEADER) {
        long len = record_wire_len(o->carry, o->established ? o->rx.version : 0);
        cr_assert_gt(len, 0);
        whole = (size_t)len;
    }
    size_t n = ring_take(in, o->carry + o->carried, whole - o->carried);
    o->carried += n;
    if (o->carried == whole && whole > RECORD_HEADER) {
        take_record(o);
        o->carried = 0;
    }
    return n > 0;
}

static bool ours_move(void *end, struct ring *in, struct ring *out) {
    struct ours *o = end;
    bool moved = false;
    while (o->plain_at == o->plain_end && !o->ended && take_bytes(o, in))
        moved = true;
    size_t n = ring_put(out, o->tail + o->tail_at, o->tail_end - o->tail_at);
    o->tail_at += n;
    return moved || n > 0;
}

static bool ours_ready(const void *end) {
    return ((const struct ours *)end)->established;
}

static size_t ours_write(void *end, const uint8_t *from, size_t n) {
    struct ours *o = end;
    if (o->tail_at < o->tail_end)
        return 0;
    if (o->answer)
        send_update(o, false);
    o->answer = false;
    size_t part = n < RECORD_PLAIN_MAX ? n : RECORD_PLAIN_MAX;
    seal(o, RECORD_DATA, from, part);
    return part;
}

static long ours_read(void *end, uint8_t *to, size_t n) {
    struct ours *o = end;
    size_t left = o->plain_end - o->plain_at;
    if (left == 0)
        return o->ended ? READ_END : READ_NOTHING;
    size_t part = n < left ? n : left;
    memcpy(to, o->plain + o->plain_at, part);
    o->plain_at += part;
    return (long)part;
}

static void ours_update(void *end, bool ask) {
    send_update(end, ask);
}

static void ours_close(void *end) {
    static const uint8_t close_notify[] = {1, 0};
    seal(end, RECORD_ALERT, close_notify, sizeof close_notify);
}

static void ours_free(void *end) {
    struct ours *o = end;
    API->free_(o->h);
    free(o);
}

static const struct end_kind kind = {
    .name = "ours",
    .move = ours_move,
    .ready = ours_ready,
    .write = ours_write,
    .read = ours_read,
    .update = ours_update,
    .close = ours_close,
    .free_ = ours_free,
};

struct end ours_handshake(struct handshake_config cfg) {
    struct ours *o = calloc(1, sizeof *o);
    cr_assert(o);
    o->h = test_new(cfg);
    o->server = cfg.server;
    shake(o, false);
    return (struct end){&kind, o};
}

struct end ours_keyed(struct record_keys rx, struct record_keys tx) {
    struct ours *o = calloc(1, sizeof *o);
    cr_assert(o);
    o->rx = rx;
    o->tx = tx;
    o->established = true;
    return (struct end){&kind, o};
}
