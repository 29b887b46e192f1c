/* handshake.h - OpenSSL behind a wall: whole records in, bytes to send out, keys at the end.
 *
 * A handshake never touches a descriptor and is fed exactly whole records, so no byte of
 * application data is ever read ahead. One thread at a time may use one object. Objects are private
 * to the process that made them (they are abandoned, not freed, in a forked child).
 */
#ifndef MTLSWRAP_HANDSHAKE_H
#define MTLSWRAP_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

enum { HANDSHAKE_NAME_MAX = 256, HANDSHAKE_ERROR_MAX = 384 };

enum handshake_client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };

/* Everything one handshake must know; strings are only read during handshake_new. */
struct handshake_config {
    bool server;
    enum handshake_client_auth client_auth; /* server: STRICT -> REQUIRED, PERMISSIVE -> OPTIONAL */
    bool spiffe; /* peers are SPIFFE identities of trust_domain, roots from the identity directory */
    const char *trust_domain;
    const char
        *identity_dir; /* [Mesh] certificates: flat, or NAMESPACE/SERVICEACCOUNT/ below it; NULL: none */
    const char *namespace_;
    const char *account;     /* own; "default" when unknown */
    const char *certificate; /* MUTUAL: explicit files instead of identity_dir; NULL: none */
    const char *private_key;
    const char *ca_file; /* SIMPLE, MUTUAL; NULL: system roots */
    bool insecure_skip_verify;
    const char *sni;          /* client; NULL: none */
    const char *const *names; /* client: acceptable DNS names, IP literals, or spiffe:// URIs */
    size_t name_count;        /* 0 with spiffe: any identity of trust_domain */
    bool alpn_istio;          /* offer (client) or accept (server) ALPN "istio" */
    const char *destination;  /* client: part of the resumption key, "address:port"; NULL: never resume */
};

enum handshake_status {
    HANDSHAKE_WANT_READ, /* feed the next whole record */
    HANDSHAKE_DONE,
    HANDSHAKE_FAILED, /* handshake_error says why; an alert may wait in the output */
};

/* What the established connection is, for the slot and the log. */
struct handshake_result {
    struct record_keys rx, tx; /* ready for the first application record in each direction */
    uint16_t version;
    bool resumed;
    char peer[HANDSHAKE_NAME_MAX]; /* SPIFFE URI, else subject; empty: peer sent no certificate */
};

struct handshake;

struct handshake_api {
    /* NULL on failure, with the reason in error (size HANDSHAKE_ERROR_MAX). Loads or reloads credentials
     * as needed (at most one stat round a second). */
    struct handshake *(*new_)(const struct handshake_config *cfg, char *error);
    void (*free_)(struct handshake *h);

    /* Moves as far as it can without input. The client's first call makes the ClientHello. */
    enum handshake_status (*step)(struct handshake *h);
    /* Takes exactly one whole record, then steps. Any byte not consumed is a failure. len 0: the peer closed.
     * Bytes that are no record at all may be fed as they are and fail in plain words. */
    enum handshake_status (*feed)(struct handshake *h, const uint8_t *rec, size_t len);
    /* Bytes that must reach the peer, oldest first; *len = 0: none. Valid until the next call. */
    const uint8_t *(*output)(struct handshake *h, size_t *len);
    void (*output_taken)(struct handshake *h, size_t len);

    /* After DONE. Keys for both directions, once; wiped inside. 0, or < 0 when the agreed suite is no AEAD.
     */
    int (*export_)(struct handshake *h, struct handshake_result *out);
    /* Server, after DONE and before export_: makes one TLS 1.3 session ticket as a sealed record into out
     * (room max, 4 KiB do for usual certificates; too little room: none is made). Returns its length (0: none
     * wanted). export_ then counts it in tx.seq. */
    size_t (*ticket)(struct handshake *h, uint8_t *out, size_t max);
    /* Client, after export_: a raw post-handshake record that the engine found to hold handshake
     * messages (tickets). Returns true while more tickets are useful, false: free the object now. */
    bool (*post)(struct handshake *h, const uint8_t *rec, size_t len);
    bool (*wants_post)(const struct handshake *h);

    /* Plain words, no newline: what failed, the peer's identity where known, whose alert it was. */
    const char *(*error)(const struct handshake *h);
    /* True when a certificate was refused by either side (PERMISSIVE must not fall back then). */
    bool (*refused_certificate)(const struct handshake *h);
    /* True when the peer's bytes were TLS at all (a ServerHello or an alert was understood). */
    bool (*peer_spoke_tls)(const struct handshake *h);

    /* Prepare contexts now (before fork, chroot, setuid). 0, or < 0 with the reason in error. */
    int (*prepare)(const struct handshake_config *cfg, char *error);

    /* Words for a fatal alert that arrives later, in a record that the engine opened (a TLS 1.3 server
     * refuses the client's certificate only after the client was DONE). Returns out. */
    const char *(*alert_words)(unsigned alert, char *out, size_t size);
};

/* What the heavy object exports under the one name mtlswrap_engine. */
struct mtlswrap_engine {
    unsigned abi; /* MTLSWRAP_ENGINE_ABI */
    const struct record_engine *record;
    const struct handshake_api *handshake;
    void (*log)(int level, const char *line); /* set by the core right after loading */
    /* From now on no file may be looked at: what is loaded stays in use until it expires. */
    void (*freeze)(void);
};
#define MTLSWRAP_ENGINE_ABI 2u

#endif
