/* conn_decide.c - asks policy what must become of a connection, before it has a slot. Sends nothing. */
#include "conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn_parts.h"
#include "core.h"
#include "log.h"
#include "names.h"
#include "wire.h"

void conn_decide_again(struct conn *c) {
    struct slot *s = c->slot;
    const struct policy *p = core_policy(&c->self);
    c->mesh = policy_mesh(p);
    if (s->server) {
        policy_inbound(p, &c->self, &s->local.any, &c->inbound);
        c->inbound.mode = s->permissive ? MTLS_PERMISSIVE : MTLS_STRICT;
    } else {
        policy_outbound(p, &c->self, &s->peer.any, names_last(&s->peer.any), &c->outbound);
        if (c->outbound.mode == TLS_DISABLE)
            c->outbound.mode = s->permissive ? TLS_PERMISSIVE : TLS_ISTIO_MUTUAL;
    }
    c->deadline_ms = c->born_ms + c->mesh->handshake_timeout_ms;
}

static void set_address(union slot_address *out, const struct sockaddr *addr, socklen_t len) {
    memcpy(out, addr, len < sizeof *out ? len : sizeof *out);
}

static void set_rule(struct slot_ends *ends, const struct policy_rule *rule) {
    const char *slash = rule->file ? strrchr(rule->file, '/') : NULL;
    snprintf(ends->rule, sizeof ends->rule, "%s:%d [%s]",
             slash        ? slash + 1
             : rule->file ? rule->file
                          : "-",
             rule->line, rule->section ? rule->section : "no rule");
}

/* Makes a slot for a connection that is to be protected, or says which one is refused. */
static struct conn *protect(int fd, const struct slot_ends *ends, bool permissive, const struct policy *p,
                            const struct policy_self *self) {
    char name[SLOT_NAME_MAX];
    struct conn *c = conn_made(fd);
    if (!c) {
        log_error("%s: no room to protect another connection; connection refused by rule %s",
                  slot_ends_name(ends, name), ends->rule);
        errno = ENOBUFS;
        return NULL;
    }
    slot_set_ends(c->slot, ends);
    c->slot->permissive = permissive;
    c->self = *self;
    c->mesh = policy_mesh(p);
    return c;
}

static bool is_tcp(int fd) {
    int protocol = 0;
    socklen_t len = sizeof protocol;
    if (wire_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len)) /* a filter denies the question */
        return errno != EBADF && errno != ENOTSOCK;
    return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
}

static bool is_inet(const struct sockaddr *addr, socklen_t len) {
    if (len < sizeof(sa_family_t))
        return false;
    return (addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) ||
           (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6));
}

struct conn *conn_outbound(int fd, const struct sockaddr *addr, socklen_t len) {
    errno = 0;
    if (!is_inet(addr, len))
        return NULL;
    struct policy_self self;
    struct policy_outbound decision;
    const struct policy *p = core_policy(&self);
    policy_outbound(p, &self, addr, names_last(addr), &decision);
    errno = 0;
    if (decision.mode == TLS_DISABLE || !is_tcp(fd)) {
        errno = 0;
        return NULL;
    }
    struct slot_ends ends = {0};
    set_address(&ends.peer, addr, len);
    set_rule(&ends, &decision.rule);
    struct conn *c = protect(fd, &ends, decision.mode == TLS_PERMISSIVE, p, &self);
    if (c)
        c->outbound = decision;
    return c;
}

struct conn *conn_inbound(int fd, const struct sockaddr *peer, socklen_t peer_len) {
    errno = 0;
    if (!is_inet(peer, peer_len))
        return NULL;
    struct slot_ends ends = {.server = true};
    socklen_t len = sizeof ends.local;
    if (wire_getsockname(fd, &ends.local.any, &len)) { /* without it no rule can be found: fail closed */
        errno = ENOBUFS;
        return NULL;
    }
    errno = 0;
    if (!is_tcp(fd))
        return NULL;
    set_address(&ends.peer, peer, peer_len);
    struct policy_self self;
    struct policy_inbound decision;
    const struct policy *p = core_policy(&self);
    policy_inbound(p, &self, &ends.local.any, &decision);
    errno = 0;
    if (decision.mode == MTLS_DISABLE)
        return NULL;
    set_rule(&ends, &decision.rule);
    struct conn *c = protect(fd, &ends, decision.mode == MTLS_PERMISSIVE, p, &self);
    if (c)
        c->inbound = decision;
    return c;
}

bool conn_ought(int fd, struct slot_ends *ends) {
    socklen_t len = sizeof ends->local, peer_len = sizeof ends->peer;
    struct policy_self self;
    struct policy_inbound in;
    struct policy_outbound out;
    *ends = (struct slot_ends){.rule = "-"};
    if (wire_getsockname(fd, &ends->local.any, &len) || wire_getpeername(fd, &ends->peer.any, &peer_len) ||
        (ends->peer.any.sa_family != AF_INET && ends->peer.any.sa_family != AF_INET6))
        return false;
    const struct policy *p = core_policy(&self);
    policy_inbound(p, &self, &ends->local.any, &in);
    policy_outbound(p, &self, &ends->peer.any, NULL, &out);
    ends->server = out.mode == TLS_DISABLE; /* clients rarely have an address that a rule names */
    set_rule(ends, ends->server ? &in.rule : &out.rule);
    return in.mode != MTLS_DISABLE || out.mode != TLS_DISABLE;
}
