/* signals.c - signals: who got which during a step, and the steps that send them.
 *
 * Counts are per thread, so a step reports the signals of the thread that ran it.
 */
#include "diff.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} known[] = {{"PIPE", SIGPIPE}, {"USR1", SIGUSR1}, {"ALRM", SIGALRM}};

enum { KNOWN = sizeof known / sizeof known[0] };

static __thread volatile sig_atomic_t seen[KNOWN];
static __thread sig_atomic_t said[KNOWN];

static void on_signal(int number) {
    for (size_t i = 0; i < KNOWN; i++)
        if (known[i].number == number)
            seen[i]++;
}

static int signal_number(const char *name) {
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].number;
    return 0;
}

static int install(int number, const char *how) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = strcmp(how, "ignore") == 0 ? SIG_IGN : on_signal;
    a.sa_flags = strcmp(how, "restart") == 0 ? SA_RESTART : 0;
    return sigaction(number, &a, NULL);
}

static void set_timer(int ms) {
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000L};
    struct itimerval timer = {.it_value = t, .it_interval = t};
    setitimer(ITIMER_REAL, &timer, NULL);
}

void signals_reset(void) {
    sigset_t none;
    sigemptyset(&none);
    set_timer(0);
    for (size_t i = 0; i < KNOWN; i++) {
        install(known[i].number, "interrupt");
        seen[i] = said[i] = 0;
    }
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* The timer's signals are only said to have come: how many is a matter of time. */
void say_signals(struct actor *me) {
    for (size_t i = 0; i < KNOWN; i++) {
        sig_atomic_t n = seen[i] - said[i];
        said[i] = seen[i];
        if (n > 0 && known[i].number != SIGALRM)
            say(me, " %s*%d", known[i].name, (int)n);
    }
}

/* sigaction SIGNAL interrupt|restart|ignore */
static void step_sigaction(struct actor *me, int argc, char **argv) {
    (void)argc;
    say_result(me, install(signal_number(argv[1]), argv[2]));
}

/* sigmask block|open SIGNAL */
static void step_sigmask(struct actor *me, int argc, char **argv) {
    (void)argc;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number(argv[2]));
    say_result(me, -pthread_sigmask(strcmp(argv[1], "block") == 0 ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL));
}

/* kill ACTOR SIGNAL */
static void step_kill(struct actor *me, int argc, char **argv) {
    (void)argc;
    pid_t child;
    pthread_t thread = actor_thread(argv[1], &child);
    int number = signal_number(argv[2]);
    say_result(me, child ? kill(child, number) : -pthread_kill(thread, number));
    pause_ms(argv[1][0] == 'm' ? 0 : 5);
}

/* timer MS: SIGALRM every MS milliseconds; 0 stops. */
static void step_timer(struct actor *me, int argc, char **argv) {
    (void)argc;
    set_timer(atoi(argv[1]));
    say(me, " ok");
}

static void step_sleep(struct actor *me, int argc, char **argv) {
    (void)argc;
    pause_ms(atoi(argv[1]));
    say(me, " ok");
}

const struct step signal_steps[] = {
    {"sigaction", 2, step_sigaction}, {"sigmask", 2, step_sigmask}, {"kill", 2, step_kill},
    {"timer", 1, step_timer},         {"sleep", 1, step_sleep},     {NULL, 0, NULL},
};
