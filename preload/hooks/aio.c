/* aio.c - hooks: asynchronous I/O. libc's threads would read and write inside libc, so requests on managed
 * descriptors are served by threads of ours: one per descriptor that has requests, in their order, as libc
 * does it. aio_error and aio_return read the request itself and need no help. */
#include "hook.h"

#include <aio.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What lio_listio asked for in one call. */
struct group {
    unsigned left; /* under lock */
    bool waited;   /* its caller waits for it and frees it */
    bool failed;
    struct sigevent event;
};

struct request {
    struct aiocb *cb;
    int op; /* LIO_READ, LIO_WRITE */
    struct group *group;
    struct request *next;
};

struct queue {
    int fd;
    struct request *first; /* the one at work */
    struct queue *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue *queues;           /* under lock */
static pid_t owner;                    /* under lock: threads do not survive a fork, nor do their requests */
static _Atomic uint32_t completions;   /* futex word */
static _Atomic unsigned requests;      /* not yet done */
enum { PRIORITY_MAX = 20, SLICE = 5 }; /* AIO_PRIO_DELTA_MAX; ms between looks at requests of libc's */

/* --- telling the program ------------------------------------------------------------------------- */

struct call {
    void (*function)(union sigval);
    union sigval value;
};

static void *make_call(void *arg) {
    struct call c = *(struct call *)arg;
    free(arg);
    c.function(c.value);
    return NULL;
}

static void call_in_thread(const struct sigevent *e) {
    struct call *c = malloc(sizeof *c);
    pthread_attr_t plain, *attributes = e->sigev_notify_attributes;
    pthread_t thread;
    if (!c)
        return;
    *c = (struct call){e->sigev_notify_function, e->sigev_value};
    if (!attributes) {
        pthread_attr_init(&plain);
        pthread_attr_setdetachstate(&plain, PTHREAD_CREATE_DETACHED);
        attributes = &plain;
    }
    if (pthread_create(&thread, attributes, make_call, c))
        free(c);
    if (attributes == &plain)
        pthread_attr_destroy(&plain);
}

static void notify(const struct sigevent *e) {
    if (e->sigev_notify == SIGEV_THREAD) {
        call_in_thread(e);
    } else if (e->sigev_notify == SIGEV_SIGNAL) {
        siginfo_t info = {.si_signo = e->sigev_signo, .si_code = SI_ASYNCIO};
        info.si_pid = getpid();
        info.si_uid = getuid();
        info.si_value = e->sigev_value;
        real.syscall(SYS_rt_sigqueueinfo, getpid(), e->sigev_signo, &info);
    }
}

/* --- the work ------------------------------------------------------------------------------------ */

static ssize_t perform(const struct request *r) {
    struct aiocb *cb = r->cb;
    void *buf = (void *)(uintptr_t)cb->aio_buf;
    ssize_t n = -1;
    bool managed = fdtable_entry(cb->aio_fildes) && fdtable_slot(cb->aio_fildes);
    errno = ESPIPE;
    if (!managed)
        n = r->op == LIO_READ ? pread(cb->aio_fildes, buf, cb->aio_nbytes, cb->aio_offset)
                              : pwrite(cb->aio_fildes, buf, cb->aio_nbytes, cb->aio_offset);
    while (n < 0 && (errno == ESPIPE || errno == EINTR))
        n = r->op == LIO_READ ? read(cb->aio_fildes, buf, cb->aio_nbytes)
                              : write(cb->aio_fildes, buf, cb->aio_nbytes);
    return n;
}

/* The request is the program's again as soon as its error code says so. */
static void complete(struct request *r, ssize_t result, int error) {
    struct sigevent event = r->cb->aio_sigevent;
    r->cb->__return_value = result;
    __atomic_store_n(&r->cb->__error_code, error, __ATOMIC_RELEASE);
    notify(&event);
    pthread_mutex_lock(&lock);
    struct group *g = r->group;
    bool last = g && !--g->left;
    if (g && error)
        g->failed = true;
    bool ours = last && !g->waited;
    pthread_mutex_unlock(&lock);
    if (ours) {
        notify(&g->event);
        free(g);
    }
    atomic_fetch_sub(&requests, 1);
    atomic_fetch_add(&completions, 1);
    real.syscall(SYS_futex, &completions, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    free(r);
}

static void remove_queue(struct queue *q) {
    for (struct queue **p = &queues; *p; p = &(*p)->next)
        if (*p == q) {
            *p = q->next;
            break;
        }
    free(q);
}

static void *work(void *arg) {
    struct queue *q = arg;
    pthread_mutex_lock(&lock);
    while (q->first) {
        struct request *r = q->first;
        pthread_mutex_unlock(&lock);
        ssize_t n = perform(r);
        int error = n < 0 ? errno : 0;
        pthread_mutex_lock(&lock);
        q->first = r->next;
        pthread_mutex_unlock(&lock);
        complete(r, n, error);
        pthread_mutex_lock(&lock);
    }
    remove_queue(q);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* The program's signals are none of our thread's business. */
static bool start_worker(struct queue *q) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = !pthread_create(&thread, &attributes, work, q);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static struct queue *find_queue(int fd) {
    for (struct queue *q = queues; q; q = q->next)
        if (q->fd == fd)
            return q;
    return NULL;
}

/* lock is held. */
static bool enqueue(struct request *r) {
    struct queue *q = find_queue(r->cb->aio_fildes);
    if (q) {
        struct request **p = &q->first;
        while (*p)
            p = &(*p)->next;
        *p = r;
        return true;
    }
    q = calloc(1, sizeof *q);
    if (!q)
        return false;
    *q = (struct queue){r->cb->aio_fildes, r, queues};
    if (!start_worker(q)) {
        free(q);
        return false;
    }
    queues = q;
    return true;
}

static void renew_after_fork(void) {
    if (__atomic_load_n(&owner, __ATOMIC_ACQUIRE) == getpid())
        return;
    if (owner) {
        pthread_mutex_init(&lock, NULL);
        queues = NULL;
        atomic_store(&requests, 0);
    }
    __atomic_store_n(&owner, getpid(), __ATOMIC_RELEASE);
}

static int submit(struct aiocb *cb, int op, struct group *g) {
    struct request *r = calloc(1, sizeof *r);
    bool valid = cb->aio_reqprio >= 0 && cb->aio_reqprio <= PRIORITY_MAX;
    cb->__return_value = 0;
    __atomic_store_n(&cb->__error_code, EINPROGRESS, __ATOMIC_RELEASE);
    renew_after_fork();
    pthread_mutex_lock(&lock);
    if (r)
        *r = (struct request){cb, op, g, NULL};
    atomic_fetch_add(&requests, 1);
    bool queued = valid && r && enqueue(r);
    pthread_mutex_unlock(&lock);
    if (queued)
        return 0;
    atomic_fetch_sub(&requests, 1);
    free(r);
    cb->__return_value = -1;
    errno = cb->__error_code = valid ? EAGAIN : EINVAL;
    return -1;
}

/* --- the calls ----------------------------------------------------------------------------------- */

static bool managed(const struct aiocb *cb) {
    core_init();
    return cb && fdtable_entry(cb->aio_fildes) && fdtable_slot(cb->aio_fildes);
}

EXPORT int aio_read(struct aiocb *cb) {
    return managed(cb) ? submit(cb, LIO_READ, NULL) : real.aio_read(cb);
}

EXPORT int aio_write(struct aiocb *cb) {
    return managed(cb) ? submit(cb, LIO_WRITE, NULL) : real.aio_write(cb);
}

static bool pending(const struct aiocb *cb) {
    return cb && __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE) == EINPROGRESS;
}

static bool is_ours(const struct aiocb *cb) {
    bool found = false;
    pthread_mutex_lock(&lock);
    for (struct queue *q = queues; q && !found; q = q->next)
        for (struct request *r = q->first; r && !found; r = r->next)
            found = r->cb == cb;
    pthread_mutex_unlock(&lock);
    return found;
}

/* Waits for a completion of ours after the one that was seen. */
static int wait_for(uint32_t seen, const struct timespec *timeout) {
    return (int)real.syscall(SYS_futex, &completions, FUTEX_WAIT_PRIVATE, seen, timeout, NULL, 0);
}

struct census {
    int ours, libcs, done;
};

static struct census count(const struct aiocb *const list[], int n) {
    struct census c = {0};
    for (int i = 0; i < n; i++)
        if (list[i] && !pending(list[i]))
            c.done++;
        else if (list[i] && is_ours(list[i]))
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
    while (atomic_load(&requests)) {
        uint32_t seen = atomic_load(&completions);
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
        if (wait_for(seen, timeout || c.libcs ? &t : NULL) && errno == EINTR)
            return -1;
    }
    return real.aio_suspend(list, n, timeout);
}

/* Takes what has not begun out of q; lock is held. Returns what was taken out. */
static struct request *take_waiting(struct queue *q, const struct aiocb *cb, bool *at_work) {
    struct request *out = NULL;
    *at_work = q->first && (!cb || q->first->cb == cb);
    struct request **p = q->first ? &q->first->next : &q->first;
    while (*p)
        if (!cb || (*p)->cb == cb) {
            struct request *r = *p;
            *p = r->next;
            r->next = out;
            out = r;
        } else {
            p = &(*p)->next;
        }
    return out;
}

EXPORT int aio_cancel(int fd, struct aiocb *cb) {
    core_init();
    bool at_work = false;
    renew_after_fork();
    pthread_mutex_lock(&lock);
    struct queue *q = find_queue(fd);
    struct request *r = q ? take_waiting(q, cb, &at_work) : NULL;
    pthread_mutex_unlock(&lock);
    bool some = r;
    while (r) {
        struct request *next = r->next;
        complete(r, -1, ECANCELED);
        r = next;
    }
    if (!q && !(fdtable_entry(fd) && fdtable_slot(fd)))
        return real.aio_cancel(fd, cb);
    return at_work ? AIO_NOTCANCELED : some ? AIO_CANCELED : AIO_ALLDONE;
}

static int wait_for_group(struct group *g) {
    int r = 0;
    for (;;) {
        uint32_t seen = atomic_load(&completions);
        pthread_mutex_lock(&lock);
        bool done = !g->left;
        g->waited = done || !r;
        pthread_mutex_unlock(&lock);
        if (done || r)
            break;
        if (wait_for(seen, NULL) && errno == EINTR)
            r = EINTR;
    }
    if (!r) {
        r = g->failed ? EIO : 0;
        free(g);
    } else if (!g->left) {
        free(g);
    }
    errno = r ? r : errno;
    return r ? -1 : 0;
}

static bool any_managed(struct aiocb *const list[], int n) {
    for (int i = 0; i < n; i++)
        if (list[i] && list[i]->aio_lio_opcode != LIO_NOP && managed(list[i]))
            return true;
    return false;
}

/* A list with a managed descriptor in it is ours as a whole, so that its end can be told. */
EXPORT int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *event) {
    core_init();
    if ((mode != LIO_WAIT && mode != LIO_NOWAIT) || !any_managed(list, n))
        return real.lio_listio(mode, list, n, event);
    struct group *g = calloc(1, sizeof *g);
    if (!g) {
        errno = EAGAIN;
        return -1;
    }
    g->left = 1; /* our own hold, until all are on their way */
    g->waited = true;
    g->event.sigev_notify = SIGEV_NONE;
    if (event && mode == LIO_NOWAIT)
        g->event = *event;
    int failed = 0;
    for (int i = 0; i < n; i++) {
        if (!list[i] || list[i]->aio_lio_opcode == LIO_NOP)
            continue;
        pthread_mutex_lock(&lock);
        g->left++;
        pthread_mutex_unlock(&lock);
        if (mode == LIO_WAIT)
            list[i]->aio_sigevent.sigev_notify = SIGEV_NONE;
        if (submit(list[i], list[i]->aio_lio_opcode, g)) {
            failed++;
            pthread_mutex_lock(&lock);
            g->left--;
            pthread_mutex_unlock(&lock);
        }
    }
    pthread_mutex_lock(&lock);
    bool all_done = !--g->left;
    g->failed |= failed > 0;
    g->waited = mode == LIO_WAIT;
    pthread_mutex_unlock(&lock);
    if (mode == LIO_WAIT)
        return wait_for_group(g);
    if (all_done) {
        notify(&g->event);
        free(g);
    }
    if (failed)
        errno = EAGAIN;
    return failed ? -1 : 0;
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
