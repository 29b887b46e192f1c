/* ca_file.h - how the CA's files come to be: whole or not at all. Only ca.c and the tests use it. */
#ifndef MTLSWRAP_CA_FILE_H
#define MTLSWRAP_CA_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* mkdir -p with mode 0700. 0, or -1 with errno. */
int ca_file_mkdirs(const char *dir);
/* Holds the directory's lock until the descriptor is closed. Descriptor, or -1 with errno. */
int ca_file_lock(const char *dir);
/* Replaces dir/name with the bytes. 0, or -1 with errno. */
int ca_file_write(const char *dir, const char *name, const void *bytes, size_t len, mode_t mode);

#endif
