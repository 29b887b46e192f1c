/* doctor.c - `mtlswrap doctor`: prints what inspect.c found. */
#include "cli.h"

#include <stdio.h>

#include "inspect.h"
#include "json.h"

static int status_of(enum inspect_verdict v) {
    static const int status[] = {
        [INSPECT_OK] = CLI_OK,
        [INSPECT_NOTHING] = CLI_NOTHING,
        [INSPECT_REFUSED] = CLI_REFUSED,
        [INSPECT_CANNOT_EXECUTE] = CLI_REFUSED,
        [INSPECT_NOT_FOUND] = CLI_NOT_FOUND,
    };
    return status[v];
}

static void print_json(const char *program, const struct inspect *in) {
    printf("{\"program\": ");
    json_string(stdout, program);
    printf(", \"path\": ");
    json_string(stdout, in->path[0] && in->verdict != INSPECT_NOT_FOUND ? in->path : NULL);
    printf(", \"image\": ");
    json_string(stdout, in->image[0] ? in->image : NULL);
    printf(", \"verdict\": ");
    json_string(stdout, inspect_verdict_name(in->verdict));
    printf(", \"wrappable\": %s, \"reason\": ", in->verdict <= INSPECT_NOTHING ? "true" : "false");
    json_string(stdout, in->reason[0] ? in->reason : NULL);
    printf(", \"notes\": [");
    for (size_t i = 0; i < in->note_count; i++) {
        fputs(i ? ", " : "", stdout);
        json_string(stdout, in->notes[i]);
    }
    puts("]}");
}

static void print_words(const char *program, const struct inspect *in) {
    if (in->verdict == INSPECT_OK)
        printf("%s: can be wrapped (%s)\n", program, in->image);
    else
        printf("%s: %s: %s\n", program, inspect_verdict_name(in->verdict), in->reason);
    for (size_t i = 0; i < in->note_count; i++)
        printf("  %s: %s\n", in->loud[i] ? "warning" : "note", in->notes[i]);
}

int doctor_main(const struct cli_command *self, int argc, char **argv) {
    bool json = false;
    const struct cli_option opts[] = {{"json", NULL, "print one JSON object", NULL, &json},
                                      {NULL, NULL, NULL, NULL, NULL}};
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (argc - i != 1)
        return cli_usage(self, "doctor: one PROGRAM is needed");
    static struct inspect in; /* large */
    inspect_program(&in, argv[i]);
    if (json)
        print_json(argv[i], &in);
    else
        print_words(argv[i], &in);
    return cli_finish(status_of(in.verdict));
}
