/* identity.h - which CA issues what for whom: the comfort around ca.h that `run` and `certs` share. */
#ifndef MTLSWRAP_IDENTITY_H
#define MTLSWRAP_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

enum { IDENTITY_NAME_MAX = 64, IDENTITY_URI_MAX = 256 };

/* Splits "NAMESPACE/NAME" (or "NAME", in namespace fallback) into names. False: it is not such a pair. */
bool identity_split(const char *word, const char *fallback, char *ns, char *name);
/* The trust domain of the CA in dir. False with a printed reason. */
bool identity_trust_domain(const char *ca_dir, char *out, size_t size);
/* True when the identity in dir trusts that CA: it came from there. */
bool identity_issued_by(const char *ca_dir, const char *dir);
/* True when dir holds a CA with its key. */
bool identity_is_ca(const char *dir);
/* The CA that may issue into a directory of identities: in it, above it, or the user's own. PATH_MAX bytes.
 */
bool identity_find_ca(const char *certs, char *out);
/* Issues for ns/account into certs/ns/account. names is a list with commas, or NULL; lifetime in seconds, 0
 * for the usual. With only_if_due, does nothing when what is there will last, or came from another CA.
 * Race-safe between processes. Returns 0: nothing to do, 1: issued, < 0: failed with a printed reason. */
int identity_issue(const char *ca_dir, const char *certs, const char *ns, const char *account,
                   const char *names, long lifetime, bool only_if_due);

#endif
