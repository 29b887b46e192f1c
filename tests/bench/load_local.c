/* load_local.c - what wrapping costs where there is nothing to protect: calls on a pipe, starting a program.
 */
#include "load.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* One call in ns, the best of many short rounds: what disturbs only ever adds. */
int load_pipe(void) {
    enum { ROUNDS = 400, CALLS = 500 };
    uint64_t best_read = UINT64_MAX, best_write = UINT64_MAX;
    int fds[2];
    char byte[CALLS] = {0};
    must(!pipe(fds), "pipe");
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t start = now_ns();
        for (int i = 0; i < CALLS; i++)
            must(write(fds[1], byte, 1) == 1, "write");
        uint64_t middle = now_ns();
        for (int i = 0; i < CALLS; i++)
            must(read(fds[0], byte, 1) == 1, "read");
        uint64_t end = now_ns();
        best_write = middle - start < best_write ? middle - start : best_write;
        best_read = end - middle < best_read ? end - middle : best_read;
    }
    printf("{\"read\": %f, \"write\": %f, \"call\": %f}\n", (double)best_read / CALLS,
           (double)best_write / CALLS, (double)(best_read + best_write) / (2 * CALLS));
    return 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Starts a program so many times. words: NAME=VALUE of its environment, then its path. */
int load_spawn(int count, char **words) {
    int last = 0;
    while (words[last + 1])
        last++;
    char *program = words[last], *argv[] = {program, NULL};
    words[last] = NULL;
    double *took = calloc((size_t)count, sizeof *took);
    must(took != NULL, "calloc");
    for (int i = 0; i < count; i++) {
        pid_t pid;
        int status;
        uint64_t begin = now_ns();
        must(!posix_spawn(&pid, program, NULL, NULL, argv, words), program);
        must(waitpid(pid, &status, 0) == pid && !status, "child");
        took[i] = (double)(now_ns() - begin) * 1e-3;
    }
    qsort(took, (size_t)count, sizeof *took, ascending);
    printf("{\"median\": %f, \"best\": %f}\n", took[count / 2], took[0]);
    return 0;
}
