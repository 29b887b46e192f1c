/* late_writer.c - writes to connections that are ending. Compiled with LIBRARY it is a library whose
 * destructor writes to the descriptor that it was given; without, the program:
 *
 *   late_writer serve ADDRESS PORT           a child for each connection reads it to its end; one that begins
 * with S is not read for as long as the child lives late_writer destructor ADDRESS PORT TEXT HOW   leaves the
 * last words to the library late_writer thread ADDRESS PORT TEXT HOW       a thread writes while the process
 * ends and waits for a peer that does not read late_writer race ADDRESS PORT TEXT COUNT       a thread writes
 * while another closes, COUNT times
 *
 * HOW: return, exit, _exit. Knows nothing of TLS. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void late_writer_keep(int fd, const char *text);

#ifdef LIBRARY
static int kept = -1;
static const char *words;

void late_writer_keep(int fd, const char *text) {
    kept = fd;
    words = text;
}

__attribute__((destructor)) static void end(void) {
    if (kept >= 0 && write(kept, words, strlen(words)) < 0 && send(kept, words, strlen(words), 0) < 0)
        dprintf(2, "the last words: %s\n", strerrorname_np(errno));
}
#else
static struct sockaddr_in address;
static _Atomic int target = -1;
static _Atomic unsigned written, rounds;
static const char *text;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

static int connected(char first) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char answer;
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    if (write(fd, &first, 1) != 1 || read(fd, &answer, 1) != 1)
        die("greeting");
    return fd;
}

static void attend(int fd) {
    char block[65536];
    if (read(fd, block, 1) != 1 || write(fd, "+", 1) != 1)
        _exit(1);
    while (block[0] == 'S')
        pause();
    while (read(fd, block, sizeof block) > 0)
        ;
    _exit(0);
}

static void serve(void) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
        die("listen");
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            die("accept");
        if (!fork())
            attend(fd);
        close(fd);
    }
}

static void *write_on(void *arg) {
    for (;; atomic_fetch_add(&rounds, 1)) {
        int fd = atomic_load(&target);
        if (fd >= 0 && write(fd, text, strlen(text)) > 0)
            atomic_fetch_add(&written, 1);
    }
    return arg;
}

static void start_writer(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, write_on, NULL))
        die("thread");
}

static void fill(int fd) {
    static char block[65536];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, block, sizeof block) > 0)
        ;
}

static void wait_written(unsigned more) {
    unsigned before = atomic_load(&written);
    for (int i = 0; i < 100000 && atomic_load(&written) - before < more; i++)
        nanosleep(&(struct timespec){0, 20000}, NULL);
}

/* The thread has looked at the target since. */
static void wait_seen(void) {
    unsigned before = atomic_load(&rounds);
    while (atomic_load(&rounds) - before < 2)
        nanosleep(&(struct timespec){0, 20000}, NULL);
}

static void race(int count) {
    start_writer();
    for (int i = 0; i < count; i++) {
        int fd = connected('R');
        atomic_store(&target, fd);
        wait_written(1 + (unsigned)i % 3);
        close(fd);
        int hole = open("/dev/null", O_WRONLY); /* takes the number, which the thread goes on using */
        atomic_store(&target, -1);
        wait_seen();
        close(hole);
    }
    printf("closed %d\n", count);
}

static int leave(const char *how) {
    if (!strcmp(how, "exit"))
        exit(0);
    if (!strcmp(how, "_exit"))
        _exit(0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 64;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(argv[1], "serve"))
        serve();
    if (argc < 6)
        return 64;
    text = argv[4];
    if (!strcmp(argv[1], "race")) {
        race(atoi(argv[5]));
        return 0;
    }
    int fd = connected('R');
    if (!strcmp(argv[1], "destructor")) {
        late_writer_keep(fd, text);
    } else {
        fill(connected('S'));
        start_writer();
        atomic_store(&target, fd);
        wait_written(10);
    }
    return leave(argv[5]);
}
#endif
