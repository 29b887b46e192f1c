/* check.c - `mtlswrap check`: prints every finding of policy_load and policy_lint. Decides nothing itself. */
#include "cli.h"

#include <stdio.h>

#include "json.h"
#include "policy.h"

struct check {
    bool json;
    unsigned errors, warnings;
};

static void print_finding(void *arg, enum policy_severity severity, const char *file, int line,
                          const char *message) {
    struct check *c = arg;
    const char *word = severity == POLICY_ERROR ? "error" : "warning";
    if (!c->json && line > 0)
        printf("%s:%d: %s: %s\n", file, line, word, message);
    else if (!c->json)
        printf("%s: %s: %s\n", file, word, message);
    if (c->json) {
        printf("%s\n  {\"severity\": \"%s\", \"file\": ", c->errors + c->warnings ? "," : "", word);
        json_string(stdout, file);
        printf(", \"line\": %d, \"message\": ", line);
        json_string(stdout, message);
        putchar('}');
    }
    if (severity == POLICY_ERROR)
        c->errors++;
    else
        c->warnings++;
}

static void conclude(const struct check *c, const char *file) {
    if (c->json)
        printf("%s], \"errors\": %u, \"warnings\": %u}\n", c->errors + c->warnings ? "\n" : "", c->errors,
               c->warnings);
    else if (c->errors + c->warnings == 0)
        printf("%s: no errors, no warnings\n", file);
    else
        printf("%s: %u error%s, %u warning%s\n", file, c->errors, c->errors == 1 ? "" : "s", c->warnings,
               c->warnings == 1 ? "" : "s");
}

int check_main(const struct cli_command *self, int argc, char **argv) {
    struct check c = {0};
    bool strict = false;
    const struct cli_option opts[] = {{"strict", NULL, "exit with 1 when there are warnings", NULL, &strict},
                                      {"json", NULL, "print one JSON object", NULL, &c.json},
                                      {NULL, NULL, NULL, NULL, NULL}};
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (argc - i != 1)
        return cli_usage(self, "check: one FILE is needed");
    if (c.json) {
        fputs("{\"file\": ", stdout);
        json_string(stdout, argv[i]);
        fputs(", \"findings\": [", stdout);
    }
    struct policy *p = policy_load(argv[i], print_finding, &c);
    if (p)
        policy_lint(p, print_finding, &c);
    conclude(&c, argv[i]);
    policy_free(p);
    if (!p)
        return cli_finish(CLI_CONFIG);
    return cli_finish(strict && c.warnings ? CLI_WARNINGS : CLI_OK);
}
