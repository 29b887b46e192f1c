/* fork_family.c - one connection, several processes: fork_family WHAT ADDRESS PORT [N]
 *
 *   serve    takes N connections, echoes lines of 64 bytes to the end of each and says how many came of
 *            each writer and how it ended
 *   turns    parent, child and grandchild write and read in turns
 *   crowd    N forked writers, each from its own threads, at the same time
 *   chain    a chain of N forks; each generation uses the connection and leaves the next to go on
 *   daemon   daemon() while connected: the daemon has the last word
 *   killed   a child is killed after it has written; the parent goes on
 *   torn     children are killed in the middle of their writing; the parent goes on, or is told
 *   orphan   the parent is killed; the child goes on
 *   threads  forks N times while other threads use the connection
 *
 * Every line is whole: one write of 64 bytes, "LETTER NUMBER" and blanks.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockets.h"

enum { LINE = 64, EACH = 200, THREADS = 3 };

static void put(int fd, char who, int number) {
    char line[LINE + 1];
    snprintf(line, sizeof line, "%c %-*d\n", who, LINE - 3, number);
    for (size_t done = 0; done < LINE;) {
        ssize_t n = write(fd, line + done, LINE - done);
        if (n < 0)
            die("write");
        done += (size_t)n;
    }
}

/* False at the end. */
static bool get(int fd, char line[LINE + 1]) {
    size_t have = 0;
    for (ssize_t n; have < LINE; have += (size_t)n)
        if ((n = read(fd, line + have, LINE - have)) <= 0) {
            if (n < 0)
                printf("%s ", strerrorname_np(errno));
            return false;
        }
    line[LINE] = 0;
    return true;
}

static void ask(int fd, char who, int number) {
    char line[LINE + 1];
    put(fd, who, number);
    if (!get(fd, line) || line[0] != who || atoi(line + 2) != number)
        printf("%c %d: something else came\n", who, number);
}

static void await(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid || status)
        printf("a child ended with %d\n", status);
}

static void *many_lines(void *arg) {
    int *job = arg;
    for (int i = 0; i < EACH; i++)
        put(job[0], (char)job[1], i);
    return NULL;
}

/* Lines that nobody reads back start with a capital. */
static void crowd(int fd, int n) {
    fflush(stdout);
    for (int i = 0; i < n; i++)
        if (fork() == 0) {
            int job[] = {fd, 'A' + i};
            pthread_t threads[THREADS];
            for (int t = 0; t < THREADS; t++)
                pthread_create(&threads[t], NULL, many_lines, job);
            for (int t = 0; t < THREADS; t++)
                pthread_join(threads[t], NULL);
            _exit(0);
        }
    for (int i = 0, status; i < n; i++)
        if (wait(&status) < 0 || status)
            printf("a writer ended with %d\n", status);
}

static void turns(int fd) {
    int gate[2], back[2];
    char go = 'g';
    if (pipe(gate) || pipe(back))
        die("pipe");
    ask(fd, 'p', 0);
    fflush(stdout);
    pid_t child = fork();
    if (!child)
        for (int i = 0;; i++) {
            if (read(gate[0], &go, 1) != 1 || go == 'q')
                _exit(0);
            ask(fd, 'c', i);
            pid_t grandchild = fork();
            if (!grandchild) {
                ask(fd, 'g', i);
                _exit(0);
            }
            await(grandchild);
            (void)!write(back[1], &go, 1);
        }
    for (int i = 1; i < 50; i++) {
        ask(fd, 'p', i);
        (void)!write(gate[1], &go, 1);
        (void)!read(back[0], &go, 1);
    }
    (void)!write(gate[1], "q", 1);
    await(child);
    ask(fd, 'p', 50);
}

static void chain(int fd, int n) {
    for (int i = 0; i < n; i++) {
        ask(fd, 'p', i);
        fflush(stdout);
        pid_t next = fork();
        if (next)
            exit(waitpid(next, NULL, 0) != next);
    }
    ask(fd, 'p', n);
}

static void daemonize(int fd) {
    int done[2];
    char end;
    ask(fd, 'p', 0);
    fflush(stdout);
    if (pipe(done))
        die("pipe");
    if (fork()) { /* stays to know when the daemon is through */
        close(fd);
        close(done[1]);
        (void)!read(done[0], &end, 1);
        return;
    }
    if (daemon(1, 1))
        die("daemon");
    ask(fd, 'd', 1);
    exit(0);
}

