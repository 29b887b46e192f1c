/* loader.c - runs `ld.so --list` (ld.so(8)) in a child and reads the answer. ld.so only warns when it cannot
 * take an object; here that becomes an answer before the program has made its first step. */
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 16 };

_Noreturn static void ask(const char *loader, const char *image, const char *library, int out) {
    if (dup2(out, 1) < 0 || dup2(out, 2) < 0 || setenv("LD_PRELOAD", library, 1) != 0)
        _exit(1);
    execl(loader, loader, "--list", image, (char *)NULL);
    _exit(1);
}

/* Reads to the end even when the buffer is full, so that the child never blocks. */
static void listen_to(int fd, char *answer) {
    char rest[4096] = "";
    size_t got = 0;
    for (;;) {
        bool room = got < ANSWER_MAX - 1;
        ssize_t n = read(fd, room ? answer + got : rest, room ? ANSWER_MAX - 1 - got : sizeof rest);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        if (n > 0 && room)
            got += (size_t)n;
    }
    answer[got] = 0;
}

/* A library that is missing: the program will not start at all, and says so itself. */
static bool fails_anyway(const char *answer) {
    return strstr(answer, "error while loading shared libraries: ") != NULL;
}

/* A line that is "\tLIBRARY (0x…)". */
static bool listed(const char *answer, const char *library) {
    size_t len = strlen(library);
    for (const char *p = answer; (p = strstr(p, library)); p++)
        if (p > answer && p[-1] == '\t' && strncmp(p + len, " (0x", 4) == 0)
            return true;
    return false;
}

static void explain(const char *answer, const char *library, char *reason, size_t size) {
    const char *line = strstr(answer, "ERROR: ld.so: ");
    line = line ? line + strlen("ERROR: ld.so: ") : *answer ? answer : "the loader gave no answer";
    snprintf(reason, size, "the loader does not take %s: %.*s", library, (int)strcspn(line, "\n"), line);
}

static bool converse(const char *loader, const char *image, const char *library, char *answer) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0)
        ask(loader, image, library, pair[1]);
    close(pair[1]);
    if (child > 0)
        listen_to(pair[0], answer);
    close(pair[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return child > 0;
}

bool loader_takes(const char *loader, const char *image, const char *library, char *reason, size_t size) {
    char *answer = calloc(1, ANSWER_MAX);
    char real[PATH_MAX]; /* $ORIGIN of a program is where its file really is */
    bool ok = answer && converse(loader, realpath(image, real) ? real : image, library, answer);
    if (!ok)
        snprintf(reason, size, "cannot ask the loader: %s", strerror(errno));
    if (ok && !listed(answer, library) && !fails_anyway(answer)) {
        explain(answer, library, reason, size);
        ok = false;
    }
    free(answer);
    return ok;
}
