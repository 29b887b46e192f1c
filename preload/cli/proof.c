/* proof.c - starts the watcher of proof.h. The process that calls it keeps its pid, gets no child it
 * would have to reap later, and has one descriptor more until the object's constructor closes it. */
#include "proof.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

enum { HIGH_FD = 200 }; /* out of the way of programs that count on small numbers */

static int proof_fd = -1; /* the write end; written once, by the only thread */

static void close_pair(const int *fd) {
    close(fd[0]);
    close(fd[1]);
}

/* Forks twice, so that the watcher is nobody's child here. */
static bool detach(const struct watch *w) {
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0) {
        pid_t watcher = fork();
        if (watcher == 0)
            watch_run(w);
        _exit(watcher < 0 ? 1 : 0);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    errno = EAGAIN;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool publish(int fd) {
    char number[16];
    int high = fcntl(fd, F_DUPFD, HIGH_FD); /* without close-on-exec: it must survive the exec */
    proof_fd = high >= 0 ? high : fcntl(fd, F_DUPFD, 3);
    if (proof_fd < 0)
        return false;
    close(fd);
    snprintf(number, sizeof number, "%d", proof_fd);
    return setenv("MTLSWRAP_PROOF", number, 1) == 0;
}

/* Orphans become children of process 1 and of subreapers, which the program then is itself: it would be left
 * with a child that it knows nothing of. */
static bool would_adopt(void) {
    int subreaper = 0;
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 && subreaper);
}

bool proof_start(const char *program, const char *library, bool kill_it) {
    struct watch w = {.program = program, .library = library, .pid = getpid(), .kill_it = kill_it};
    int proof[2], exec[2];
    if (would_adopt())
        return true;
    if (pipe2(proof, O_CLOEXEC) != 0)
        return false;
    if (pipe2(exec, O_CLOEXEC) != 0) {
        close_pair(proof);
        return false;
    }
    w.pidfd = (int)syscall(SYS_pidfd_open, w.pid, 0);
    w.proof_in = proof[0];
    w.exec_in = exec[0];
    bool ok = w.pidfd >= 0 && detach(&w);
    int saved = errno;
    if (w.pidfd >= 0)
        close(w.pidfd);
    close(proof[0]);
    close(exec[0]); /* exec[1] stays open on purpose: exec closes it, which is how the watcher knows */
    errno = saved;
    return ok && publish(proof[1]);
}

void proof_cancel(void) {
    ssize_t n = proof_fd >= 0 ? write(proof_fd, "x", 1) : 0;
    (void)n; /* the watcher has gone: nothing left to silence */
}
