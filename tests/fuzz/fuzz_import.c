/* fuzz_import.c - libFuzzer target for the YAML importer: whatever the YAML, the table that comes out has
 * only sections and keys that the table's own reader knows (nothing in a document may break out of its line),
 * and every warning has its comment.
 *
 *   clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude tests/fuzz/fuzz_import.c \
 *     preload/cli/import*.c preload/cli/filemap.c preload/cli/cli.c preload/policy/policy*.c -linih -lyaml
 *
 * Input: the bytes of a YAML file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../preload/cli/importer.h"
#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

/* A wrong value is the document's own fault; a wrong line would be ours. */
static void finding(void *arg, enum policy_severity severity, const char *file, int line,
                    const char *message) {
    (void)arg;
    (void)file;
    (void)line;
    static const char *const ours[] = {"unknown key", "unknown section", "found a line",
                                       "found a byte order mark"};
    for (size_t i = 0; severity == POLICY_ERROR && i < sizeof ours / sizeof *ours; i++)
        CHECK(strncmp(message, ours[i], strlen(ours[i])) != 0);
}

static unsigned count(const char *text, const char *word) {
    unsigned n = 0;
    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *out = NULL, *log = NULL;
    size_t out_size, log_size;
    struct importer im = {
        .out = open_memstream(&out, &out_size), .log = open_memstream(&log, &log_size), .file = "y"};
    CHECK(im.out && im.log);
    bool ok = importer_read(&im, (const char *)data, size);
    CHECK(fclose(im.out) == 0 && fclose(im.log) == 0);
    CHECK(ok == (im.errors == 0));
    CHECK(count(out, "; line ") >= im.lost && count(log, "warning: not carried over") >= im.lost);
    policy_free(policy_parse("out", out, out_size, finding, NULL));
    free(out);
    free(log);
    return 0;
}
