/* memory.c - asks the kernel about the program's buffers, once per page and thread. */
#include "memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "confine.h"
#include "conn.h"

enum { PAGE_SHIFT = 12, FOR_READING = 1, FOR_WRITING = 2, WAYS = 4 };

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

/* Where a page may be remembered. Buffers of many connections lie at even distances: their pages spread by
 * the golden ratio. */
static uintptr_t *ways_of(struct scratch *scratch, uintptr_t page) {
    uint64_t spread = page * UINT64_C(0x9e3779b97f4a7c15);
    return &scratch->pages[(spread >> 32) % (CONN_PAGES / WAYS) * WAYS];
}

/* The one that was remembered first makes room. */
static void remember(uintptr_t *ways, uintptr_t page, int use) {
    uintptr_t before = 0;
    size_t at = 0;
    while (at < WAYS - 1 && ways[at] >> 2 != page)
        at++;
    if (ways[at] >> 2 == page)
        before = ways[at] & 3;
    for (; at; at--)
        ways[at] = ways[at - 1];
    ways[0] = page << 2 | before | (uintptr_t)use;
}

/* Remembered: page number << 2 | what it was good for. A page that the program unmapped since then would
 * fault; that is a use after free of its own. */
static bool known(const uintptr_t *way, uintptr_t page, int use) {
    return *way >> 2 == page && (*way & (uintptr_t)use);
}

static bool page_good(struct scratch *scratch, uintptr_t page, int use) {
    uintptr_t *ways = scratch ? ways_of(scratch, page) : NULL;
    for (size_t i = 0; ways && i < WAYS; i++)
        if (known(&ways[i], page, use))
            return true;
    if (!ask(page, use))
        return false;
    if (ways)
        remember(ways, page, use);
    return true;
}

static bool good(const struct iovec *iov, int count, int use) {
    struct scratch *scratch = conn_scratch_so_far();
    for (int i = 0; i < count; i++) {
        uintptr_t at = (uintptr_t)iov[i].iov_base, first = at >> PAGE_SHIFT;
        uintptr_t last = (at + iov[i].iov_len - 1) >> PAGE_SHIFT;
        if (!iov[i].iov_len)
            continue;
        if (!page_good(scratch, first, use) || (last != first && !page_good(scratch, last, use)))
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
