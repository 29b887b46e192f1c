/* streams.c - which streams have to come through us: the standard ones while their descriptors are managed,
 * and those that programs make on sockets. Formats nothing; knows no hook. */
#include "streams.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "fdtable.h"
#include "log.h"
#include "real.h"
#include "reserve.h"
#include "streams_swap.h"

/* libc's own list of streams and its lock; exported, declared nowhere. */
extern FILE *_IO_list_all;
void _IO_list_lock(void);
void _IO_list_unlock(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream *streams; /* under lock: all but the standard ones */
static struct stream standard[3];
static char room[3][SOCKET_BLOCK] RESERVE;
_Atomic bool streams_replaced;
static _Atomic bool aliases; /* a program knows a stream of libc's that ours stands in for */

/* From now on ours is awake instead of f. NULL: no memory. */
static struct stream *begin(FILE *f, int fd) {
    struct stream *t = calloc(1, sizeof *t);
    if (!t || !streams_swap_make(t)) {
        free(t);
        return NULL;
    }
    t->fd = fd;
    t->libcs = f;
    streams_swap(t, true);
    pthread_mutex_lock(&lock);
    t->next = streams;
    streams = t;
    pthread_mutex_unlock(&lock);
    return t;
}

static FILE *alias_of(FILE *f) {
    pthread_mutex_lock(&lock);
    for (const struct stream *t = streams; t; t = t->next)
        if (t->libcs == f) {
            f = t->ours;
            break;
        }
    pthread_mutex_unlock(&lock);
    return f;
}

/* --- standard streams ---------------------------------------------------------------------------- */

static FILE **variable(int fd) {
    return fd == 0 ? &stdin : fd == 1 ? &stdout : &stderr;
}

/* The program may have put a stream of its own there, which may be on any descriptor. */
static bool std_prepare(int fd) {
    struct stream *t = &standard[fd];
    if (t->libcs)
        return true;
    FILE *f = *variable(fd);
    if (!f || f->_fileno != fd || streams_ours(f))
        return false;
    t->fd = fd;
    t->libcs = streams_swap_make(t) ? f : NULL;
    return t->libcs != NULL;
}

static void std_wake(int fd) {
    struct stream *t = &standard[fd];
    if (!std_prepare(fd) || t->awake || t->libcs->_fileno != fd)
        return;
    if (t->libcs->_mode > 0) {
        log_warn("a standard stream with wide characters becomes a protected connection; it fails");
        t->mute = true;
        t->libcs->_fileno = -1;
        return;
    }
    t->over = false;
    streams_swap(t, true);
    streams_swap_give_buffer(t->ours, room[fd], true);
    if (*variable(fd) == t->libcs)
        *variable(fd) = t->ours;
}

static void std_sleep(int fd) {
    struct stream *t = &standard[fd];
    if (t->mute) {
        t->libcs->_fileno = fd;
        t->mute = false;
    }
    if (!t->awake)
        return;
    streams_swap_take_buffer(t->ours, room[fd]);
    streams_swap(t, false);
    if (*variable(fd) == t->ours)
        *variable(fd) = t->libcs;
}

void streams_std_sync(int fd) {
    if ((unsigned)fd > 2 || (!standard[fd].awake && !standard[fd].mute && !fdtable_entry(fd)) ||
        !fdtable_mine())
        return;
    int saved = errno;
    if (fdtable_slot(fd))
        std_wake(fd);
    else
        std_sleep(fd);
    errno = saved;
}

void streams_std_ready(void) {
    for (int fd = 0; fd <= 2; fd++)
        streams_std_sync(fd);
}

/* A stream of libc's that the program opened on another file. */
static FILE *libcs_on(int fd) {
    FILE *f;
    _IO_list_lock();
    for (f = _IO_list_all; f && (f->_fileno != fd || streams_ours(f)); f = f->_chain)
        ;
    _IO_list_unlock();
    return f;
}

/* The program goes on naming it, so calls are led from it to ours; those that are not fail. */
static void stand_in(FILE *f, int fd) {
    atomic_store(&aliases, true);
    if (f->_mode <= 0 && begin(f, fd))
        return;
    log_warn("descriptor %d becomes a protected connection while a stdio stream is on it; the stream fails",
             fd);
    f->_fileno = -1;
}

void streams_expect(int fd) {
    int saved = errno;
    if (!fdtable_mine())
        return;
    if ((unsigned)fd <= 2)
        std_wake(fd);
    for (FILE *f = libcs_on(fd); f; f = libcs_on(fd))
        stand_in(f, fd);
    errno = saved;
}

FILE *streams_now(FILE *f) {
    for (int fd = 0; fd <= 2; fd++)
        if (f && (f == standard[fd].ours || f == standard[fd].libcs))
            return standard[fd].awake ? standard[fd].ours : standard[fd].libcs;
    return atomic_load(&aliases) ? alias_of(f) : f;
}

/* --- other streams ------------------------------------------------------------------------------- */

static bool may_yet_be(int fd) {
    int protocol = 0;
    socklen_t len = sizeof protocol;
    struct sockaddr_storage peer;
    if (real.getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) ||
        (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP))
        return false;
    len = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &len) != 0;
}

