/* up.h - between the rooms of `mtlswrap up`: the workloads that it has started. */
#ifndef MTLSWRAP_UP_H
#define MTLSWRAP_UP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy.h"

enum { UP_NAME_MAX = 160, UP_LINE_MAX = 4096, UP_PEERS_MAX = 16 };

struct up_workload {
    struct policy_workload_info info; /* belongs to the table */
    char name[UP_NAME_MAX];           /* NAMESPACE/NAME */
    char address[64];                 /* its own, or "-" */
    const char *mode;                 /* what its accepting side demands */
    pid_t pid;                        /* and process group; 0: ended */
    int status;                       /* as of waitpid, once ended */
    int out;                          /* its standard output and error; -1: closed */
    char line[UP_LINE_MAX];           /* the begun line */
    size_t line_len;
    char peers[UP_PEERS_MAX][96]; /* who was seen in its log, short form */
    size_t peer_count;
};

struct up {
    const char *config, *self; /* the table; this executable */
    struct policy *p;
    struct up_workload *w;
    size_t count;
    bool colour, changed; /* changed: the shown table is old */
};

/* up_start.c */
/* Fills up->w from the table: every workload that has a command. False when there is none. */
bool up_collect(struct up *up);
/* Starts one. False with a printed reason. */
bool up_start(const struct up *up, struct up_workload *w);
/* up_show.c */
void up_show_table(const struct up *up);
/* Takes what the workload has written: whole lines go out with its name in front. */
void up_show_output(struct up *up, struct up_workload *w);
void up_show_end(struct up *up, struct up_workload *w);

#endif
