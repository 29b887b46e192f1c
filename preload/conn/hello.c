/* hello.c - tells the mesh's TLS, the program's own TLS and plaintext apart by their first bytes. Reads
 * nothing from any descriptor and sends nothing. */
#include "hello.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "fallback.h"
#include "shake.h"
#include "wire.h"

int hello_begins(const uint8_t *p, size_t n) {
    static const int must[6] = {22, 3, -1, -1, -1, 1};
    for (size_t i = 0; i < sizeof must / sizeof *must; i++) {
        if (i >= n)
            return -1;
        if (must[i] >= 0 && p[i] != must[i])
            return 0;
    }
    return 1;
}

/* --- a ClientHello ------------------------------------------------------------------------------- */

/* A part of it; what lies behind its end reads as empty. */
struct part {
    const uint8_t *at;
    size_t left;
};

static struct part take(struct part *from, size_t n) {
    struct part out = {from->at, n < from->left ? n : from->left};
    from->at += out.left;
    from->left -= out.left;
    return out;
}

/* A vector with its length in front, in `bytes` bytes (RFC 8446 3.4). */
static struct part take_vector(struct part *from, unsigned bytes) {
    struct part length = take(from, bytes);
    size_t n = 0;
    for (size_t i = 0; i < length.left; i++)
        n = n << 8 | length.at[i];
    return take(from, n);
}

/* RFC 7301 3.1: a list of names. */
static bool names_istio(struct part list) {
    while (list.left) {
        struct part name = take_vector(&list, 1);
        if (name.left == 5 && memcmp(name.at, "istio", 5) == 0)
            return true;
    }
    return false;
}

/* Does its ALPN extension offer "istio", as every client of the mesh does? -1: the record is not all there.
 * One that is spread over several records does not come from the mesh. */
static int for_mesh(const uint8_t *p, size_t n) {
    enum { ALPN = 16, RANDOM_AND_VERSION = 34 };
    struct part record = {p + 3, n - 3};
    size_t expected = (size_t)p[3] << 8 | p[4];
    record = take_vector(&record, 2);
    if (record.left < expected)
        return -1;
    take(&record, 1); /* client_hello */
    struct part hello = take_vector(&record, 3);
    take(&hello, RANDOM_AND_VERSION);
    take_vector(&hello, 1); /* session */
    take_vector(&hello, 2); /* cipher suites */
    take_vector(&hello, 1); /* compression */
    struct part extensions = take_vector(&hello, 2);
    while (extensions.left) {
        struct part type = take(&extensions, 2);
        struct part body = take_vector(&extensions, 2);
        if (type.left == 2 && type.at[0] == 0 && type.at[1] == ALPN)
            return names_istio(take_vector(&body, 2));
    }
    return 0;
}

/* --- accepting ----------------------------------------------------------------------------------- */

static bool skips(const struct slot *s, const struct conn *c) {
    return (s->server ? c->inbound.tls_in_tls : c->outbound.tls_in_tls) == TLS_IN_TLS_SKIP;
}

bool hello_awaited(const struct slot *s, const struct conn *c) {
    return s->server && !c->sniffed && (s->permissive || skips(s, c));
}

/* Bytes that the program wrote first were meant for the mesh: they do not go into somebody else's TLS. */
static bool leave_alone(int fd, struct slot *s, struct conn *c) {
    if (c->early_len && !s->permissive)
        return false;
    if (c->inbound.principal_count)
        conn_fail(fd, s, ECONNRESET, "the client speaks other TLS, which proves no principal of the list");
    else
        fallback_leave(fd, s, c);
    return true;
}

bool hello_sniff(int fd, struct slot *s, struct conn *c, const uint8_t *p, size_t n) {
    if (!hello_awaited(s, c))
        return true;
    int verdict = hello_begins(p, n);
    bool ours = verdict > 0;
    if (ours && skips(s, c)) {
        verdict = for_mesh(p, n);
        if (!verdict && leave_alone(fd, s, c))
            return false;
    }
    if (verdict < 0 && !shake_peer_ended(fd)) /* more may come */
        return false;
    if (!ours && s->permissive) {
        fallback_plain(fd, s, c, "the client speaks plaintext");
        return false;
    }
    c->sniffed = true;
    return true;
}

/* --- connecting ---------------------------------------------------------------------------------- */

/* A client of TLS speaks first, but may read certificates between connect and its ClientHello. Only programs
 * that wait for the server's first bytes without a blocking read have to sit this out. */
enum { PATIENCE = 10 };

void hello_rule_out(struct conn *c) {
    c->no_own_tls = true;
}

uint64_t hello_wait_ends(const struct conn *c) {
    bool waits = !c->slot->server && !c->shake && !c->no_own_tls && !c->going_plain && c->up_ms;
    return waits ? c->up_ms + PATIENCE * (uint64_t)c->mesh->permissive_wait_ms : UINT64_MAX;
}

bool hello_held(int fd, struct slot *s, struct conn *c) {
    if (s->server || c->no_own_tls || !skips(s, c))
        return false;
    if (!c->up_ms)
        c->up_ms = conn_now();
    int verdict = c->early_len ? hello_begins(c->early + c->early_at, c->early_len) : -1;
    if (verdict > 0) {
        fallback_leave(fd, s, c);
        return true;
    }
    if (verdict < 0 && !s->half_closed && !c->closing && conn_now() < hello_wait_ends(c)) {
        if (c->early_len)
            s->shaker = wire_getpid(); /* kept bytes are this process's to send */
        return true;
    }
    c->no_own_tls = true;
    c->born_ms = conn_now(); /* the peer's time begins only now */
    c->deadline_ms = c->born_ms + c->mesh->handshake_timeout_ms;
    return false;
}