bool streams_wanted(int fd) {
    int saved = errno;
    bool wanted = fdtable_slot(fd) || may_yet_be(fd);
    errno = saved;
    return wanted;
}

/* Our stream borrows libc's for its room for wide characters, so that one lives on, asleep. */
static void discard(FILE *f) {
    f->_fileno = -1;
    real.fclose(f);
}

FILE *streams_cover(FILE *f, int fd) {
    struct stream *t = begin(f, fd);
    if (!t) {
        discard(f);
        errno = ENOMEM;
        return NULL;
    }
    streams_swap_give_buffer(t->ours, malloc(SOCKET_BLOCK), false);
    return t->ours;
}

static struct stream *unlink_stream(FILE *f) {
    struct stream *found = NULL;
    pthread_mutex_lock(&lock);
    for (struct stream **p = &streams; *p && !found; p = &(*p)->next)
        if ((*p)->ours == f || (*p)->libcs == f) {
            found = *p;
            *p = found->next;
            break;
        }
    pthread_mutex_unlock(&lock);
    return found;
}

static struct stream *std_of(const FILE *f) {
    for (int fd = 0; fd <= 2; fd++)
        if (standard[fd].libcs && (f == standard[fd].ours || f == standard[fd].libcs))
            return &standard[fd];
    return NULL;
}

bool streams_ours(FILE *f) {
    struct stream *found;
    if (std_of(f))
        return true;
    pthread_mutex_lock(&lock);
    for (found = streams; found && found->ours != f; found = found->next)
        ;
    pthread_mutex_unlock(&lock);
    return found;
}

/* The object stays, as libc's does: programs go on naming it. */
static int std_close(struct stream *t) {
    bool awake = t->awake;
    int r = 0;
    if (awake) {
        r = real.fflush(t->ours);
        if (streams_swap_close(t->fd))
            r = EOF;
        std_sleep(t->fd);
        t->libcs->_fileno = -1;
    }
    int saved = errno, closed = real.fclose(t->libcs);
    if (awake)
        errno = saved;
    return awake ? r : closed;
}

int streams_close(FILE *f) {
    struct stream *t = std_of(f);
    if (t)
        return std_close(t);
    t = unlink_stream(f);
    if (!t)
        return real.fclose(f);
    int r = real.fclose(t->ours), saved = errno;
    discard(t->libcs);
    free(t);
    errno = saved;
    return r;
}

/* Its room for wide characters lies in the sleeping stream, which therefore stays. */
void streams_uncover(FILE *f) {
    free(unlink_stream(f));
}

static void flush_one(struct stream *t) {
    if (t->awake && !ftrylockfile(t->ours)) {
        real.fflush(t->ours);
        funlockfile(t->ours);
    }
    t->over = fdtable_slot(t->fd) != NULL;
}

void streams_finish(void) {
    if (!atomic_load(&streams_replaced) || !fdtable_mine())
        return;
    for (int fd = 0; fd <= 2; fd++)
        flush_one(&standard[fd]);
    pthread_mutex_lock(&lock);
    for (struct stream *t = streams; t; t = t->next)
        flush_one(t);
    pthread_mutex_unlock(&lock);
}

void streams_forked(void) {
    pthread_mutex_init(&lock, NULL);
}
