/* handshake.c - one handshake over memory BIOs, fed with whole records. The only file here that moves an SSL
 * object; touches no descriptor. */
#include "engine.h"
#include "gate.h"
#include "known.h"
#include "libctx.h"
#include "secrets.h"
#include "session.h"
#include "verdict.h"
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* What a ticket needs beside the client's certificate. */
enum { TICKET_ROOM = 1024 };

static enum handshake_status fail(struct handshake *h, const char *why) {
    verdict_say(h, why);
    return h->status = HANDSHAKE_FAILED;
}

/* Beginning and end. */

static int verify_mode(const struct handshake_config *cfg) {
    if (!cfg->server || cfg->client_auth == CLIENT_AUTH_OPTIONAL)
        return SSL_VERIFY_PEER;
    return cfg->client_auth == CLIENT_AUTH_REQUIRED ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                                    : SSL_VERIFY_NONE;
}

static bool setup_client(struct handshake *h, const struct handshake_config *cfg) {
    static const unsigned char ISTIO[] = {5, 'i', 's', 't', 'i', 'o'};
    SSL_set_connect_state(h->ssl);
    if (cfg->sni && !SSL_set_tlsext_host_name(h->ssl, cfg->sni))
        return false;
    if (cfg->alpn_istio && SSL_set_alpn_protos(h->ssl, ISTIO, sizeof ISTIO) != 0)
        return false;
    h->resume = cfg->destination && session_key(h, cfg);
    if (h->resume)
        session_offer(h);
    return true;
}

static bool setup(struct handshake *h, const struct handshake_config *cfg) {
    h->ssl = SSL_new(h->context->ssl);
    h->in = BIO_new(BIO_s_mem());
    h->out = BIO_new(BIO_s_mem());
    if (!h->ssl || !h->in || !h->out) {
        BIO_free(h->in);
        BIO_free(h->out);
        return false;
    }
    SSL_set_bio(h->ssl, h->in, h->out);
    SSL_set_verify(h->ssl, verify_mode(cfg), NULL);
    if (!state_attach(h->ssl, h) || peer_policy_copy(&h->policy, cfg) != 0)
        return false;
    if (!cfg->server)
        return setup_client(h, cfg);
    SSL_set_accept_state(h->ssl);
    return true;
}

