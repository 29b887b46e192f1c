/* stdio_steps.c - streams on sockets, and printing to descriptors. */
#include "diff.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STREAMS = 4 };
static FILE *streams[STREAMS];

static FILE **stream(const char *index) {
    return &streams[(index[0] - '0') & (STREAMS - 1)];
}

/* fdopen INDEX NAME MODE */
static void step_fdopen(struct actor *me, int argc, char **argv) {
    (void)argc;
    FILE *f = fdopen(name_fd(argv[2]), argv[3]);
    *stream(argv[1]) = f;
    say_result(me, f ? 0 : -1);
    if (f)
        say(me, " fileno=%d", fileno(f));
}

/* fput INDEX N: N letters and a newline, into the stream's buffer. */
static void step_fput(struct actor *me, int argc, char **argv) {
    (void)argc;
    FILE *f = *stream(argv[1]);
    size_t n = strtoul(argv[2], NULL, 10);
    memset(me->buf, 'a' + me->line % 26, n);
    me->buf[n] = '\n';
    say(me, " %zu", fwrite(me->buf, 1, n + 1, f));
}

static void step_fprint(struct actor *me, int argc, char **argv) {
    (void)argc;
    say(me, " %d", fprintf(*stream(argv[1]), "line %d of %s\n", me->line, argv[2]));
}

static void step_fflush(struct actor *me, int argc, char **argv) {
    (void)argc;
    int rc = fflush(*stream(argv[1]));
    say(me, " = %d", rc);
    if (rc)
        say_errno(me, errno);
}

/* fline INDEX ROOM: one fgets. */
static void step_fline(struct actor *me, int argc, char **argv) {
    (void)argc;
    FILE *f = *stream(argv[1]);
    if (!fgets((char *)me->buf, atoi(argv[2]), f)) {
        say(me, " none%s%s", feof(f) ? " eof" : "", ferror(f) ? " error" : "");
        return;
    }
    say_data(me, me->buf, strlen((char *)me->buf));
}

/* fread INDEX N */
static void step_fread(struct actor *me, int argc, char **argv) {
    (void)argc;
    FILE *f = *stream(argv[1]);
    size_t n = fread(me->buf, 1, strtoul(argv[2], NULL, 10), f);
    say(me, " = %zu", n);
    say_data(me, me->buf, n);
    say(me, "%s%s", feof(f) ? " eof" : "", ferror(f) ? " error" : "");
}

static void step_fclose(struct actor *me, int argc, char **argv) {
    (void)argc;
    int rc = fclose(*stream(argv[1]));
    *stream(argv[1]) = NULL;
    say(me, " = %d", rc);
    if (rc)
        say_errno(me, errno);
}

/* dprintf NAME N: a line of N letters. */
static void step_dprintf(struct actor *me, int argc, char **argv) {
    (void)argc;
    int n = dprintf(name_fd(argv[1]), "%0*d\n", atoi(argv[2]), me->line);
    say(me, " = %d", n);
    if (n < 0)
        say_errno(me, errno);
}

/* setvbuf INDEX n|l|f */
static void step_setvbuf(struct actor *me, int argc, char **argv) {
    (void)argc;
    int mode = argv[2][0] == 'n' ? _IONBF : argv[2][0] == 'l' ? _IOLBF : _IOFBF;
    say(me, " = %d", setvbuf(*stream(argv[1]), NULL, mode, BUFSIZ));
}

/* stdout NAME N: dup2 over 1, printf, flush, and 1 put back. */
static void step_stdout(struct actor *me, int argc, char **argv) {
    (void)argc;
    fflush(stdout);
    int kept = dup(1);
    int rc = dup2(name_fd(argv[1]), 1);
    int printed = printf("%0*d\n", atoi(argv[2]), me->line);
    puts("second");
    int flushed = fflush(stdout);
    dup2(kept, 1);
    close(kept);
    say(me, " %d %d %d", rc, printed, flushed);
}

const struct step stdio_steps[] = {
    {"fdopen", 3, step_fdopen},
    {"fput", 2, step_fput},
    {"fprint", 2, step_fprint},
    {"fflush", 1, step_fflush},
    {"fline", 2, step_fline},
    {"fread", 2, step_fread},
    {"fclose", 1, step_fclose},
    {"dprintf", 2, step_dprintf},
    {"setvbuf", 2, step_setvbuf},
    {"stdout", 2, step_stdout},
    {NULL, 0, NULL},
};
