/* many.c - very many connections: an edge-triggered epoll server, and clients that hold many at once or make
 * many in a row.
 *
 *   many serve ADDRESS PORT
 *   many hold ADDRESS PORT COUNT   opens COUNT, uses each twice, closes all
 *   many stand ADDRESS PORT COUNT  opens and uses COUNT, one after the other; after a tenth, and with all of
 * them, says how many and waits for a byte on standard input many row ADDRESS PORT COUNT    COUNT times:
 * connect, say, hear, close; says what the process holds after a tenth and at the end
 *
 * A message is 64 bytes and comes back. Knows nothing of TLS.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE = 64, EVENTS = 256 };

static struct sockaddr_in where = {.sin_family = AF_INET};

static _Noreturn void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

static void accept_all(int epoll, int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP, .data.fd = fd};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e))
            die("epoll_ctl");
    }
    if (errno != EAGAIN)
        die("accept");
}

/* An edge is an edge: reads until there is nothing more. */
static void answer(int fd) {
    char buffer[4096];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (write(fd, buffer, (size_t)n) != n)
            die("write");
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        fprintf(stderr, "read: %s\n", strerrorname_np(errno));
    close(fd);
}

static _Noreturn void serve(void) {
    int one = 1, epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = listener}, events[EVENTS];
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 4096) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e))
        die("listen");
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        if (n < 0)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                answer(events[i].data.fd);
        }
    }
}

static int open_one(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&where, sizeof where))
        die("connect");
    return fd;
}

static void say(int fd, unsigned number) {
    char message[MESSAGE];
    memset(message, 'a' + (int)(number % 26), sizeof message);
    if (write(fd, message, sizeof message) != MESSAGE)
        die("write");
}

static void hear(int fd, unsigned number) {
    char back[MESSAGE];
    ssize_t n = recv(fd, back, sizeof back, MSG_WAITALL);
    if (n != MESSAGE)
        die("read");
    for (int i = 0; i < MESSAGE; i++)
        if (back[i] != 'a' + (int)(number % 26))
            die("another message came back");
}

static void hold(unsigned count) {
    int *fds = calloc(count, sizeof *fds);
    if (!fds)
        die("calloc");
    for (unsigned i = 0; i < count; i++) {
        fds[i] = open_one();
        say(fds[i], i);
    }
    for (unsigned i = 0; i < count; i++)
        hear(fds[i], i);
    for (unsigned i = 0; i < count; i++) {
        say(fds[i], i + 1);
        hear(fds[i], i + 1);
    }
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
    printf("%u good\n", count);
}

static int entries(const char *path) {
    int n = -2;
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void holdings(unsigned done) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%*d %ld", &pages) != 1)
        die("statm");
    fclose(statm);
    printf("%u connections, %d descriptors, %ld KB\n", done, entries("/proc/self/fd"),
           pages * sysconf(_SC_PAGESIZE) / 1024);
    fflush(stdout);
}

static void row(unsigned count) {
    for (unsigned i = 1; i <= count; i++) {
        int fd = open_one();
        say(fd, i);
        hear(fd, i);
        close(fd);
        if (i == count / 10 || i == count)
            holdings(i);
    }
}

/* One after the other, none of them closed before a word comes on standard input. */
static void stand(unsigned count) {
    char word;
    for (unsigned i = 0; i < count; i++) {
        int fd = open_one();
        say(fd, i);
        hear(fd, i);
        if (i == count / 10 || i == count - 1) {
            printf("%u\n", i);
            fflush(stdout);
            (void)!read(0, &word, 1);
        }
    }
}

int main(int argc, char **argv) {
    struct rlimit limit;
    if (argc < 4 || inet_pton(AF_INET, argv[2], &where.sin_addr) != 1)
        return 64;
    where.sin_port = htons((uint16_t)atoi(argv[3]));
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!strcmp(argv[1], "serve"))
        serve();
    if (argc > 4 && !strcmp(argv[1], "hold"))
        hold((unsigned)atoi(argv[4]));
    else if (argc > 4 && !strcmp(argv[1], "stand"))
        stand((unsigned)atoi(argv[4]));
    else if (argc > 4 && !strcmp(argv[1], "row"))
        row((unsigned)atoi(argv[4]));
    else
        return 64;
    return 0;
}
