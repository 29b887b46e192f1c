/* thread_leaks.c - threads that end leave nothing behind: each of many has a connection of its own, forks
 * while it is open, and ends. Some are cancelled in a read. Prints "finished" when the heap and the mappings
 * of the second half are those of the first.
 *
 *     thread_leaks ADDRESS PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 60, SLACK = 24 * 1024 /* less than half a KiB for each */ };

static struct sockaddr_in address;
static int listener;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    return fd;
}

static void close_it(void *fd) {
    close(*(int *)fd);
}

static void *talk(void *cancelled) {
    char byte = 'x';
    int fd = connected(), status = 1;
    pthread_cleanup_push(close_it, &fd);
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
        die("talk");
    pid_t child = fork();
    if (!child)
        _exit(0);
    if (child < 0 || waitpid(child, &status, 0) != child || status)
        die("fork");
    if (cancelled)
        (void)!read(fd, &byte, 1); /* for ever */
    pthread_cleanup_pop(1);
    return NULL;
}

static void *answer(void *unused) {
    char byte;
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1)
        die("answer");
    (void)!read(fd, &byte, 1);
    close(fd);
    return unused;
}

static void round_of(int threads) {
    for (int i = 0; i < threads; i++) {
        pthread_t client, server;
        bool cancelled = i % 4 == 3;
        if (pthread_create(&server, NULL, answer, NULL) ||
            pthread_create(&client, NULL, talk, cancelled ? &address : NULL))
            die("thread");
        if (cancelled) {
            poll(NULL, 0, 30);
            pthread_cancel(client);
        }
        pthread_join(client, NULL);
        pthread_join(server, NULL);
    }
}

static long mappings(void) {
    long lines = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    for (int c; maps && (c = getc(maps)) != EOF;)
        lines += c == '\n';
    if (maps)
        fclose(maps);
    return lines;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5))
        die("listen");
    alarm(100);
    mallopt(M_ARENA_MAX, 1); /* so that the heap's size means something */
    round_of(THREADS);
    size_t heap = mallinfo2().uordblks;
    long maps = mappings();
    round_of(THREADS);
    long grown = (long)mallinfo2().uordblks - (long)heap, more = mappings() - maps;
    fprintf(stderr, "heap: %ld bytes more, mappings: %ld more\n", grown, more);
    puts(grown > SLACK || more > THREADS / 4 ? "leaks" : "finished");
    return 0;
}
