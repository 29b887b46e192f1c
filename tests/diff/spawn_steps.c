/* spawn_steps.c - other programs: on a connection as their standard input and output, and beside one. */
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PROGRAMS = 4 };
static pid_t programs[PROGRAMS];

static pid_t *program(const char *index) {
    return &programs[(index[0] - '0') & (PROGRAMS - 1)];
}

static pid_t by_spawn(int fd, char *const argv[]) {
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static pid_t by_fork(int fd, char *const argv[]) {
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (dup2(fd, 0) == 0 && dup2(fd, 1) == 1)
        execv(argv[0], argv);
    _exit(127);
}

/* As subprocess libraries do it: the child shares our memory until it is another program. */
static pid_t by_vfork(int fd, char *const argv[]) {
    pid_t pid = vfork();
    if (pid != 0)
        return pid;
    if (dup2(fd, 0) == 0 && dup2(fd, 1) == 1)
        execve(argv[0], argv, environ);
    _exit(127);
}

/* start INDEX NAME fork|vfork|spawn PROGRAM [ARGS]: NAME is its 0 and 1; our own copy is closed. */
static void step_start(struct actor *me, int argc, char **argv) {
    int fd = name_fd(argv[2]);
    (void)argc;
    fcntl(fd, F_SETFD, FD_CLOEXEC); /* as an inetd does: only 0 and 1 are passed on */
    pid_t pid = strcmp(argv[3], "fork") == 0    ? by_fork(fd, argv + 4)
                : strcmp(argv[3], "vfork") == 0 ? by_vfork(fd, argv + 4)
                                                : by_spawn(fd, argv + 4);
    *program(argv[1]) = pid;
    say(me, pid > 0 ? " started" : " failed");
    say(me, " close %d", close(fd));
}

/* ended INDEX: waits for its end. */
static void step_ended(struct actor *me, int argc, char **argv) {
    (void)argc;
    pid_t pid = *program(argv[1]), gone;
    int status = 0;
    int64_t until = now_ms() + DIFF_WAIT_MS;
    while ((gone = waitpid(pid, &status, WNOHANG)) == 0 && now_ms() < until)
        pause_ms(1);
    if (gone == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    say(me, gone ? " status %d" : " had to be killed %d", status);
}

/* beside fork|spawn|system|popen|vfork: a program that ends at once, while connections are open. */
static void step_beside(struct actor *me, int argc, char **argv) {
    (void)argc;
    char *const quick[] = {"/bin/true", NULL};
    if (strcmp(argv[1], "system") == 0) {
        say(me, " %d", system("true"));
        return;
    }
    if (strcmp(argv[1], "popen") == 0) {
        char text[32] = "";
        FILE *f = popen("echo word", "re");
        bool good = f && fgets(text, sizeof text, f);
        int status = f ? pclose(f) : -1;
        say(me, " %s %d", good ? "word" : "nothing", status);
        return;
    }
    pid_t pid = -1;
    if (strcmp(argv[1], "spawn") == 0)
        posix_spawn(&pid, quick[0], NULL, NULL, quick, environ);
    else
        pid = strcmp(argv[1], "fork") == 0 ? by_fork(0, quick) : by_vfork(0, quick);
    int status = -1;
    bool found = waitpid(pid, &status, 0) == pid;
    say(me, found ? " status %d" : " lost %d", status);
}

const struct step spawn_steps[] = {
    {"start", 4, step_start},
    {"ended", 1, step_ended},
    {"beside", 1, step_beside},
    {NULL, 0, NULL},
};
