/* load.c - the load program of the benchmark: reads the command line and hands over. What it measured goes to
 * standard output as one line of JSON. */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct load_options load = {
    .host = "127.0.0.1", .size = 64, .bytes = 1 << 30, .connections = 1, .seconds = 0.5, .path = "/"};

void must(bool ok, const char *what) {
    if (ok)
        return;
    perror(what);
    exit(1);
}

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static const struct {
    const char *name;
    int (*run)(void);
} roles[] = {
    {"server", load_server}, {"pingpong", load_pingpong}, {"connect", load_connect}, {"stream", load_stream},
    {"http", load_http},     {"idle", load_idle},         {"pipe", load_pipe},
};

static enum load_mode mode_of(const char *name) {
    return !strcmp(name, "block") ? LOAD_BLOCK : !strcmp(name, "level") ? LOAD_LEVEL : LOAD_EDGE;
}

static void options(int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "h:p:m:t:rxks:b:c:d:u:")) != -1;) {
        switch (c) {
        case 'h':
            load.host = optarg;
            break;
        case 'p':
            load.port = (uint16_t)atoi(optarg);
            break;
        case 'm':
            load.mode = mode_of(optarg);
            break;
        case 't':
            load.tls = optarg;
            break;
        case 'r':
            load.resume = true;
            break;
        case 'x':
            load.spread = true;
            break;
        case 'k':
            load.sink = true;
            break;
        case 's':
            load.size = strtoul(optarg, NULL, 10);
            break;
        case 'b':
            load.bytes = strtoul(optarg, NULL, 10);
            break;
        case 'c':
            load.connections = atoi(optarg);
            break;
        case 'd':
            load.seconds = atof(optarg);
            break;
        case 'u':
            load.path = optarg;
            break;
        default:
            exit(64);
        }
    }
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc > 3 && !strcmp(argv[1], "spawn"))
        return load_spawn(atoi(argv[2]), argv + 3);
    if (argc > 1)
        options(argc - 1, argv + 1);
    for (size_t i = 0; argc > 1 && i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(argv[1], roles[i].name))
            return roles[i].run();
    fputs("usage: load ROLE [OPTIONS]\n", stderr);
    return 64;
}
