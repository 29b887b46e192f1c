/* script.c - reads scripts, runs their steps, prints the transcript.
 *
 * usage: diffrun FILE [FIRST]; FILE holds scripts, each begun by a line "=== NAME". The
 * transcript is written step by step, so that whoever watches sees where a script hangs.
 */
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static int transcript = 1;

void say(struct actor *me, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(me->out + me->len, DIFF_OUT - me->len, fmt, args);
    va_end(args);
    if (n > 0)
        me->len += (size_t)n < DIFF_OUT - me->len ? (size_t)n : DIFF_OUT - me->len - 1;
}

void say_errno(struct actor *me, int error) {
    const char *name = strerrorname_np(error);
    say(me, " %s", name ? name : "no-error");
}

void say_result(struct actor *me, long result) {
    int error = errno;
    say(me, " = %ld", result);
    if (result < 0)
        say_errno(me, error);
    else if (error != EXDEV)
        say(me, " (errno was changed to %s)", strerrorname_np(error));
}

void say_data(struct actor *me, const uint8_t *data, size_t n) {
    say(me, " data=%zu:%08x", n, data_digest(DATA_DIGEST_START, data, n));
}

static const struct step *const tables[] = {setup_steps,  io_steps,    msg_steps,    bulk_steps, file_steps,
                                            ready_steps,  epoll_steps, option_steps, dup_steps,  stdio_steps,
                                            signal_steps, actor_steps, spawn_steps};

static const struct step *find_step(const char *verb) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const struct step *s = tables[t]; s->verb; s++)
            if (strcmp(s->verb, verb) == 0)
                return s;
    return NULL;
}

void script_run_step(struct actor *me, char *text) {
    char *argv[DIFF_ARGS + 1] = {NULL};
    int argc = 0;
    char *state = NULL;
    for (char *word = strtok_r(text, " ", &state); word && argc < DIFF_ARGS;
         word = strtok_r(NULL, " ", &state))
        argv[argc++] = word;
    const struct step *step = argc ? find_step(argv[0]) : NULL;
    if (!step || argc - 1 < step->min) {
        say(me, " not a step");
        return;
    }
    errno = EXDEV; /* no socket call gives it: whoever changes it on success is found */
    step->run(me, argc, argv);
    say_signals(me);
}

static void put(const char *text, size_t n) {
    while (n > 0) {
        ssize_t done = write(transcript, text, n);
        if (done <= 0)
            _exit(4);
        text += done;
        n -= (size_t)done;
    }
}

/* Runs "[@WHO[&]] VERB ARGS" and prints it with its result. */
static bool run_line(struct actor *me, int number, const char *line) {
    char text[DIFF_LINE], row[DIFF_LINE + DIFF_OUT];
    snprintf(text, sizeof text, "%s", line);
    me->len = 0;
    me->out[0] = '\0';
    me->line = number;
    bool going = true;
    if (text[0] == '@') {
        char *rest = strchr(text, ' ');
        if (rest)
            *rest++ = '\0';
        size_t n = strlen(text);
        bool background = text[n - 1] == '&';
        if (background)
            text[n - 1] = '\0';
        going = actor_dispatch(me, text + 1, background, rest ? rest : text + n);
    } else {
        script_run_step(me, text);
    }
    int n = snprintf(row, sizeof row, "%s ->%s\n", line, me->out);
    put(row, (size_t)n);
    return going;
}

/* Whatever a script left open is closed here and counted: a wrapped program must see no more. */
static void close_leftovers(void) {
    int left = 0;
    for (int fd = 3; fd < DIFF_OWN_FDS; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        left++;
        close(fd);
    }
    char row[64];
    int n = snprintf(row, sizeof row, "left open: %d\n--- end\n", left);
    put(row, (size_t)n);
}

static void run_script(struct actor *me, char *text) {
    names_reset();
    signals_reset();
    int number = 0;
    char *state = NULL;
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        if (line[0] == '#')
            continue;
        if (!run_line(me, ++number, line)) {
            put("!!! stuck\n", 10);
            _exit(9); /* a thread that cannot be ended makes this process useless */
        }
    }
    actors_end();
    close_leftovers();
}

static char *load(const char *path) {
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    char *text = NULL;
    size_t room = 0;
    if (getdelim(&text, &room, '\0', f) < 0) {
        free(text);
        text = NULL;
    }
    fclose(f);
    return text;
}

static void run_all(struct actor *me, char *text, int first) {
    int index = 0;
    for (char *at = text; at && strncmp(at, "=== ", 4) == 0; index++) {
        char *next = strstr(at, "\n=== ");
        if (next)
            *next++ = '\0';
        char *body = strchr(at, '\n');
        if (index >= first && body) {
            *body = '\0';
            put(at, strlen(at));
            put("\n", 1);
            run_script(me, body + 1);
        }
        at = next;
    }
}

int main(int argc, char **argv) {
    static struct actor main_actor = {.name = "m"};
    char *text = argc > 1 ? load(argv[1]) : NULL;
    if (!text) {
        fprintf(stderr, "usage: diffrun FILE [FIRST]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(3, DIFF_OWN_FDS - 1, 0); /* what was inherited would be counted as left open */
    setvbuf(stdin, NULL, _IONBF, 0);
    transcript = fcntl(1, F_DUPFD_CLOEXEC, DIFF_OWN_FDS);
    main_actor.buf =
        mmap(NULL, DIFF_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (transcript < 0 || main_actor.buf == MAP_FAILED)
        return 2;
    data_fill_of("a");
    run_all(&main_actor, text, argc > 2 ? atoi(argv[2]) : 0);
    free(text);
    return 0;
}
