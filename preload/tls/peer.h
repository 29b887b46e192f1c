/* peer.h - who a peer is and whether that is whom we want. Pure: a certificate and expectations in, a
 * verdict in plain words out. */
#ifndef MTLSWRAP_PEER_H
#define MTLSWRAP_PEER_H

#include <openssl/types.h>

#include "handshake.h"

/* What one handshake expects of its peer; owns copies of the configuration's strings. */
struct peer_policy {
    bool server; /* we are the accepting side */
    bool spiffe;
    bool insecure;
    enum handshake_client_auth client_auth;
    const char *trust_domain; /* "" when not given */
    const char **names;
    size_t name_count;
    void *block; /* holds names and all strings */
};

/* 0, or -1 when out of memory. */
__attribute__((warn_unused_result)) int peer_policy_copy(struct peer_policy *p,
                                                         const struct handshake_config *cfg);
void peer_policy_free(struct peer_policy *p);

/* The SPIFFE URI when there is exactly one URI, else the subject, else a DNS name; never a control
 * character. */
void peer_name(X509 *leaf, char out[HANDSHAKE_NAME_MAX]);

/* Whether the identity in the leaf is acceptable; the chain is not looked at. Else false, with the
 * reason in why (size bytes). */
__attribute__((warn_unused_result)) bool peer_accepts(const struct peer_policy *p, X509 *leaf, char *why,
                                                      size_t size);

/* True for spiffe://TD/ns/NS/sa/SA with non-empty parts. */
__attribute__((warn_unused_result)) bool peer_is_workload(const char *uri, const char *trust_domain);

#endif
