/* aio_queue.c - threads that serve asynchronous requests: one per descriptor that has any, in their order, as
 * libc does it. A thread ends with its last request. */
#include "aio_queue.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hook.h"
#include "log.h"

struct aio_group {
    unsigned left; /* under lock */
    bool waited;   /* its caller waits for it and frees it */
    bool failed;
    struct sigevent event;
};

struct request {
    struct aiocb *cb;
    int op; /* LIO_READ, LIO_WRITE */
    struct aio_group *group;
    struct request *next;
    struct sigevent event; /* when it is done */
    int error;
};

struct queue {
    int fd;
    struct request *first; /* the one at work */
    struct queue *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue *queues;         /* under lock */
static pid_t owner;                  /* under lock: threads do not survive a fork, nor do their requests */
static _Atomic uint32_t completions; /* futex word */
static _Atomic unsigned requests;    /* not yet done */
enum { PRIORITY_MAX = 20 };          /* AIO_PRIO_DELTA_MAX */

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

/* The request is the program's again as soon as its error code says so. lock is held, so that nobody finds a
 * request that is neither done nor here. */
static void publish(struct request *r, ssize_t result, int error) {
    r->event = r->cb->aio_sigevent;
    r->error = error;
    r->cb->__return_value = result;
    __atomic_store_n(&r->cb->__error_code, error, __ATOMIC_RELEASE);
}

/* Tells of what was published. */
static void complete(struct request *r) {
    notify(&r->event);
    pthread_mutex_lock(&lock);
    struct aio_group *g = r->group;
    bool last = g && !--g->left;
    if (g && r->error)
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
    log_aside();
    pthread_mutex_lock(&lock);
    while (q->first) {
        struct request *r = q->first;
        pthread_mutex_unlock(&lock);
        ssize_t n = perform(r);
        int error = n < 0 ? errno : 0;
        pthread_mutex_lock(&lock);
        q->first = r->next;
        publish(r, n, error);
        pthread_mutex_unlock(&lock);
        complete(r);
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

int aio_queue_submit(struct aiocb *cb, int op, struct aio_group *g) {
    struct request *r = calloc(1, sizeof *r);
    bool valid = cb->aio_reqprio >= 0 && cb->aio_reqprio <= PRIORITY_MAX;
    cb->__return_value = 0;
    __atomic_store_n(&cb->__error_code, EINPROGRESS, __ATOMIC_RELEASE);
    renew_after_fork();
    pthread_mutex_lock(&lock);
    if (r)
        *r = (struct request){.cb = cb, .op = op, .group = g};
    atomic_fetch_add(&requests, 1);
    bool queued = valid && r && enqueue(r);
    if (queued && g)
        g->left++;
    pthread_mutex_unlock(&lock);
    if (queued)
        return 0;
    atomic_fetch_sub(&requests, 1);
    free(r);
    cb->__return_value = -1;
    errno = cb->__error_code = valid ? EAGAIN : EINVAL;
    return -1;
}

/* Takes what has not begun out of q, as cancelled; lock is held. Returns what was taken out. */
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
            publish(r, -1, ECANCELED);
        } else {
            p = &(*p)->next;
        }
    return out;
}

bool aio_queue_has(const struct aiocb *cb) {
    bool found = false;
    pthread_mutex_lock(&lock);
    for (struct queue *q = queues; q && !found; q = q->next)
        for (struct request *r = q->first; r && !found; r = r->next)
            found = r->cb == cb;
    pthread_mutex_unlock(&lock);
    return found;
}

/* Waits for a completion of ours after the one that was seen. */
int aio_queue_wait(uint32_t seen, const struct timespec *timeout) {
    return (int)real.syscall(SYS_futex, &completions, FUTEX_WAIT_PRIVATE, seen, timeout, NULL, 0);
}

struct aio_group *aio_queue_group(const struct sigevent *event) {
    struct aio_group *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    renew_after_fork();
    g->left = 1; /* the caller's own hold, until all are on their way */
    g->waited = true;
    g->event.sigev_notify = SIGEV_NONE;
    if (event)
        g->event = *event;
    return g;
}

/* A signal ends the wait; the group is then freed by whoever completes it. */
static int wait_for_group(struct aio_group *g) {
    bool done = false, interrupted = false;
    while (!done && !interrupted) {
        uint32_t seen = atomic_load(&completions);
        pthread_mutex_lock(&lock);
        done = !g->left;
        pthread_mutex_unlock(&lock);
        interrupted = !done && aio_queue_wait(seen, NULL) && errno == EINTR;
    }
    pthread_mutex_lock(&lock);
    done = !g->left;
    g->waited = done;
    bool failed = done && g->failed;
    pthread_mutex_unlock(&lock);
    if (done)
        free(g);
    if (!done || failed)
        errno = done ? EIO : EINTR;
    return !done || failed ? -1 : 0;
}

int aio_queue_group_end(struct aio_group *g, int failed, bool wait) {
    pthread_mutex_lock(&lock);
    bool all_done = !--g->left;
    g->failed |= failed > 0;
    g->waited = wait;
    pthread_mutex_unlock(&lock);
    if (wait)
        return wait_for_group(g);
    if (all_done) {
        notify(&g->event);
        free(g);
    }
    if (failed)
        errno = EAGAIN;
    return failed ? -1 : 0;
}

int aio_queue_cancel(int fd, struct aiocb *cb) {
    bool at_work = false;
    renew_after_fork();
    pthread_mutex_lock(&lock);
    struct queue *q = find_queue(fd);
    struct request *r = q ? take_waiting(q, cb, &at_work) : NULL;
    pthread_mutex_unlock(&lock);
    bool some = r;
    while (r) {
        struct request *next = r->next;
        complete(r);
        r = next;
    }
    return !q ? -1 : at_work ? AIO_NOTCANCELED : some ? AIO_CANCELED : AIO_ALLDONE;
}

unsigned aio_queue_pending(void) {
    return atomic_load(&requests);
}

uint32_t aio_queue_completions(void) {
    return atomic_load(&completions);
}
