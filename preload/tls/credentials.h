/* credentials.h - files in, a key that fits its chain and roots that vouch for it out.
 *
 * Immutable once loaded, so any number of threads may read one without a lock. */
#ifndef MTLSWRAP_CREDENTIALS_H
#define MTLSWRAP_CREDENTIALS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <openssl/types.h>
#include <openssl/x509.h>

#include "handshake.h"

/* Which files; an empty name: none of that kind. */
struct credentials_files {
    char chain[PATH_MAX], key[PATH_MAX], roots[PATH_MAX], crl[PATH_MAX];
    bool system_roots;
    bool own_must_verify; /* the own leaf must chain to the roots (one directory, one trust) */
};

/* What a look at the files showed; equal when nothing was touched since. */
struct credentials_stamp {
    struct {
        uint64_t dev, ino, size, mtime, ctime; /* times in nanoseconds */
    } file[4];
};

struct credentials {
    EVP_PKEY *key; /* NULL: no own certificate */
    X509 *leaf;
    STACK_OF(X509) * chain; /* what is sent behind the leaf, without self-signed roots */
    X509_STORE *roots;
    int64_t leaf_end;            /* notAfter, seconds since 1970 */
    int64_t trust_end;           /* earliest nextUpdate of the revocation lists; INT64_MAX: none */
    uint8_t own_digest[32];      /* of the leaf; zero: none */
    uint8_t trust_digest[32];    /* of roots and revocation lists: the trust generation */
    char id[HANDSHAKE_NAME_MAX]; /* own identity as peers will see it; empty: none */
    bool has_crl;
};

/* Says which files a configuration means, looking at which directories exist. < 0: reason in error. */
__attribute__((warn_unused_result)) int credentials_files(const struct handshake_config *cfg,
                                                          struct credentials_files *out, char *error);
void credentials_stamp(const struct credentials_files *files, struct credentials_stamp *out);

/* Loads and checks everything. 0, or < 0 with file and reason in error (HANDSHAKE_ERROR_MAX). */
__attribute__((warn_unused_result)) int credentials_load(const struct credentials_files *files,
                                                         struct credentials *out, char *error);
void credentials_free(struct credentials *c);

int64_t credentials_seconds(const ASN1_TIME *when);

#endif
