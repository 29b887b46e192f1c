/* inspect.h - can this program be wrapped, and if not, why not. Shared by `run` and `doctor`. */
#ifndef MTLSWRAP_INSPECT_H
#define MTLSWRAP_INSPECT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum inspect_verdict {
    INSPECT_OK,
    INSPECT_NOTHING,        /* loads the object, but calls no socket, starts nothing, loads no plugin */
    INSPECT_REFUSED,        /* the object would not be loaded, or would not see the traffic */
    INSPECT_CANNOT_EXECUTE, /* the kernel would refuse it too */
    INSPECT_NOT_FOUND,
};

enum { INSPECT_NOTES = 12 };

struct inspect {
    enum inspect_verdict verdict;
    char path[PATH_MAX];   /* what execvp would run */
    char image[PATH_MAX];  /* the ELF file that ends up running: path, or a script's interpreter */
    char loader[PATH_MAX]; /* image's PT_INTERP */
    char runtime[64];      /* a sanitizer's, to be preloaded too; usually empty */
    char reason[640];      /* one plain line without newline; empty for INSPECT_OK */
    char notes[INSPECT_NOTES][320];
    bool loud[INSPECT_NOTES]; /* traffic may escape: `run` says it as well */
    size_t note_count;
};

void inspect_program(struct inspect *in, const char *program);
const char *inspect_verdict_name(enum inspect_verdict v);

/* The two words of a script's first line. False when data is no script. Bounded; sizes are PATH_MAX. */
bool inspect_shebang(const char *data, size_t size, char *interp, char *arg);

#endif
