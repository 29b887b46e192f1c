/* filemap.h - a file's bytes, read-only. */
#ifndef MTLSWRAP_FILEMAP_H
#define MTLSWRAP_FILEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct filemap {
    void *data; /* NULL for an empty file */
    size_t size;
    struct stat st;
};

/* False with errno when it is no readable regular file. */
bool filemap_open(struct filemap *m, const char *path);
void filemap_close(struct filemap *m);

#endif
