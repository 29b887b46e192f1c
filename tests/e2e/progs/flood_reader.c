/* flood_reader.c - reads one connection to its end and says what that took.
 *
 *   flood_reader accept|connect ADDRESS PORT HOW    HOW: read (blocking), select (then a blocking read), edge
 * (epoll, edge-triggered, non-blocking)
 *
 * Prints "READS reads BYTES bytes END", READS being those that brought bytes; then "grown KB" (resident
 * memory over the connection's life) and, when a blocking read came back without bytes, an error or the end,
 * "early". Answers "thanks" to the first bytes. Knows nothing of TLS. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int fd, epoll = -1;
static const char *how;

static long resident(void) {
    long all = 0, here = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &all, &here) != 2)
        exit(1);
    fclose(f);
    return here * 4;
}

static int open_it(char **argv) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, argv[2], &a.sin_addr);
    if (!strcmp(argv[1], "connect"))
        return connect(s, (struct sockaddr *)&a, sizeof a) ? -1 : s;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 8) ? -1 : accept(s, NULL, NULL);
}

static void prepare(void) {
    if (strcmp(how, "edge"))
        return;
    struct epoll_event e = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP};
    epoll = epoll_create1(0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static ssize_t next(char *block, size_t n) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    if (!strcmp(how, "select"))
        select(fd + 1, &set, NULL, NULL, NULL);
    for (;;) {
        ssize_t got = read(fd, block, n);
        struct epoll_event e;
        if (got >= 0 || errno != EAGAIN || epoll < 0)
            return got;
        epoll_wait(epoll, &e, 1, -1);
    }
}

int main(int argc, char **argv) {
    static char block[65536];
    size_t total = 0, reads = 0;
    ssize_t n;
    if (argc < 5)
        return 64;
    how = argv[4];
    fd = open_it(argv);
    if (fd < 0)
        return 1;
    prepare();
    long before = resident();
    while ((n = next(block, sizeof block)) > 0) {
        if (!total && write(fd, "thanks", 6) < 0)
            printf("write %s\n", strerrorname_np(errno));
        total += (size_t)n;
        reads++;
    }
    printf("%zu reads %zu bytes %s\n", reads, total, n ? strerrorname_np(errno) : "end");
    printf("grown %ld\n", resident() - before);
    return 0;
}
