/* cli.h - what the rooms of the command share: exit statuses, the table of commands, options, messages. */
#ifndef MTLSWRAP_CLI_H
#define MTLSWRAP_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses. 125 to 127 are those of env(1), 64 and 78 those of sysexits.h. */
enum {
    CLI_OK = 0,
    CLI_WARNINGS = 1,  /* check --strict */
    CLI_NOTHING = 3,   /* doctor: no socket calls to wrap */
    CLI_USAGE = 64,    /* wrong options or operands */
    CLI_CONFIG = 78,   /* the table has an error or cannot be read */
    CLI_FAILED = 125,  /* the command itself failed */
    CLI_REFUSED = 126, /* found, but it cannot or must not be run */
    CLI_NOT_FOUND = 127,
};

/* One option. A flag sets *flag, any other *value. */
struct cli_option {
    const char *name; /* without the dashes */
    const char *arg;  /* what the help calls the value; NULL for a flag */
    const char *help;
    const char **value;
    bool *flag;
};

struct cli_command {
    const char *name;
    const char *operands; /* as in the usage line */
    const char *summary;
    int (*main)(const struct cli_command *self, int argc, char **argv);
    bool stops_at_operand; /* options end at the first operand (run) */
};

/* Parses argv[1..]; opts ends with a NULL name. Operands are moved to the end of argv; returns the index
 * of the first. Returns -1 when the command is over (help, or a usage error): *status is its exit status. */
int cli_parse(const struct cli_command *self, const struct cli_option *opts, int argc, char **argv,
              int *status);
/* Picks argv[1] from a table that ends with a NULL name; what is the words before it ("mtlswrap certs"). */
int cli_dispatch(const struct cli_command *table, const char *what, int argc, char **argv);
/* One line on standard error, and CLI_USAGE. */
int cli_usage(const struct cli_command *self, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Flushes standard output; CLI_FAILED instead of status when not all of it could be written. */
int cli_finish(int status);

int run_main(const struct cli_command *self, int argc, char **argv);
int certs_main(const struct cli_command *self, int argc, char **argv);
int check_main(const struct cli_command *self, int argc, char **argv);
int explain_main(const struct cli_command *self, int argc, char **argv);
int doctor_main(const struct cli_command *self, int argc, char **argv);
int up_main(const struct cli_command *self, int argc, char **argv);
int import_main(const struct cli_command *self, int argc, char **argv);

#endif
