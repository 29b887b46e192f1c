/* sonames.h - where ld.so would find a library that an object needs. */
#ifndef MTLSWRAP_SONAMES_H
#define MTLSWRAP_SONAMES_H

#include <stdbool.h>

#include "elfread.h"

/* importer is the object that needs soname, importer_path its file. out has room for PATH_MAX bytes. */
bool sonames_find(const char *soname, const struct elfread *importer, const char *importer_path, char *out);
/* The same search in the bytes of a /etc/ld.so.cache; the n-th (from 0) file of that name, or NULL. */
const char *sonames_cached(const void *cache, size_t size, const char *soname, size_t n);

#endif