/* A child that is killed after its last of some lines, or in the midst of ever more of them. */
static void start_and_kill(int fd, bool busy) {
    int ready[2];
    char go;
    if (pipe(ready))
        die("pipe");
    pid_t child = fork();
    for (int k = 0; !child && (busy || k < 20); k++) {
        put(fd, 'X', k);
        if (k == 19)
            (void)!write(ready[1], "g", 1);
    }
    while (!child)
        pause();
    (void)!read(ready[0], &go, 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

static void kill_child(int fd) {
    ask(fd, 'p', 0);
    fflush(stdout);
    for (int i = 0; i < 5; i++) {
        start_and_kill(fd, false);
        ask(fd, 'p', i);
    }
}

/* What the child had begun to send cannot be completed by anybody, so an error is a good end, too. */
static void tear(int fd) {
    signal(SIGPIPE, SIG_IGN);
    fflush(stdout);
    for (int i = 0; i < 20; i++) {
        start_and_kill(fd, true);
        if (send(fd, "P", 1, 0) < 0) {
            printf("torn: %s\n", strerrorname_np(errno));
            exit(errno != ECONNRESET);
        }
    }
    printf("torn: whole\n");
    exit(0);
}

static void kill_parent(int fd) {
    ask(fd, 'p', 0);
    fflush(stdout);
    pid_t middle = fork();
    if (middle) {
        int status;
        close(fd);
        waitpid(middle, &status, 0);
        printf("killed: %d\n", WIFSIGNALED(status));
        return;
    }
    pid_t parent = getpid();
    if (fork() == 0) {
        ask(fd, 'c', 1);
        kill(parent, SIGKILL);
        while (getppid() == parent)
            usleep(1000);
        ask(fd, 'c', 2);
        exit(0);
    }
    pause();
}

static _Atomic bool stop;
static void *busy(void *arg) {
    int number = 0;
    while (!stop && number < 1000000)
        put(*(int *)arg, 'B', number++);
    return NULL;
}

static void from_threads(int fd, int n) {
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, busy, &fd);
    for (int i = 0; i < n; i++) {
        pid_t child = fork();
        if (!child) {
            put(fd, 'F', i);
            _exit(0);
        }
        await(child);
    }
    stop = true;
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
}

static void serve_one(int fd) {
    static unsigned counts[128];
    char line[LINE + 1];
    memset(counts, 0, sizeof counts);
    while (get(fd, line)) {
        unsigned char who = (unsigned char)line[0];
        if (line[LINE - 1] != '\n' || who < 'A' || who > 'z')
            printf("torn line ");
        counts[who & 127]++;
        if (who >= 'a')
            (void)!write(fd, line, LINE);
    }
    for (int who = 'A'; who <= 'z'; who++)
        if (counts[who] && who != 'B' && who != 'X') /* of these nobody knows how many there were */
            printf("%c %u ", who, counts[who]);
    printf("end\n");
    fflush(stdout);
    close(fd);
}

static void serve(char **argv) {
    int listener = listen_at(argv);
    for (int i = 0; i < atoi(argv[4]); i++)
        serve_one(accept(listener, NULL, NULL));
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    int n = argc > 4 ? atoi(argv[4]) : 0;
    if (!strcmp(argv[1], "serve")) {
        serve(argv);
        return 0;
    }
    int fd = connect_to(argv);
    if (!strcmp(argv[1], "turns"))
        turns(fd);
    else if (!strcmp(argv[1], "crowd"))
        crowd(fd, n);
    else if (!strcmp(argv[1], "chain"))
        chain(fd, n);
    else if (!strcmp(argv[1], "daemon"))
        daemonize(fd);
    else if (!strcmp(argv[1], "killed"))
        kill_child(fd);
    else if (!strcmp(argv[1], "torn"))
        tear(fd);
    else if (!strcmp(argv[1], "orphan"))
        kill_parent(fd);
    else if (!strcmp(argv[1], "threads"))
        from_threads(fd, n);
    printf("%s done\n", argv[1]);
    return 0;
}
