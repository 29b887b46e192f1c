/* crowd.c - a thread per connection on both ends; counts what went wrong and what leaked.
 *
 *   crowd serve ADDRESS PORT
 *   crowd connect ADDRESS PORT CONNECTIONS ROUNDS TEXT
 *
 * Every connection sends TEXT and 40,000 further bytes and wants them back. All connections of a round are
 * open before the first is used. Knows nothing of TLS.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXTRA = 40000, STACK = 256 * 1024 };

static struct sockaddr_in where = {.sin_family = AF_INET};
static atomic_int good, bad;
static pthread_barrier_t opened;
static char message[EXTRA + 256];
static size_t message_len;

static void start(pthread_t *thread, void *(*body)(void *), void *arg) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    if (pthread_create(thread, &attr, body, arg)) {
        perror("pthread_create");
        exit(1);
    }
    pthread_attr_destroy(&attr);
}

static int write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n <= 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static void *echo(void *arg) {
    int fd = (int)(intptr_t)arg;
    char buffer[4096];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (write_all(fd, buffer, (size_t)n))
            break;
    if (n)
        fprintf(stderr, "server: %s\n", strerror(errno));
    close(fd);
    return NULL;
}

static _Noreturn void serve(void) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 1024)) {
        perror("listen");
        exit(1);
    }
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            perror("accept");
            exit(1);
        }
        start(&thread, echo, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
}

static int exchange(int fd) {
    static _Thread_local char back[sizeof message];
    if (write_all(fd, message, message_len))
        return -1;
    for (size_t got = 0; got < message_len;) {
        ssize_t n = read(fd, back + got, message_len - got);
        if (n <= 0)
            return -1;
        got += (size_t)n;
    }
    return memcmp(back, message, message_len);
}

static void *visit(void *arg) {
    (void)arg;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int failed = connect(fd, (struct sockaddr *)&where, sizeof where);
    pthread_barrier_wait(&opened);
    if (failed || exchange(fd)) {
        fprintf(stderr, "client: %s\n", strerror(errno));
        atomic_fetch_add(&bad, 1);
    } else {
        atomic_fetch_add(&good, 1);
    }
    close(fd);
    return NULL;
}

static int descriptors(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int connect_many(int connections, int rounds) {
    pthread_t *threads = calloc((size_t)connections, sizeof *threads);
    int before = 0;
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_init(&opened, NULL, (unsigned)connections);
        for (int i = 0; i < connections; i++)
            start(&threads[i], visit, NULL);
        for (int i = 0; i < connections; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&opened);
        if (round == 0)
            before = descriptors(); /* what a library opens once is no leak */
    }
    free(threads);
    printf("%d good, %d bad, %d descriptors more\n", good, bad, descriptors() - before);
    return bad != 0;
}

int main(int argc, char **argv) {
    if (argc < 4 || inet_pton(AF_INET, argv[2], &where.sin_addr) != 1)
        return 64;
    where.sin_port = htons((uint16_t)atoi(argv[3]));
    if (!strcmp(argv[1], "serve"))
        serve();
    if (argc < 7)
        return 64;
    message_len = (size_t)snprintf(message, sizeof message, "%s", argv[6]) + EXTRA;
    for (size_t i = strlen(argv[6]); i < message_len; i++)
        message[i] = (char)(i * 31);
    return connect_many(atoi(argv[4]), atoi(argv[5]));
}
