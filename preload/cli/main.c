/* main.c - the table of subcommands, which is also the help. Nothing else happens here. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#ifndef MTLSWRAP_VERSION
#define MTLSWRAP_VERSION "0.1.0"
#endif

static int help_main(const struct cli_command *self, int argc, char **argv);

static const struct cli_command commands[] = {
    {"run", "[--config FILE] [--as NAMESPACE/NAME] [--force] [--] PROGRAM [ARGUMENT…]",
     "run a program so that its connections follow the policy table", run_main, true},
    {"certs", "init|issue|show|renew …", "make a CA, issue, show and renew certificates", certs_main, true},
    {"check", "[--strict] [--json] FILE", "check a policy table: every error and every doubt", check_main,
     false},
    {"explain",
     "[--config FILE] [--json] --as NAMESPACE/NAME {HOST:PORT | --listen PORT [--from NAMESPACE/NAME]}",
     "say what the table decides for one connection, and why", explain_main, false},
    {"doctor", "[--json] PROGRAM", "say whether a program can be wrapped, and why not", doctor_main, false},
    {"up", "FILE", "start every [Workload] that has a command, each as itself", up_main, false},
    {"import", "[--strict] FILE.yaml…", "turn Istio's YAML into a policy table on standard output",
     import_main, false},
    {"help", "[COMMAND]", "this list, or the help of one command", help_main, true},
    {NULL, NULL, NULL, NULL, false},
};

static int help_main(const struct cli_command *self, int argc, char **argv) {
    (void)self;
    char ask[] = "--help", *words[] = {argv[0], argc > 1 ? argv[1] : ask, ask, NULL};
    return cli_dispatch(commands, "mtlswrap", argc > 1 ? 3 : 2, words);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("mtlswrap " MTLSWRAP_VERSION);
        return cli_finish(CLI_OK);
    }
    return cli_dispatch(commands, "mtlswrap", argc, argv);
}
