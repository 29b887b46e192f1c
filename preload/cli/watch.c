/* watch.c - waits for the proof, and judges when it does not come. Touches the watched process only through
 * its pidfd, so a recycled pid can never be hit. */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROOF, DEATH, EXEC, FDS };
/* ld.so maps the preloaded object before any other. So a process that has other objects but not ours is
 * judged after two looks; one that shows no object at all or cannot be looked at gets the whole time. */
enum { LOOK_MS = 2, LOOKS_WITHOUT = 2, GIVE_UP_MS = 10000, MAPS_MAX = 1 << 18 };

/* Moves the three descriptors to 3, 4, 5 and closes everything else but standard error. */
static void keep_only(struct pollfd *fds) {
    for (int i = 0; i < FDS; i++)
        fds[i].fd = fcntl(fds[i].fd, F_DUPFD, 16);
    for (int i = 0; i < FDS; i++)
        fds[i].fd = dup2(fds[i].fd, 3 + i);
    close(0);
    close(1);
    if (syscall(SYS_close_range, 3 + FDS, ~0U, 0) != 0) /* Linux 5.9 */
        for (int fd = 3 + FDS; fd < 1024; fd++)
            close(fd);
}

static bool starts_loader(const char *name) {
    return strncmp(name, "ld-", 3) == 0 || strncmp(name, "ld.so", 5) == 0;
}

enum watch_sight watch_sight(const char *maps, const char *exe, const char *library) {
    const char *own = strrchr(library, '/') ? strrchr(library, '/') + 1 : library;
    enum watch_sight sight = WATCH_EARLY;
    for (const char *line = maps; *line;) {
        size_t len = strcspn(line, "\n");
        char path[PATH_MAX];
        const char *from = memchr(line, '/', len);
        size_t n = from ? len - (size_t)(from - line) : 0;
        if (n && n < sizeof path) {
            memcpy(path, from, n);
            path[n] = 0;
            const char *name = strrchr(path, '/') + 1;
            if (strncmp(name, own, strlen(own)) == 0)
                return WATCH_LOADED;
            if (strstr(name, ".so") && !starts_loader(name) && strcmp(path, exe) != 0)
                sight = WATCH_WITHOUT;
        }
        line += line[len] ? len + 1 : len;
    }
    return sight;
}

static enum watch_sight look(const struct watch *w) {
    char name[64], exe[PATH_MAX];
    snprintf(name, sizeof name, "/proc/%d/exe", (int)w->pid);
    ssize_t n = readlink(name, exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = 0;
    snprintf(name, sizeof name, "/proc/%d/maps", (int)w->pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    char *maps = fd >= 0 ? malloc(MAPS_MAX) : NULL;
    size_t got = 0;
    while (maps && got < MAPS_MAX - 1 && (n = read(fd, maps + got, MAPS_MAX - 1 - got)) > 0)
        got += (size_t)n;
    enum watch_sight sight = WATCH_EARLY;
    if (maps) {
        maps[got] = 0;
        sight = watch_sight(maps, exe, w->library);
    }
    free(maps);
    if (fd >= 0)
        close(fd);
    return sight;
}

/* Stopped (a debugger, a frozen group) or waiting for a disk: such a process sends nothing either. */
static bool is_held(const struct watch *w) {
    char name[64], stat[512];
    snprintf(name, sizeof name, "/proc/%d/stat", (int)w->pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, stat, sizeof stat - 1) : -1;
    if (fd >= 0)
        close(fd);
    stat[n > 0 ? n : 0] = 0;
    const char *after = strrchr(stat, ')'); /* the name before it may hold anything */
    return after && after[1] == ' ' && strchr("TtD", after[2]) && after[2];
}

static void accuse(const struct watch *w, const struct pollfd *fds) {
    char line[PATH_MAX + 128];
    int n = snprintf(line, sizeof line,
                     "mtlswrap: error: %s started without libmtlswrap.so; its traffic would be plaintext\n",
                     w->program);
    if (w->kill_it)
        syscall(SYS_pidfd_send_signal, fds[DEATH].fd, SIGKILL, NULL, 0);
    ssize_t ignored = write(2, line, (size_t)(n < (int)sizeof line ? n : (int)sizeof line - 1));
    (void)ignored; /* nobody left to tell */
}

/* True when the watcher's work is done: proof seen, or judged. */
static bool judge(const struct watch *w, struct pollfd *fds) {
    char byte;
    if (fds[PROOF].revents && read(fds[PROOF].fd, &byte, 1) == 1)
        return true;
    if (fds[PROOF].revents || fds[DEATH].revents) {
        accuse(w, fds);
        return true;
    }
    return false;
}

_Noreturn void watch_run(const struct watch *w) {
    static const int ignore[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP};
    for (size_t i = 0; i < sizeof ignore / sizeof *ignore; i++)
        signal(ignore[i], SIG_IGN);
    struct pollfd fds[FDS] = {{w->proof_in, POLLIN, 0}, {w->pidfd, POLLIN, 0}, {w->exec_in, POLLIN, 0}};
    keep_only(fds);
    prctl(PR_SET_NAME, "mtlswrap-watch");
    if (chdir("/") != 0) /* keeps no file system busy; harmless when it fails */
        errno = 0;
    int without = 0, waited = 0;
    for (bool running = false;;) {
        int n = poll(fds, running ? EXEC : FDS, running ? LOOK_MS : -1);
        if (n > 0 && judge(w, fds))
            break;
        if (fds[EXEC].revents)
            running = true; /* and the third descriptor is polled no more */
        if (!running || n > 0)
            continue;
        waited += is_held(w) ? 0 : LOOK_MS;
        without = look(w) == WATCH_WITHOUT ? without + 1 : 0;
        if (without >= LOOKS_WITHOUT || waited >= GIVE_UP_MS) {
            if (poll(fds, EXEC, 0) <= 0 || !judge(w, fds)) /* it may have come while we looked */
                accuse(w, fds);
            break;
        }
    }
    _exit(0);
}
