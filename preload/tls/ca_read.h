/* ca_read.h - what ca.c and ca_read.c share: the file names of a CA and how they are read. */
#ifndef MTLSWRAP_CA_READ_H
#define MTLSWRAP_CA_READ_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define CA_READ_ROOT "root-cert.pem"
#define CA_READ_CA_KEY "ca-key.pem"
#define CA_READ_CHAIN "cert-chain.pem"
#define CA_READ_KEY "key.pem"

/* Formats the reason, forgets OpenSSL's own, returns -1. */
int ca_read_fail(char *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A library context that no openssl.cnf has touched; kept for the life of the process. NULL: out of memory.
 */
OSSL_LIB_CTX *ca_read_library(void);
bool ca_read_join(char *path, size_t size, const char *dir, const char *name);
/* First certificate, or the key, of a PEM file; NULL with the reason in err. The caller frees it. */
X509 *ca_read_cert(OSSL_LIB_CTX *lib, const char *path, char *err);
EVP_PKEY *ca_read_key(OSSL_LIB_CTX *lib, const char *path, char *err);
/* The first URI among the names; false, and an empty string, when there is none. */
bool ca_read_uri(X509 *cert, char *out, size_t size);

#endif
