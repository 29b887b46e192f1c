/* shake_object.c - the handshake object of one connection: what it is made with, and what becomes of it: keys
 * in the slot, a failure, or plaintext. Reads nothing and never waits. */
#include "shake_object.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "calm.h"
#include "core.h"
#include "fallback.h"
#include "log.h"
#include "options.h"
#include "send.h"
#include "shake.h"
#include "wire.h"

enum { TICKET_MAX = 4096 }; /* must fit in front of a full batch */

static const struct handshake_api *api(void) {
    return core_loaded->handshake;
}

static void config_server(struct handshake_config *cfg, const struct conn *c) {
    cfg->server = true;
    cfg->spiffe = true;
    cfg->client_auth = c->inbound.mode == MTLS_STRICT ? CLIENT_AUTH_REQUIRED : CLIENT_AUTH_OPTIONAL;
}

static void config_client(struct handshake_config *cfg, const struct conn *c) {
    const struct policy_outbound *o = &c->outbound;
    cfg->spiffe = o->mode == TLS_ISTIO_MUTUAL || o->mode == TLS_PERMISSIVE;
    cfg->sni = o->sni;
    cfg->names = o->subject_alt_names;
    cfg->name_count = o->subject_alt_name_count;
    if (cfg->spiffe)
        return;
    cfg->identity_dir = NULL;
    cfg->alpn_istio = false;
    cfg->ca_file = o->ca_certificates;
    cfg->certificate = o->client_certificate;
    cfg->private_key = o->private_key;
    cfg->insecure_skip_verify = o->insecure_skip_verify;
}

/* name is memory for what it points to. */
static struct handshake_config config(const struct slot *s, const struct conn *c, char *name) {
    const char *arrow = strstr(slot_name(s, name), " -> ");
    struct handshake_config cfg = {
        .trust_domain = c->mesh->trust_domain,
        .identity_dir = c->mesh->certificates,
        .namespace_ = c->self.namespace_,
        .account = c->self.account,
        .alpn_istio = true,
        .destination = arrow ? arrow + 4 : NULL,
    };
    if (s->server)
        config_server(&cfg, c);
    else
        config_client(&cfg, c);
    return cfg;
}

static bool forbidden(void) {
    return confine_lost(CONFINE_RANDOM) || confine_deadly(CONFINE_MEMORY);
}

void shake_prepare(const struct slot *s, const struct conn *c) {
    char error[HANDSHAKE_ERROR_MAX], name[SLOT_NAME_MAX];
    if (forbidden())
        return;
    calm_begin();
    struct handshake_config cfg = config(s, c, name);
    if (core_engine())
        (void)!api()->prepare(&cfg, error); /* what is wrong is said by the handshake */
    calm_end();
}

bool shake_object_make(int fd, struct slot *s, struct conn *c) {
    char error[HANDSHAKE_ERROR_MAX] = "the TLS engine cannot be loaded", name[SLOT_NAME_MAX];
    struct handshake_config cfg = config(s, c, name);
    if (forbidden()) {
        conn_fail(fd, s, ECONNRESET, "the program's seccomp filter forbids what a TLS handshake needs");
        return false;
    }
    c->shake = core_engine() ? api()->new_(&cfg, error) : NULL;
    if (!c->shake)
        conn_fail(fd, s, ECONNRESET, error);
    return c->shake != NULL;
}

/* Sends what the handshake has to say. False: the kernel takes no more now. */
static bool flush_output(int fd, struct conn *c, int more) {
    size_t len;
    const uint8_t *bytes;
    while ((bytes = api()->output(c->shake, &len)), len) {
        ssize_t n = wire_send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL | more);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN || errno == EINTR))
            return false;
        if (n < 0) { /* what the peer had said before may still be read */
            if (errno != EPIPE)
                c->slot->lost_error = errno;
            return true;
        }
        api()->output_taken(c->shake, (size_t)n);
    }
    return true;
}

static void fail(int fd, struct slot *s, struct conn *c) {
    char why[HANDSHAKE_ERROR_MAX];
    snprintf(why, sizeof why, "TLS handshake failed: %s", api()->error(c->shake));
    flush_output(fd, c, 0);
    s->lost_error = 0;
    conn_fail(fd, s, ECONNRESET, why);
}

/* A ticket goes out in front of the first application bytes, so that it never wakes the peer alone. */
static void keep_ticket(struct slot *s, struct conn *c) {
    uint8_t *tail = slot_tx_buffer(s);
    size_t n = api()->ticket(c->shake, tail, TICKET_MAX);
    if (!n) {
        slot_tx_release(s);
        return;
    }
    s->tail_at = 0;
    s->tail = (uint32_t)n;
    s->tail_rides = true;
}

static bool allowed(const struct slot *s, const struct conn *c, const char *peer) {
    return !s->server || !c->inbound.principal_count || policy_principal_allowed(&c->inbound, peer);
}

/* Our last flight is small and unanswered: unless its receiver acknowledges at once, the sender's next small
 * write waits for a delayed acknowledgement (RFC 1122 4.2.3.2 and 4.2.3.4), which would cost every connection
 * 40 ms. */
static void acknowledge_now(int fd, const struct slot *s) {
    int on = 1;
    if (s->server == (s->rx.version == 0x0304))
        wire_setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* tx_lock and rx_lock are held. */
static void finish(int fd, struct slot *s, struct conn *c) {
    struct handshake_result result;
    char name[SLOT_NAME_MAX];
    if (s->server)
        keep_ticket(s, c);
    if (api()->export_(c->shake, &result) < 0) {
        conn_fail(fd, s, ECONNRESET, "the agreed cipher suite is not supported");
        return;
    }
    s->rx = result.rx;
    s->tx = result.tx;
    if (strlen(result.peer) < sizeof s->peer_name)
        memcpy(s->peer_name, result.peer, strlen(result.peer) + 1);
    if (!allowed(s, c, result.peer)) {
        char why[HANDSHAKE_ERROR_MAX];
        snprintf(why, sizeof why, "principal \"%s\" is not on the list", result.peer);
        send_alert(fd, s, 49 /* access_denied */);
        conn_fail(fd, s, ECONNRESET, why);
    } else {
        log_info("%s: %s%s, peer \"%s\", rule %s", slot_name(s, name),
                 result.version == 0x0304 ? "TLS 1.3" : "TLS 1.2", result.resumed ? " resumed" : "",
                 result.peer, s->rule);
        if (!s->server)
            fallback_spoke_tls(s);
        s->early_left = c->early_len > 0;
        slot_set_state(s, SLOT_OPEN);
        acknowledge_now(fd, s);
        send_begin(fd, s);
        options_lowat(fd, s, 1);
        options_learn_segments(fd, s);
        send_all(fd, s);
    }
    if (!s->server && api()->wants_post(c->shake))
        c->post = c->shake;
    else
        api()->free_(c->shake);
    c->shake = NULL;
    explicit_bzero(&result, sizeof result);
}

void shake_object_settle(int fd, struct slot *s, struct conn *c, enum handshake_status status) {
    if (status == HANDSHAKE_FAILED && fallback_possible(s, c))
        fallback_begin(fd, s, c, 0, "the peer does not speak TLS");
    else if (status == HANDSHAKE_FAILED)
        fail(fd, s, c);
    else if (flush_output(fd, c, status == HANDSHAKE_DONE && c->early_len ? MSG_MORE : 0) &&
             status == HANDSHAKE_DONE)
        finish(fd, s, c);
}
