/* up_start.c - finds and starts workloads. Each becomes `mtlswrap run`, so that every check and the issuing
 * of certificates is the same; those outside the mesh are started plainly. */
#include "up.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli.h"
#include "explain_print.h"

/* The first port of its first service stands for all: the table shows one mode. */
static uint16_t first_port(const struct policy *p, const struct policy_workload_info *w) {
    struct policy_service_info s;
    uint16_t port, target;
    const char *service = w->service_count ? w->services[0] : w->name;
    for (size_t i = 0; i < policy_service_count(p); i++)
        if (policy_service_at(p, i, &s) && strcmp(s.name, service) == 0 &&
            strcmp(s.namespace_, w->namespace_) == 0 && policy_service_port(p, i, 0, &port, &target))
            return target;
    return 0;
}

static void put_address(char *out, size_t size, const struct sockaddr_storage *own, uint16_t port) {
    bool v6 = own->ss_family == AF_INET6;
    const void *bytes = v6 ? (const void *)&((const struct sockaddr_in6 *)own)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)own)->sin_addr;
    char text[INET6_ADDRSTRLEN];
    inet_ntop(own->ss_family, bytes, text, sizeof text);
    snprintf(out, size, !port ? "%s" : v6 ? "[%s]:%u" : "%s:%u", text, port);
}

static void describe(const struct policy *p, struct up_workload *w) {
    struct policy_self self;
    struct policy_inbound in;
    struct sockaddr_storage own = {.ss_family = AF_INET};
    uint16_t port = first_port(p, &w->info);
    snprintf(w->name, sizeof w->name, "%s/%s", w->info.namespace_, w->info.name);
    snprintf(w->address, sizeof w->address, "-");
    w->mode = "-";
    w->out = -1;
    if (!policy_self(p, w->name, &self))
        return;
    if (policy_own_address(p, &self, AF_INET, &own) || policy_own_address(p, &self, AF_INET6, &own))
        put_address(w->address, sizeof w->address, &own, port);
    if (own.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&own)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&own)->sin_port = htons(port);
    policy_inbound(p, &self, (struct sockaddr *)&own, &in);
    w->mode = w->info.in_mesh ? explain_print_mtls(in.mode) : "outside";
}

bool up_collect(struct up *up) {
    size_t all = policy_workload_count(up->p);
    up->w = calloc(all ? all : 1, sizeof *up->w);
    for (size_t i = 0; up->w && i < all; i++) {
        struct up_workload *w = &up->w[up->count];
        if (!policy_workload_at(up->p, i, &w->info) || !w->info.command)
            continue;
        describe(up->p, w);
        up->count++;
    }
    if (up->count == 0)
        cli_error("%s: no [Workload] has a command", up->config);
    return up->count > 0;
}

static void enter(const struct up_workload *w) {
    for (size_t i = 0; i < w->info.environment_count; i++) {
        char pair[512];
        snprintf(pair, sizeof pair, "%s", w->info.environment[i]);
        char *value = strchr(pair, '=');
        if (!value)
            continue;
        *value++ = 0;
        setenv(pair, value, 1);
    }
    if (w->info.directory && chdir(w->info.directory) != 0) {
        cli_error("%s: %s: %s", w->name, w->info.directory, strerror(errno));
        _exit(CLI_FAILED);
    }
}

/* In the child. Dies with us, also when we are killed. */
_Noreturn static void become(const struct up *up, const struct up_workload *w, int out, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(CLI_FAILED);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(CLI_FAILED);
    close(null);
    enter(w);
    if (w->info.in_mesh) {
        setenv("MTLSWRAP_LOG", "info", 0); /* where peers are named */
        execl(up->self, "mtlswrap", "run", "--config", up->config, "--as", w->name, "--", "/bin/sh", "-c",
              w->info.command, (char *)NULL);
    } else {
        execl("/bin/sh", "sh", "-c", w->info.command, (char *)NULL);
    }
    cli_error("%s: %s", w->name, strerror(errno));
    _exit(CLI_REFUSED);
}

bool up_start(const struct up *up, struct up_workload *w) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0) {
        cli_error("%s: %s", w->name, strerror(errno));
        return false;
    }
    pid_t parent = getpid();
    w->pid = fork();
    if (w->pid == 0)
        become(up, w, pair[1], parent);
    close(pair[1]);
    if (w->pid < 0) {
        cli_error("%s: %s", w->name, strerror(errno));
        w->pid = 0;
        close(pair[0]);
        return false;
    }
    setpgid(w->pid, w->pid); /* both do it, so that neither has to wait for the other */
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    w->out = pair[0];
    return true;
}
