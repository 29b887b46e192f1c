/* cli.c - options, help and messages for every subcommand. Knows no subcommand by name, does no work of
 * its own and never ends the process. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 0))) static void say(const char *kind, const char *fmt, va_list ap) {
    char line[2048];
    vsnprintf(line, sizeof line, fmt, ap);
    fprintf(stderr, "mtlswrap: %s%s\n", kind, line);
}

void cli_error(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say("error: ", fmt, ap);
    va_end(ap);
}

void cli_warn(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say("warning: ", fmt, ap);
    va_end(ap);
}

void cli_note(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

int cli_usage(const struct cli_command *self, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
    fprintf(stderr, "usage: mtlswrap %s %s\n", self->name, self->operands);
    return CLI_USAGE;
}

int cli_finish(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    cli_error("cannot write to standard output: %s", strerror(errno));
    return CLI_FAILED;
}

static void print_help(const struct cli_command *self, const struct cli_option *opts) {
    printf("usage: mtlswrap %s %s\n\n%s\n\n", self->name, self->operands, self->summary);
    for (const struct cli_option *o = opts; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-22s %s\n", left, o->help);
    }
    printf("  %-22s %s\n", "--help", "this text");
}

static const struct cli_option *find(const struct cli_option *opts, const char *word, size_t len) {
    for (; opts->name; opts++)
        if (strlen(opts->name) == len && strncmp(opts->name, word, len) == 0)
            return opts;
    return NULL;
}

/* Takes the option at argv[i]. Returns how many words it used, or 0 after a usage message. */
static int take(const struct cli_command *self, const struct cli_option *opts, int argc, char **argv, int i) {
    const char *word = argv[i] + 2;
    size_t len = strcspn(word, "=");
    const struct cli_option *o = strncmp(argv[i], "--", 2) == 0 ? find(opts, word, len) : NULL;
    if (!o)
        return cli_usage(self, "%s: unknown option %s", self->name, argv[i]), 0;
    if (!o->arg) {
        if (word[len] == '=')
            return cli_usage(self, "%s: --%s takes no value", self->name, o->name), 0;
        *o->flag = true;
        return 1;
    }
    if (word[len] == '=') {
        *o->value = word + len + 1;
        return 1;
    }
    if (i + 1 >= argc)
        return cli_usage(self, "%s: --%s needs %s", self->name, o->name, o->arg), 0;
    *o->value = argv[i + 1];
    return 2;
}

/* Moves argv[from .. from + n) in front of argv[to], so that operands gather behind the options. */
static void move_before(char **argv, int to, int from, int n) {
    for (int k = 0; k < n; k++) {
        char *word = argv[from + k];
        memmove(&argv[to + k + 1], &argv[to + k], (size_t)(from - to) * sizeof *argv);
        argv[to + k] = word;
    }
}

int cli_parse(const struct cli_command *self, const struct cli_option *opts, int argc, char **argv,
              int *status) {
    int first = 1; /* argv[first .. i) are operands */
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "--") == 0) {
            move_before(argv, first, i, 1);
            return first + 1;
        }
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (self->stops_at_operand)
                return first;
            i++;
            continue;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(self, opts);
            *status = cli_finish(CLI_OK);
            return -1;
        }
        int used = take(self, opts, argc, argv, i);
        if (!used) {
            *status = CLI_USAGE;
            return -1;
        }
        move_before(argv, first, i, used);
        first += used;
        i += used;
    }
    return first;
}

static void print_table(FILE *out, const struct cli_command *table, const char *what) {
    fprintf(out, "usage: %s COMMAND …\n\n", what);
    for (; table->name; table++)
        fprintf(out, "  %-13s %s\n", table->name, table->summary);
    fprintf(out, "\n`%s COMMAND --help` tells more.\n", what);
}

int cli_dispatch(const struct cli_command *table, const char *what, int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        print_table(stderr, table, what);
        return CLI_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_table(stdout, table, what);
        return cli_finish(CLI_OK);
    }
    for (const struct cli_command *c = table; c->name; c++) {
        const char *last = strrchr(c->name, ' '); /* "certs init" is called "init" here */
        if (strcmp(last ? last + 1 : c->name, word) == 0)
            return c->main(c, argc - 1, argv + 1);
    }
    cli_error("%s: unknown command; `%s --help` lists them", word, what);
    return CLI_USAGE;
}