static void unmake(struct handshake *h) {
    if (!h)
        return;
    /* The connection goes on without OpenSSL; one that looks broken off would spoil its session. */
    if (h->status == HANDSHAKE_DONE)
        SSL_set_shutdown(h->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(h->ssl);
    context_put(h->context);
    peer_policy_free(&h->policy);
    OPENSSL_cleanse(h, sizeof *h);
    free(h);
}

/* An own certificate that ran out unnoticed: peers would only say "bad certificate". */
static bool own_expired(const struct context *c, char *error) {
    if (c->cred.leaf_end > (int64_t)time(NULL))
        return false;
    (void)snprintf(error, HANDSHAKE_ERROR_MAX,
                   "our own certificate has expired and no newer one was found: %s", c->cred.id);
    return true;
}

static struct handshake *make(const struct handshake_config *cfg, char *error) {
    ERR_clear_error();
    struct context *context = context_get(cfg, error);
    if (!context)
        return NULL;
    struct handshake *h = own_expired(context, error) ? NULL : calloc(1, sizeof *h);
    if (!h) {
        if (context->cred.leaf_end > (int64_t)time(NULL))
            (void)snprintf(error, HANDSHAKE_ERROR_MAX, "out of memory");
        context_put(context);
        return NULL;
    }
    h->context = context;
    h->status = HANDSHAKE_WANT_READ;
    if (setup(h, cfg))
        return h;
    (void)snprintf(error, HANDSHAKE_ERROR_MAX, "out of memory");
    ERR_clear_error();
    unmake(h);
    return NULL;
}

static int prepare_context(const struct handshake_config *cfg, char *error) {
    ERR_clear_error();
    struct context *context = context_get(cfg, error);
    bool expired = context && own_expired(context, error);
    context_put(context);
    return context && !expired ? 0 : -1;
}

/* Movement. */

static enum handshake_status done(struct handshake *h) {
    X509 *leaf = SSL_get0_peer_certificate(h->ssl);
    if (leaf && !h->peer[0])
        peer_name(leaf, h->peer);
    if (BIO_ctrl_pending(h->in) > 0 || SSL_has_pending(h->ssl))
        return fail(h, "peer sent more than the handshake in one record");
    if (!secrets_cipher(h))
        return fail(h, "the cipher suite that was agreed is none that we can continue");
    if (SSL_session_reused(h->ssl) && !verify_again(h, leaf, h->chain_end, h->reason, sizeof h->reason)) {
        h->refused = true;
        return fail(h, h->reason);
    }
    h->spoke_tls = true;
    return h->status = HANDSHAKE_DONE;
}

static enum handshake_status move(struct handshake *h) {
    if (h->status != HANDSHAKE_WANT_READ)
        return h->status;
    ERR_clear_error();
    int rc = SSL_do_handshake(h->ssl);
    if (rc == 1)
        return done(h);
    int why = SSL_get_error(h->ssl, rc);
    if (why == SSL_ERROR_WANT_READ)
        return HANDSHAKE_WANT_READ;
    verdict_set(h, why);
    return h->status = HANDSHAKE_FAILED;
}

static size_t body_length(const uint8_t *rec) {
    return (size_t)rec[3] << 8 | rec[4];
}

static bool looks_like_tls(const uint8_t *rec, size_t len) {
    return len >= RECORD_HEADER && rec[0] >= RECORD_CHANGE_CIPHER_SPEC && rec[0] <= RECORD_DATA &&
           rec[1] == 3;
}

/* What a client may take for proof that the server speaks TLS: a ServerHello or an alert. */
static bool proves_tls(const uint8_t *rec, size_t len) {
    return (rec[0] == RECORD_HANDSHAKE && len > RECORD_HEADER && rec[RECORD_HEADER] == 2) ||
           (rec[0] == RECORD_ALERT && len == RECORD_HEADER + 2 && (rec[5] == 1 || rec[5] == 2));
}

static enum handshake_status take(struct handshake *h, const uint8_t *rec, size_t len) {
    if (h->status != HANDSHAKE_WANT_READ)
        return h->status;
    if (len == 0)
        return fail(h, "peer closed in handshake");
    if (!looks_like_tls(rec, len))
        return fail(h,
                    h->spoke_tls ? "peer sent something that is no TLS record" : "peer does not speak TLS");
    if (len > RECORD_WIRE_MAX || body_length(rec) > RECORD_WIRE_MAX - RECORD_HEADER)
        return fail(h, "peer sent an oversized record");
    if (body_length(rec) != len - RECORD_HEADER)
        return fail(h, "a record was cut short");
    h->spoke_tls = h->spoke_tls || proves_tls(rec, len);
    if (BIO_write(h->in, rec, (int)len) != (int)len)
        return fail(h, "out of memory");
    if (move(h) == HANDSHAKE_WANT_READ && BIO_ctrl_pending(h->in) > 0)
        return fail(h, "a record was not understood as a whole");
    return h->status;
}

static const uint8_t *handshake_output(struct handshake *h, size_t *len) {
    char *bytes = NULL;
    long total = BIO_get_mem_data(h->out, &bytes);
    *len = total > 0 ? (size_t)total - h->taken : 0;
    return *len ? (const uint8_t *)bytes + h->taken : NULL;
}

static void handshake_output_taken(struct handshake *h, size_t len) {
    h->taken += len;
    if (BIO_ctrl_pending(h->out) > h->taken)
        return;
    (void)BIO_reset(h->out);
    h->taken = 0;
}

/* After the handshake. */

static int give_keys(struct handshake *h, struct handshake_result *out) {
    memset(out, 0, sizeof *out);
    if (h->status != HANDSHAKE_DONE || h->exported)
        return -1;
    ERR_clear_error();
    h->exported = true;
    int rc = secrets_export(h, out);
    OPENSSL_cleanse(h->secret, sizeof h->secret);
    if (rc != 0)
        return rc;
    out->version = (uint16_t)SSL_version(h->ssl);
    out->resumed = SSL_session_reused(h->ssl) == 1;
    memcpy(out->peer, h->peer, sizeof out->peer);
    return 0;
}

static bool wants_ticket(const struct handshake *h, size_t max) {
    if (h->status != HANDSHAKE_DONE || h->exported || h->tickets > 0 || !h->policy.server ||
        !h->takes_tickets || SSL_version(h->ssl) != TLS1_3_VERSION || BIO_ctrl_pending(h->out) > 0)
        return false;
    X509 *leaf = SSL_get0_peer_certificate(h->ssl);
    int der = leaf ? i2d_X509(leaf, NULL) : 0;
    return der >= 0 && (size_t)der + TICKET_ROOM <= max;
}

static size_t make_ticket(struct handshake *h, uint8_t *out, size_t max) {
    if (!wants_ticket(h, max))
        return 0;
    ERR_clear_error();
    known_issuing(h->ssl);
    bool made = SSL_new_session_ticket(h->ssl) == 1 && SSL_do_handshake(h->ssl) == 1;
    known_issuing(NULL);
    if (!made) {
        ERR_clear_error();
        (void)BIO_reset(h->out);
        return 0;
    }
    size_t len = BIO_ctrl_pending(h->out);
    /* One that does not fit is thrown away: sequence number 0 is free again, as nobody saw that record (I3).
     */
    bool fits = len > RECORD_HEADER && len <= max && BIO_read(h->out, out, (int)len) == (int)len;
    (void)BIO_reset(h->out);
    h->tickets = fits;
    return fits ? len : 0;
}

static bool handshake_wants_post(const struct handshake *h) {
    return h->status == HANDSHAKE_DONE && h->resume && h->tickets == 0 &&
           SSL_version(h->ssl) == TLS1_3_VERSION;
}

/* One ticket is enough: each connection gives one and takes one, so parallel connections keep as many as
 * there were at once, and the object need not live on for a second that may never come. */
static bool take_ticket(struct handshake *h, const uint8_t *rec, size_t len) {
    uint8_t nothing;
    if (!handshake_wants_post(h) || len < RECORD_HEADER || body_length(rec) != len - RECORD_HEADER)
        return false;
    ERR_clear_error();
    if (BIO_write(h->in, rec, (int)len) != (int)len)
        return false;
    int rc = SSL_read(h->ssl, &nothing, 1);
    bool more = rc <= 0 && SSL_get_error(h->ssl, rc) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    (void)BIO_reset(h->out); /* answers are the record engine's to give */
    return more && handshake_wants_post(h);
}

static const char *handshake_error(const struct handshake *h) {
    return h->error;
}

static bool handshake_refused_certificate(const struct handshake *h) {
    return h->refused;
}

static bool handshake_peer_spoke_tls(const struct handshake *h) {
    return h->spoke_tls;
}

/* The table: each call that may reach OpenSSL's locks passes the gate. */

static struct handshake *handshake_new(const struct handshake_config *cfg, char *error) {
    gate_enter();
    struct handshake *h = make(cfg, error);
    gate_leave();
    return h;
}

static void handshake_free(struct handshake *h) {
    gate_enter();
    unmake(h);
    gate_leave();
}

static enum handshake_status handshake_step(struct handshake *h) {
    gate_enter();
    enum handshake_status status = move(h);
    gate_leave();
    return status;
}

static enum handshake_status handshake_feed(struct handshake *h, const uint8_t *rec, size_t len) {
    gate_enter();
    enum handshake_status status = take(h, rec, len);
    gate_leave();
    return status;
}

static int handshake_export(struct handshake *h, struct handshake_result *out) {
    gate_enter();
    int rc = give_keys(h, out);
    gate_leave();
    return rc;
}

static size_t handshake_ticket(struct handshake *h, uint8_t *out, size_t max) {
    gate_enter();
    size_t len = make_ticket(h, out, max);
    gate_leave();
    return len;
}

static bool handshake_post(struct handshake *h, const uint8_t *rec, size_t len) {
    gate_enter();
    bool more = take_ticket(h, rec, len);
    gate_leave();
    return more;
}

static int handshake_prepare(const struct handshake_config *cfg, char *error) {
    gate_enter();
    int rc = prepare_context(cfg, error);
    gate_leave();
    return rc;
}

const struct handshake_api handshake_api = {
    .new_ = handshake_new,
    .free_ = handshake_free,
    .step = handshake_step,
    .feed = handshake_feed,
    .output = handshake_output,
    .output_taken = handshake_output_taken,
    .export_ = handshake_export,
    .ticket = handshake_ticket,
    .post = handshake_post,
    .wants_post = handshake_wants_post,
    .error = handshake_error,
    .refused_certificate = handshake_refused_certificate,
    .peer_spoke_tls = handshake_peer_spoke_tls,
    .prepare = handshake_prepare,
    .alert_words = verdict_alert,
};
