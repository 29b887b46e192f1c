/* up.c - `mtlswrap up`: a mesh on one machine in one command. Waits for output, ends and signals; starts
 * each workload once and restarts none. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "paths.h"
#include "up.h"

enum { TABLE_EVERY_MS = 1000, GRACE_MS = 5000 };

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static size_t running(const struct up *up) {
    size_t n = 0;
    for (size_t i = 0; i < up->count; i++)
        n += up->w[i].pid != 0;
    return n;
}

static bool open_pipes(const struct up *up) {
    for (size_t i = 0; i < up->count; i++)
        if (up->w[i].out >= 0)
            return true;
    return false;
}

/* A workload is its process group: what its command has left behind goes with it. */
static void signal_all(const struct up *up, int sig) {
    for (size_t i = 0; i < up->count; i++)
        if (up->w[i].pid)
            kill(-up->w[i].pid, sig);
}

static void reap(struct up *up) {
    for (size_t i = 0; i < up->count; i++) {
        struct up_workload *w = &up->w[i];
        if (!w->pid || waitpid(w->pid, &w->status, WNOHANG) != w->pid)
            continue;
        while (w->out >= 0) { /* its last words first; a child of its may still hold the pipe */
            struct pollfd p = {w->out, POLLIN, 0};
            if (poll(&p, 1, 0) <= 0)
                break;
            up_show_output(up, w);
        }
        kill(-w->pid, SIGKILL);
        w->pid = 0;
        up_show_end(up, w);
    }
}

/* Returns the signal that asks us to stop, or 0. */
static int wait_once(struct up *up, struct pollfd *fds, int timeout) {
    for (size_t i = 0; i < up->count; i++)
        fds[i + 1] = (struct pollfd){up->w[i].out, POLLIN, 0};
    if (poll(fds, up->count + 1, timeout) <= 0)
        return 0;
    for (size_t i = 0; i < up->count; i++)
        if (fds[i + 1].revents)
            up_show_output(up, &up->w[i]);
    struct signalfd_siginfo info;
    int asked = 0;
    while (fds[0].revents && read(fds[0].fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD)
            asked = (int)info.ssi_signo;
    reap(up);
    return asked;
}

/* Until all have ended; the first signal asks them to, a second one, or GRACE_MS, ends them. True when it was
 * asked. */
static bool watch(struct up *up, struct pollfd *fds) {
    long shown = now_ms(), deadline = 0;
    while (running(up) || open_pipes(up)) {
        int asked = wait_once(up, fds, up->changed || deadline ? 100 : -1);
        if (asked && !deadline)
            puts("stopping");
        if (asked)
            signal_all(up, deadline ? SIGKILL : SIGTERM);
        if (asked && !deadline)
            deadline = now_ms() + GRACE_MS;
        if (deadline && now_ms() >= deadline)
            signal_all(up, SIGKILL);
        if (!running(up) && up->count) /* what still holds a pipe was no part of any workload's group */
            break;
        if (up->changed && now_ms() - shown >= TABLE_EVERY_MS) {
            up_show_table(up);
            up->changed = false;
            shown = now_ms();
        }
    }
    return deadline != 0;
}

static int conclude(const struct up *up, bool stopped) {
    int status = CLI_OK;
    up_show_table(up);
    for (size_t i = 0; i < up->count && !stopped; i++)
        if (!WIFEXITED(up->w[i].status) || WEXITSTATUS(up->w[i].status) != 0)
            status = CLI_WARNINGS;
    return status;
}

static int go(struct up *up) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct pollfd *fds = calloc(up->count + 1, sizeof *fds);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!fds || signals < 0) {
        cli_error("%s", strerror(errno));
        free(fds);
        return CLI_FAILED;
    }
    fds[0] = (struct pollfd){signals, POLLIN, 0};
    bool ok = true;
    for (size_t i = 0; i < up->count && ok; i++)
        ok = up_start(up, &up->w[i]);
    if (ok)
        up_show_table(up);
    else
        signal_all(up, SIGTERM);
    bool stopped = watch(up, fds);
    close(signals);
    free(fds);
    return ok ? conclude(up, stopped) : CLI_FAILED;
}

int up_main(const struct cli_command *self, int argc, char **argv) {
    const struct cli_option opts[] = {{NULL, NULL, NULL, NULL, NULL}};
    char config[PATH_MAX], exe[PATH_MAX];
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (argc - i != 1)
        return cli_usage(self, "up: one FILE is needed");
    if (!paths_absolute(argv[i], config) || !realpath("/proc/self/exe", exe)) {
        cli_error("%s: %s", argv[i], strerror(errno));
        return CLI_FAILED;
    }
    struct up up = {.config = config, .self = exe, .colour = isatty(1) == 1};
    up.p = policy_load(config, config_print_error, NULL);
    if (!up.p)
        return CLI_CONFIG;
    status = up_collect(&up) ? go(&up) : CLI_CONFIG;
    free(up.w);
    policy_free(up.p);
    return cli_finish(status);
}
