/* aio.c - hooks: asynchronous I/O. libc's threads would read and write inside libc, so requests on managed
 * descriptors go to ours. aio_error and aio_return read the request itself and need no help. */
#include "hook.h"

#include <aio.h>
#include <time.h>

#include "aio_queue.h"

enum { SLICE = 5 }; /* ms between looks at requests of libc's */

static bool managed(const struct aiocb *cb) {
    core_init();
    return cb && fdtable_entry(cb->aio_fildes) && fdtable_slot(cb->aio_fildes);
}

EXPORT int aio_read(struct aiocb *cb) {
    return managed(cb) ? aio_queue_submit(cb, LIO_READ, NULL) : real.aio_read(cb);
}

EXPORT int aio_write(struct aiocb *cb) {
    return managed(cb) ? aio_queue_submit(cb, LIO_WRITE, NULL) : real.aio_write(cb);
}

static bool pending(const struct aiocb *cb) {
    return cb && __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE) == EINPROGRESS;
}

struct census {
    int ours, libcs, done;
};

static struct census count(const struct aiocb *const list[], int n) {
    struct census c = {0};
    for (int i = 0; i < n; i++)
        if (list[i] && !pending(list[i]))
            c.done++;
        else if (list[i] && aio_queue_has(list[i]))
            c.ours++;
        else if (list[i] && pending(list[i]))
            c.libcs++;
        else if (list[i])
            c.done++;
    return c;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

EXPORT int aio_suspend(const struct aiocb *const list[], int n, const struct timespec *timeout) {
    core_init();
    int64_t end = timeout ? now_ns() + (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec : INT64_MAX;
    while (aio_queue_pending()) {
        uint32_t seen = aio_queue_completions();
        struct census c = count(list, n);
        if (c.done)
            return 0;
        if (!c.ours)
            break;
        int64_t left = timeout ? end - now_ns() : INT64_MAX;
        if (left <= 0) {
            errno = EAGAIN;
            return -1;
        }
        int64_t slice = SLICE * 1000000;
        if (c.libcs && left > slice) /* theirs wake nobody here */
            left = slice;
        struct timespec t = {left / 1000000000, left % 1000000000};
        if (aio_queue_wait(seen, timeout || c.libcs ? &t : NULL) && errno == EINTR)
            return -1;
    }
    return real.aio_suspend(list, n, timeout);
}

EXPORT int aio_cancel(int fd, struct aiocb *cb) {
    core_init();
    int r = aio_queue_cancel(fd, cb);
    if (r >= 0)
        return r;
    return fdtable_entry(fd) && fdtable_slot(fd) ? AIO_ALLDONE : real.aio_cancel(fd, cb);
}

static bool any_managed(struct aiocb *const list[], int n) {
    for (int i = 0; i < n; i++)
        if (list[i] && list[i]->aio_lio_opcode != LIO_NOP && managed(list[i]))
            return true;
    return false;
}

/* Returns how many could not be queued. */
static int submit_all(int mode, struct aiocb *const list[], int n, struct aio_group *g) {
    int failed = 0;
    for (int i = 0; i < n; i++) {
        if (!list[i] || list[i]->aio_lio_opcode == LIO_NOP)
            continue;
        if (mode == LIO_WAIT)
            list[i]->aio_sigevent.sigev_notify = SIGEV_NONE;
        if (aio_queue_submit(list[i], list[i]->aio_lio_opcode, g))
            failed++;
    }
    return failed;
}

/* A list with a managed descriptor in it is ours as a whole, so that its end can be told. */
EXPORT int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *event) {
    core_init();
    if ((mode != LIO_WAIT && mode != LIO_NOWAIT) || !any_managed(list, n))
        return real.lio_listio(mode, list, n, event);
    struct aio_group *g = aio_queue_group(mode == LIO_NOWAIT ? event : NULL);
    if (!g) {
        errno = EAGAIN;
        return -1;
    }
    return aio_queue_group_end(g, submit_all(mode, list, n, g), mode == LIO_WAIT);
}

EXPORT int aio_read64(struct aiocb64 *cb) {
    return aio_read((struct aiocb *)cb);
}

EXPORT int aio_write64(struct aiocb64 *cb) {
    return aio_write((struct aiocb *)cb);
}

EXPORT int aio_suspend64(const struct aiocb64 *const list[], int n, const struct timespec *timeout) {
    return aio_suspend((const struct aiocb *const *)list, n, timeout);
}

EXPORT int aio_cancel64(int fd, struct aiocb64 *cb) {
    return aio_cancel(fd, (struct aiocb *)cb);
}

EXPORT int lio_listio64(int mode, struct aiocb64 *const list[], int n, struct sigevent *event) {
    return lio_listio(mode, (struct aiocb *const *)list, n, event);
}
