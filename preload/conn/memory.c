/* memory.c - asks the kernel about the program's buffers, once per page and thread. */
#include "memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "confine.h"
#include "conn.h"

enum { PAGE_SHIFT = 12, FOR_READING = 1, FOR_WRITING = 2 };

static bool ask(uintptr_t page, int use) {
    if (confine_lost(CONFINE_MADVISE))
        return true;
    int saved = errno;
    int advice = use == FOR_WRITING ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    int r = madvise((void *)(page << PAGE_SHIFT), (size_t)1 << PAGE_SHIFT, advice);
    bool good = !r || (errno != EFAULT && errno != ENOMEM); /* older kernels know no such advice */
    errno = saved;
    return good;
}

/* Remembered: page number << 2 | what it was good for. A page that the program unmapped since then would
 * fault; that is a use after free of its own. */
static bool page_good(struct scratch *scratch, uintptr_t address, int use) {
    uintptr_t page = address >> PAGE_SHIFT;
    uintptr_t *slot = scratch ? &scratch->pages[page % CONN_PAGES] : NULL;
    if (slot && *slot >> 2 == page && (*slot & (uintptr_t)use))
        return true;
    if (!ask(page, use))
        return false;
    if (!slot)
        return true;
    uintptr_t before = *slot >> 2 == page ? *slot & 3 : 0;
    *slot = page << 2 | before | (uintptr_t)use;
    return true;
}

static bool good(const struct iovec *iov, int count, int use) {
    struct scratch *scratch = conn_scratch_so_far();
    for (int i = 0; i < count; i++) {
        uintptr_t first = (uintptr_t)iov[i].iov_base;
        if (!iov[i].iov_len)
            continue;
        if (!page_good(scratch, first, use) || !page_good(scratch, first + iov[i].iov_len - 1, use))
            return false;
    }
    return true;
}

bool memory_readable(const struct iovec *iov, int count) {
    return good(iov, count, FOR_READING);
}

bool memory_writable(const struct iovec *iov, int count) {
    return good(iov, count, FOR_WRITING);
}
