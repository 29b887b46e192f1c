/* ready_steps.c - poll, select and their signal-mask forms.
 *
 * Times are given by the script so that an expected event has long to come and an absent one is not
 * waited for; how long a call took is never printed.
 */
#include "diff.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

static const struct {
    char letter;
    short bit;
} poll_bits[] = {{'i', POLLIN},  {'o', POLLOUT}, {'p', POLLPRI}, {'r', POLLRDHUP},
                 {'e', POLLERR}, {'h', POLLHUP}, {'n', POLLNVAL}};

static short poll_events(const char *letters) {
    int events = 0;
    for (; *letters; letters++)
        for (size_t i = 0; i < sizeof poll_bits / sizeof poll_bits[0]; i++)
            if (poll_bits[i].letter == *letters)
                events |= poll_bits[i].bit;
    return (short)events;
}

/* "a:io" -> entry. The name is cut off in place. */
static struct pollfd poll_entry(char *spec) {
    char *colon = strchr(spec, ':');
    if (colon)
        *colon = '\0';
    return (struct pollfd){.fd = name_fd(spec), .events = poll_events(colon ? colon + 1 : "i")};
}

static void say_polled(struct actor *me, char **names, const struct pollfd *set, int count) {
    for (int i = 0; i < count; i++) {
        say(me, " %s:", names[i]);
        for (size_t b = 0; b < sizeof poll_bits / sizeof poll_bits[0]; b++)
            if (set[i].revents & poll_bits[b].bit)
                say(me, "%c", poll_bits[b].letter);
    }
}

/* poll TIMEOUT NAME:EVENTS... */
static void step_poll(struct actor *me, int argc, char **argv) {
    struct pollfd set[DIFF_ARGS];
    int count = 0;
    for (int i = 2; i < argc; i++)
        set[count++] = poll_entry(argv[i]);
    int n = poll(set, (nfds_t)count, atoi(argv[1]));
    say_result(me, n);
    if (n >= 0)
        say_polled(me, argv + 2, set, count);
}

static const sigset_t *mask_for(const char *word, sigset_t *mask) {
    sigemptyset(mask);
    if (strcmp(word, "block") == 0)
        sigaddset(mask, SIGUSR1);
    return strcmp(word, "-") == 0 ? NULL : mask;
}

/* ppoll TIMEOUT open|block|- NAME:EVENTS... */
static void step_ppoll(struct actor *me, int argc, char **argv) {
    struct pollfd set[DIFF_ARGS];
    sigset_t mask;
    int count = 0, ms = atoi(argv[1]);
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    for (int i = 3; i < argc; i++)
        set[count++] = poll_entry(argv[i]);
    int n = ppoll(set, (nfds_t)count, ms < 0 ? NULL : &t, mask_for(argv[2], &mask));
    say_result(me, n);
    if (n >= 0)
        say_polled(me, argv + 3, set, count);
}

struct sets {
    fd_set read, write, except;
    int top;
};

static void sets_fill(struct sets *s, int argc, char **argv) {
    FD_ZERO(&s->read);
    FD_ZERO(&s->write);
    FD_ZERO(&s->except);
    s->top = 0;
    for (int i = 0; i < argc; i++) {
        char name[4] = {argv[i][2], argv[i][3], '\0', '\0'};
        int fd = name_fd(name);
        if (fd < 0 || fd >= FD_SETSIZE)
            continue;
        FD_SET(fd, argv[i][0] == 'r' ? &s->read : argv[i][0] == 'w' ? &s->write : &s->except);
        if (fd >= s->top)
            s->top = fd + 1;
    }
}

static void say_selected(struct actor *me, const struct sets *s, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        char name[4] = {argv[i][2], argv[i][3], '\0', '\0'};
        int fd = name_fd(name);
        const fd_set *set = argv[i][0] == 'r' ? &s->read : argv[i][0] == 'w' ? &s->write : &s->except;
        if (fd >= 0 && fd < FD_SETSIZE && FD_ISSET(fd, set))
            say(me, " %s", argv[i]);
    }
}

/* select TIMEOUT r:NAME w:NAME x:NAME ... */
static void step_select(struct actor *me, int argc, char **argv) {
    struct sets s;
    int ms = atoi(argv[1]);
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000L};
    sets_fill(&s, argc - 2, argv + 2);
    int n = select(s.top, &s.read, &s.write, &s.except, ms < 0 ? NULL : &t);
    say_result(me, n);
    if (n > 0)
        say_selected(me, &s, argc - 2, argv + 2);
    if (n == 0 && (t.tv_sec || t.tv_usec))
        say(me, " time left");
}

/* pselect TIMEOUT open|block|- r:NAME ... */
static void step_pselect(struct actor *me, int argc, char **argv) {
    struct sets s;
    sigset_t mask;
    int ms = atoi(argv[1]);
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    sets_fill(&s, argc - 3, argv + 3);
    int n = pselect(s.top, &s.read, &s.write, &s.except, ms < 0 ? NULL : &t, mask_for(argv[2], &mask));
    say_result(me, n);
    if (n > 0)
        say_selected(me, &s, argc - 3, argv + 3);
}

const struct step ready_steps[] = {
    {"poll", 1, step_poll},       {"ppoll", 2, step_ppoll}, {"select", 1, step_select},
    {"pselect", 2, step_pselect}, {NULL, 0, NULL},
};
