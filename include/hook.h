/* hook.h - what the rooms under preload/hooks share. A hook looks its descriptor up, delegates a managed one,
 * and else calls the real function; it knows nothing of TLS. */
#ifndef MTLSWRAP_HOOK_H
#define MTLSWRAP_HOOK_H

#include <errno.h>
#include <stddef.h>

#include "conn.h"
#include "core.h"
#include "fdtable.h"
#include "real.h"

#define EXPORT __attribute__((visibility("default")))

/* The kernel handed out this number: what the table still says about it is stale (an unseen close). */
void hook_fresh(int fd);
/* A descriptor is about to be closed or replaced: farewell if it is managed. */
void hook_release(int fd);
/* fd is a new descriptor for whatever old stands for. */
void hook_duplicated(int old, int fd);

/* The kernel does nothing at all for an empty vector, and judges a wrong one. */
static inline bool hook_any_bytes(const struct iovec *iov, int count) {
    for (int i = 0; i < count; i++)
        if (iov[i].iov_len)
            return true;
    return false;
}

/* A system call that a program makes by its number although libc has a function for it. True: a hook has
 * served it, with the result in *result. */
bool numbers_serve(long number, const long *args, long *result);

/* A fork by number (vsftpd's way into a namespace): served as a fork. */
bool process_copies(long number, const long *args, long *result);
/* The process is about to end by this call: delivers what is left. */
void process_ends(long number, long status);
/* The same for a call that confines the process (seccomp). */
bool confining_serve(long number, const long *args, long *result);

/* Symbols that no header declares. */
ssize_t __read(int, void *, size_t);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv(int, void *, size_t, int);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
ssize_t __write(int, const void *, size_t);
ssize_t __send(int, const void *, size_t, int);
int __sendmmsg(int, struct mmsghdr *, unsigned, int);
int __connect(int, const struct sockaddr *, socklen_t);
int __close(int);
int __dup2(int, int);
int __fcntl(int, int, ...);
int __poll(struct pollfd *, nfds_t, int);
int __poll_chk(struct pollfd *, nfds_t, int, size_t);
int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
int pidfd_getfd(int, int, unsigned);
int io_uring_queue_init(unsigned, struct io_uring *, unsigned);
int io_uring_queue_init_params(unsigned, struct io_uring *, struct io_uring_params *);
int io_uring_queue_init_mem(unsigned, struct io_uring *, struct io_uring_params *, void *, size_t);
int __select(int, fd_set *, fd_set *, fd_set *, struct timeval *);

#endif
