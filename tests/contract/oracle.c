/* oracle.c - an end that is OpenSSL for its whole life: SSL_read and SSL_write over memory BIOs. */
#include "contract.h"

enum { PENDING_MAX = 20000 };

struct oracle {
    struct test_foreign f;
    bool ended;
};

static bool oracle_move(void *end, struct ring *in, struct ring *out) {
    struct oracle *o = end;
    uint8_t bytes[RING_MAX];
    size_t n = ring_take(in, bytes, sizeof bytes);
    if (n)
        cr_assert_eq(BIO_write(o->f.in, bytes, (int)n), (int)n);
    test_foreign_step(&o->f);
    cr_assert(!o->f.failed, "%s", ERR_error_string(ERR_peek_last_error(), NULL));
    size_t room = out->room - out->n;
    int said = room ? BIO_read(o->f.out, bytes, (int)room) : 0;
    if (said > 0)
        cr_assert_eq(ring_put(out, bytes, (size_t)said), (size_t)said);
    return n > 0 || said > 0;
}

static bool oracle_ready(const void *end) {
    return SSL_is_init_finished(((const struct oracle *)end)->f.ssl);
}

static size_t oracle_write(void *end, const uint8_t *from, size_t n) {
    struct oracle *o = end;
    size_t done = 0;
    if (BIO_ctrl_pending(o->f.out) > PENDING_MAX)
        return 0;
    cr_assert_eq(SSL_write_ex(o->f.ssl, from, n, &done), 1);
    return done;
}

static long oracle_read(void *end, uint8_t *to, size_t n) {
    struct oracle *o = end;
    ERR_clear_error();
    int rc = SSL_read(o->f.ssl, to, (int)n);
    if (rc > 0)
        return rc;
    int why = SSL_get_error(o->f.ssl, rc);
    if (why == SSL_ERROR_ZERO_RETURN)
        return READ_END;
    cr_assert_eq(why, SSL_ERROR_WANT_READ, "%s", ERR_error_string(ERR_peek_last_error(), NULL));
    return READ_NOTHING;
}

static void oracle_update(void *end, bool ask) {
    struct oracle *o = end;
    cr_assert_eq(SSL_key_update(o->f.ssl, ask ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    cr_assert_eq(SSL_do_handshake(o->f.ssl), 1);
}

static void oracle_close(void *end) {
    struct oracle *o = end;
    cr_assert_geq(SSL_shutdown(o->f.ssl), 0);
}

static void oracle_free(void *end) {
    struct oracle *o = end;
    test_foreign_free(&o->f);
    free(o);
}

static const struct end_kind kind = {
    .name = "oracle",
    .move = oracle_move,
    .ready = oracle_ready,
    .write = oracle_write,
    .read = oracle_read,
    .update = oracle_update,
    .close = oracle_close,
    .free_ = oracle_free,
};

struct end oracle_new(struct test_peer peer) {
    struct oracle *o = calloc(1, sizeof *o);
    cr_assert(o);
    o->f = test_foreign_new(peer);
    return (struct end){&kind, o};
}
