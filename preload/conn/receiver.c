/* receiver.c - who is at the other end of an AF_UNIX socket, and does it run under us? Looks into /proc;
 * knows nothing of messages and tickets.
 *
 * A process that has given up its user or its root does not see into other processes any more. What such
 * processes hand connections to is usually listened to by the one that started them: the parent is looked at
 * while it can be seen. */
#include "receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "confine.h"
#include "fdtable.h"
#include "real.h"

static pid_t parent; /* runs under us; nobody if another number is our parent's by now */

/* Is our object among the files that the process has mapped? */
static bool has_us(pid_t pid) {
    static const char object[] = "libmtlswrap.so";
    enum { OVERLAP = sizeof object - 2 };
    char path[40], text[4096 + OVERLAP];
    size_t have = 0;
    bool found = false;
    if (confine_lost(CONFINE_FILES))
        return false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && !found && (n = real.read(fd, text + have, 4096)) > 0;) {
        have += (size_t)n;
        found = memmem(text, have, object, sizeof object - 1) != NULL;
        size_t keep = have < OVERLAP ? have : OVERLAP;
        memmove(text, text + have - keep, keep);
        have = keep;
    }
    if (fd >= 0)
        real.close(fd);
    return found;
}

void receiver_settle(void) {
    int saved = errno;
    pid_t now = getppid();
    if (now != parent && (!atomic_load(&fdtable_size) || fdtable_mine()) && has_us(now))
        parent = now;
    errno = saved;
}

/* A pair made before a fork names its maker, whose children we are or have. */
struct receiver receiver_of(int fd) {
    struct receiver r = {0};
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (real.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.pid <= 0) {
        snprintf(r.name, sizeof r.name, "a receiver that cannot be known");
        return r;
    }
    bool gone = kill(peer.pid, 0) && errno == ESRCH;
    r.family = peer.uid == geteuid();
    r.protects = peer.pid == getpid() || (gone && r.family) ||
                 (peer.pid == parent && peer.pid == getppid()) || has_us(peer.pid);
    snprintf(r.name, sizeof r.name, "process %d, which does not run under mtlswrap", (int)peer.pid);
    return r;
}
