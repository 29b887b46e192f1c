/* certtree.h - all certificates below a directory. */
#ifndef MTLSWRAP_CERTTREE_H
#define MTLSWRAP_CERTTREE_H

#include <stdbool.h>

/* Prints what a file, an identity, a CA or a tree of them holds. False when something could not be read, or
 * there was nothing. */
bool certtree_show(const char *path);
/* Issues again, with the same names and lifetime, what that CA issued below path and is due (all with
 * force). False when something failed. */
bool certtree_renew(const char *ca_dir, const char *path, bool force);

#endif
