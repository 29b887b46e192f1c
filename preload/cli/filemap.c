/* filemap.c - maps whole files; knows nothing of what is in them. */
#include "filemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static bool map(struct filemap *m, int fd) {
    if (fstat(fd, &m->st) != 0)
        return false;
    if (!S_ISREG(m->st.st_mode)) {
        errno = EACCES;
        return false;
    }
    if (m->st.st_size == 0)
        return true;
    void *p = mmap(NULL, (size_t)m->st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return false;
    m->data = p;
    m->size = (size_t)m->st.st_size;
    return true;
}

bool filemap_open(struct filemap *m, const char *path) {
    *m = (struct filemap){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    if (fd < 0)
        return false;
    bool ok = map(m, fd);
    int saved = errno;
    close(fd);
    errno = saved;
    return ok;
}

void filemap_close(struct filemap *m) {
    if (m->data)
        munmap(m->data, m->size);
    *m = (struct filemap){0};
}
