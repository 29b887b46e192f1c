/* inv_free.c - calls on descriptors that are no business of a policy, each between two marks for inv_steps.
 * The order of the calls is fixed; descriptor 4 gets their names, one per line.
 *
 *   inv_free alone
 *   inv_free threaded                 with a second thread: libc's own calls cost more then
 *   inv_free beside ADDRESS PORT      with a connection open to there */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int file, nowhere, pipes[2], unix_pair[2], tcp[2], set;
static char buffer[64];

static void die(const char *what) {
    fprintf(stderr, "inv_free: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The first round warms up what is looked up once. */
#define CALL(expression)                                                                                     \
    do {                                                                                                     \
        if (round)                                                                                           \
            raise(SIGTRAP);                                                                                  \
        long r = (long)(expression);                                                                         \
        if (round)                                                                                           \
            raise(SIGTRAP);                                                                                  \
        if (r < 0)                                                                                           \
            die(#expression);                                                                                \
        if (round)                                                                                           \
            dprintf(4, "%s\n", #expression);                                                                 \
    } while (0)

static void on_files(int round) {
    struct iovec iov = {buffer, 8};
    CALL(0); /* what the marks themselves cost */
    CALL(read(file, buffer, 8));
    CALL(write(nowhere, buffer, 8));
    CALL(readv(file, &iov, 1));
    CALL(writev(nowhere, &iov, 1));
    CALL(preadv2(file, &iov, 1, -1, 0));
    CALL(pwritev2(nowhere, &iov, 1, -1, 0));
    CALL(fcntl(file, F_GETFL));
    CALL(ioctl(pipes[0], FIONREAD, buffer));
    CALL(write(pipes[1], buffer, 8));
    CALL(read(pipes[0], buffer, 8));
    CALL(dup2(nowhere, 50));
    CALL(close(50));
}

static void on_sockets(int round, int to, int from) {
    struct iovec iov = {buffer, 8};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct mmsghdr many = {.msg_hdr = message};
    int value = 1;
    socklen_t len = sizeof value;
    CALL(send(to, buffer, 8, MSG_NOSIGNAL));
    CALL(recv(from, buffer, 8, 0));
    CALL(sendto(to, buffer, 8, 0, NULL, 0));
    CALL(recvfrom(from, buffer, 8, 0, NULL, NULL));
    CALL(sendmsg(to, &message, 0));
    CALL(recvmsg(from, &message, 0));
    CALL(sendmmsg(to, &many, 1, 0));
    CALL(recvmmsg(from, &many, 1, 0, NULL));
    CALL(write(to, buffer, 8));
    CALL(read(from, buffer, 8));
    CALL(getsockopt(to, SOL_SOCKET, SO_ERROR, &value, &len));
    CALL(setsockopt(to, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
    CALL(ioctl(to, FIONREAD, &value));
}

static void on_readiness(int round) {
    struct pollfd p = {.fd = pipes[1], .events = POLLOUT};
    struct timespec none = {0};
    struct timeval now = {0};
    struct epoll_event e;
    fd_set out;
    CALL(poll(&p, 1, 0));
    CALL(ppoll(&p, 1, &none, NULL));
    FD_ZERO(&out);
    FD_SET(pipes[1], &out);
    CALL(select(pipes[1] + 1, NULL, &out, NULL, &now));
    CALL(pselect(pipes[1] + 1, NULL, &out, NULL, &none, NULL));
    CALL(epoll_wait(set, &e, 1, 0));
}

/* Both ends of a connection that no rule names. */
static void connect_self(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&a, &len))
        die("listen");
    tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(tcp[0], (struct sockaddr *)&a, sizeof a) || (tcp[1] = accept(listener, NULL, NULL)) < 0)
        die("connect");
    close(listener);
}

static void protect(const char *address, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, address, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) || write(fd, "x", 1) != 1 || read(fd, buffer, 1) != 1)
        die("the connection beside");
}

static void *sleeper(void *arg) {
    pause();
    return arg;
}

int main(int argc, char **argv) {
    struct epoll_event e = {.events = EPOLLOUT};
    if (argc == 4)
        protect(argv[2], argv[3]);
    pthread_t thread;
    if (argc > 1 && strcmp(argv[1], "alone") != 0 && pthread_create(&thread, NULL, sleeper, NULL))
        die("thread");
    file = open("/dev/zero", O_RDONLY);
    nowhere = open("/dev/null", O_WRONLY);
    set = epoll_create1(0);
    if (pipe(pipes) || socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair) ||
        epoll_ctl(set, EPOLL_CTL_ADD, pipes[1], &e))
        die("descriptors");
    connect_self();
    for (int round = 0; round < 2; round++) {
        on_files(round);
        on_sockets(round, unix_pair[0], unix_pair[1]);
        on_sockets(round, tcp[0], tcp[1]);
        on_readiness(round);
    }
    return 0;
}
