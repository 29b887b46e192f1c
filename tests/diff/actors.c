/* actors.c - worker threads and forked children that run steps for the main thread.
 *
 * Only the main thread hands out steps, one at a time per actor. A background step returns when
 * its actor is done or sleeps in the kernel; "wait" collects it. All waits are bounded.
 */
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ACTORS = 4, QUIET_CHECKS = 4 };

struct order {
    int line;
    char text[DIFF_LINE];
};

struct answer {
    size_t len;
    char out[DIFF_OUT];
};

struct worker {
    bool alive, busy, done; /* busy, done: under lock */
    pthread_t thread;
    pid_t tid;
    int stat; /* its /proc file */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct order order;
    struct actor actor;
};

struct child {
    bool alive, busy;
    pid_t pid;
    int orders, answers, stat;
};

static struct worker workers[ACTORS];
static struct child children[ACTORS];

static uint8_t *new_buffer(void) {
    void *p =
        mmap(NULL, DIFF_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    int old;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    pthread_mutex_lock(&w->lock);
    w->tid = gettid();
    pthread_cond_broadcast(&w->wake);
    for (;;) {
        while (!w->busy || w->done)
            pthread_cond_wait(&w->wake, &w->lock);
        struct order order = w->order;
        pthread_mutex_unlock(&w->lock);
        if (order.text[0] == '\0')
            return NULL;
        w->actor.line = order.line;
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
        script_run_step(&w->actor, order.text);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        pthread_mutex_lock(&w->lock);
        w->done = true;
        pthread_cond_broadcast(&w->wake);
    }
}

static int move_high(int fd) {
    int high = fcntl(fd, F_DUPFD_CLOEXEC, DIFF_OWN_FDS);
    close(fd);
    return high;
}

/* Opened before any step runs: a low number taken for a moment would show in the numbers that a step in the
 * background gets. */
static int open_stat(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : move_high(fd);
}

static void worker_start(struct worker *w, const char *name) {
    if (w->alive)
        return;
    if (!w->actor.buf)
        w->actor.buf = new_buffer();
    snprintf(w->actor.name, sizeof w->actor.name, "%.3s", name);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    w->busy = w->done = false;
    w->tid = 0;
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
        abort();
    pthread_mutex_lock(&w->lock);
    while (w->tid == 0)
        pthread_cond_wait(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", w->tid);
    w->stat = open_stat(path);
    w->alive = true;
}

static void worker_order(struct worker *w, int line, const char *text) {
    pthread_mutex_lock(&w->lock);
    w->order.line = line;
    snprintf(w->order.text, sizeof w->order.text, "%s", text);
    w->actor.len = 0;
    w->actor.out[0] = '\0';
    w->busy = true;
    w->done = false;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static bool worker_collect(struct worker *w, struct actor *to) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DIFF_WAIT_MS / 1000;
    pthread_mutex_lock(&w->lock);
    int rc = 0;
    while (w->busy && !w->done && rc == 0)
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    bool ready = w->busy && w->done;
    if (ready)
        w->busy = w->done = false;
    pthread_mutex_unlock(&w->lock);
    say(to, "%s", ready ? w->actor.out : " still running");
    return ready;
}

static void child_main(int orders, int answers) {
    static struct actor actor;
    static struct answer answer;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    actor.buf = new_buffer();
    struct order order;
    while (read(orders, &order, sizeof order) == (ssize_t)sizeof order) {
        if (order.text[0] == '\0')
            exit(0);
        actor.line = order.line;
        actor.len = 0;
        actor.out[0] = '\0';
        script_run_step(&actor, order.text);
        answer.len = actor.len;
        memcpy(answer.out, actor.out, sizeof answer.out);
        if (write(answers, &answer, sizeof answer) != (ssize_t)sizeof answer)
            _exit(3);
    }
    _exit(0);
}

static void step_fork(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct child *c = &children[(argv[1][1] - '0') & (ACTORS - 1)];
    int down[2], up[2];
    if (pipe(down) < 0 || pipe(up) < 0)
        abort();
    for (int i = 0; i < 2; i++) {
        down[i] = move_high(down[i]);
        up[i] = move_high(up[i]);
    }
    pid_t pid = fork();
    if (pid == 0)
        child_main(down[0], up[1]);
    close(down[0]);
    close(up[1]);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    *c = (struct child){.alive = pid > 0, .pid = pid, .orders = down[1], .answers = up[0]};
    c->stat = open_stat(path);
    say(me, " %s", pid > 0 ? "forked" : "failed");
}

static bool child_order(struct child *c, int line, const char *text) {
    struct order order = {.line = line};
    snprintf(order.text, sizeof order.text, "%s", text);
    c->busy = true;
    return write(c->orders, &order, sizeof order) == (ssize_t)sizeof order;
}

static bool child_collect(struct child *c, struct actor *to) {
    static struct answer answer;
    struct pollfd p = {.fd = c->answers, .events = POLLIN};
    if (poll(&p, 1, DIFF_WAIT_MS) != 1) {
        say(to, " still running");
        return false;
    }
    c->busy = false;
    if (read(c->answers, &answer, sizeof answer) != (ssize_t)sizeof answer)
        say(to, " child died");
    else
        say(to, "%s", answer.out);
    return true;
}

/* Returns when the task sleeps in the kernel (or is gone): a step that blocks has then blocked. */
static void wait_asleep(int stat, bool (*done)(void *), void *arg) {
    int quiet = 0;
    for (int i = 0; i < 400 && quiet < QUIET_CHECKS && !done(arg); i++) {
        char text[256] = "";
        ssize_t n = pread(stat, text, sizeof text - 1, 0);
        char *state = n > 0 ? strrchr(text, ')') : NULL;
        quiet = state && state[2] == 'S' ? quiet + 1 : 0;
        pause_ms(1);
    }
}

static bool worker_done(void *arg) {
    struct worker *w = arg;
    pthread_mutex_lock(&w->lock);
    bool done = w->done;
    pthread_mutex_unlock(&w->lock);
    return done;
}

static bool child_done(void *arg) {
    struct child *c = arg;
    struct pollfd p = {.fd = c->answers, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static bool dispatch_thread(struct actor *me, struct worker *w, const char *who, bool background,
                            const char *text) {
    worker_start(w, who);
    worker_order(w, me->line, text);
    if (!background)
        return worker_collect(w, me);
    wait_asleep(w->stat, worker_done, w);
    say(me, " started");
    return true;
}

static bool dispatch_child(struct actor *me, struct child *c, bool background, const char *text) {
    if (!c->alive || !child_order(c, me->line, text)) {
        say(me, " no such child");
        return true;
    }
    if (!background)
        return child_collect(c, me);
    wait_asleep(c->stat, child_done, c);
    say(me, " started");
    return true;
}

bool actor_dispatch(struct actor *me, const char *who, bool background, char *text) {
    size_t index = (size_t)(who[1] - '0') & (ACTORS - 1);
    if (strcmp(text, "wait") == 0)
        return who[0] == 't' ? worker_collect(&workers[index], me) : child_collect(&children[index], me);
    if (who[0] == 't')
        return dispatch_thread(me, &workers[index], who, background, text);
    return dispatch_child(me, &children[index], background, text);
}

static bool child_end(struct child *c, int *status) {
    (void)!child_order(c, 0, "");
    close(c->orders);
    int64_t until = now_ms() + DIFF_WAIT_MS;
    pid_t gone = 0;
    while ((gone = waitpid(c->pid, status, WNOHANG)) == 0 && now_ms() < until)
        pause_ms(1);
    if (gone == 0) {
        kill(c->pid, SIGKILL);
        waitpid(c->pid, status, 0);
    }
    close(c->answers);
    close(c->stat);
    c->alive = false;
    return gone != 0;
}

/* exit C: ends by exit(), as a program does, and reports how that went. */
static void step_exit(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct child *c = &children[(argv[1][1] - '0') & (ACTORS - 1)];
    int status = 0;
    if (!c->alive) {
        say(me, " no such child");
        return;
    }
    bool went = child_end(c, &status);
    say(me, went ? " exited %d" : " had to be killed %d", status);
}

/* abandon C: kill -9. */
static void step_abandon(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct child *c = &children[(argv[1][1] - '0') & (ACTORS - 1)];
    int status = 0;
    kill(c->pid, SIGKILL);
    waitpid(c->pid, &status, 0);
    close(c->orders);
    close(c->answers);
    close(c->stat);
    c->alive = false;
    say(me, " status %d", status);
}

static bool worker_end(struct worker *w) {
    void *result = NULL;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DIFF_WAIT_MS / 1000;
    if (pthread_timedjoin_np(w->thread, &result, &until) != 0)
        return false;
    close(w->stat);
    w->alive = w->busy = w->done = false;
    return true;
}

/* cancel T: pthread_cancel of a thread that runs a background step. */
static void step_cancel(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct worker *w = &workers[(argv[1][1] - '0') & (ACTORS - 1)];
    pthread_cancel(w->thread);
    bool done = worker_done(w);
    if (done) {
        say(me, " was done already");
        return;
    }
    say(me, worker_end(w) ? " cancelled" : " does not end");
}

void actors_end(void) {
    for (size_t i = 0; i < ACTORS; i++) {
        int status;
        if (children[i].alive)
            child_end(&children[i], &status);
        if (!workers[i].alive)
            continue;
        if (workers[i].busy && !worker_done(&workers[i]))
            _exit(9);
        worker_order(&workers[i], 0, "");
        if (!worker_end(&workers[i]))
            _exit(9);
    }
}

pthread_t actor_thread(const char *who, pid_t *child) {
    size_t index = who[0] == 'm' ? 0 : (size_t)(who[1] - '0') & (ACTORS - 1);
    *child = who[0] == 'c' ? children[index].pid : 0;
    return who[0] == 't' ? workers[index].thread : pthread_self();
}

const struct step actor_steps[] = {
    {"fork", 1, step_fork},     {"exit", 1, step_exit}, {"abandon", 1, step_abandon},
    {"cancel", 1, step_cancel}, {NULL, 0, NULL},
};
