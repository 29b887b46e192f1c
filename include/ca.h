/* ca.h - the embedded certificate authority behind `mtlswrap certs`.
 *
 * A CA directory holds root-cert.pem (the CA's own certificate) and ca-key.pem. An identity directory
 * holds cert-chain.pem (leaf, then CA), key.pem and root-cert.pem, the three files that
 * [Mesh] certificates names. A CA directory may be the parent of identity directories.
 *
 * Files appear whole or not at all (temporary name, fsync, rename); keys have mode 0600, directories
 * made here 0700. Writers lock the directory, so two processes may start at once. Reasons for
 * a failure go to err (CA_ERROR_MAX bytes), in plain words with the file's name, without newline.
 */
#ifndef MTLSWRAP_CA_H
#define MTLSWRAP_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ca_must_check __attribute__((warn_unused_result))

enum { CA_ERROR_MAX = 384, CA_NAME_MAX = 256, CA_NAMES_MAX = 512 };
enum { CA_LEAF_SECONDS = 24 * 3600 };

/* Makes a CA (ECDSA P-256, ten years) for a trust domain. 0: made, 1: one was there already and was
 * left alone, < 0: failed. */
ca_must_check int ca_init(const char *dir, const char *trust_domain, char *err);

/* Issues a leaf with a fresh key into out_dir, replacing what is there. spiffe_uri is
 * "spiffe://TRUSTDOMAIN/ns/NS/sa/SA" of the CA's own trust domain; names are n further DNS names or IP
 * literals (NULL when n is 0). lifetime in seconds, 0: CA_LEAF_SECONDS; never beyond the CA's own end. 0, or
 * < 0. */
ca_must_check int ca_issue(const char *ca_dir, const char *out_dir, const char *spiffe_uri,
                           const char *const *names, size_t n, long lifetime, char *err);

struct ca_description {
    char file[CA_NAME_MAX];      /* what was read */
    char spiffe_id[CA_NAME_MAX]; /* first URI; empty: none */
    char subject[CA_NAME_MAX];   /* one line, RFC 2253; may be empty */
    char issuer[CA_NAME_MAX];
    char names[CA_NAMES_MAX];      /* DNS names and addresses, separated by ", " */
    char serial[48];               /* hexadecimal */
    char key[32];                  /* "EC 256", "RSA 2048" */
    char sha256[65];               /* of the certificate's DER */
    int64_t not_before, not_after; /* seconds since 1970 */
    bool is_ca;
    bool has_key; /* the directory holds a private key that fits */
};

/* Describes the first certificate of a PEM file, of an identity directory (cert-chain.pem) or of a CA
 * directory (root-cert.pem). 0, or < 0. */
ca_must_check int ca_describe(const char *path, struct ca_description *out, char *err);

/* True when the identity directory holds no usable certificate with its key, or one past half of its life. */
ca_must_check bool ca_needs_renewal(const char *out_dir);

#endif
