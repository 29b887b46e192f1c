/* inv_early.c - a library whose constructor runs before the preloaded object's: it makes every kind of call,
 * and talks to the server at EARLY_ADDRESS:EARLY_PORT, sending EARLY_MARK. With MAIN defined: the program
 * that needs the library. */
#include <stdio.h>

int early_result(void);

#ifdef MAIN
int main(void) {
    printf("early: %d\n", early_result());
    return 0;
}
#else
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int steps;

int early_result(void) {
    return steps;
}

static void descriptors(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), type = 0, d = dup(fd), p[2];
    socklen_t len = sizeof type;
    steps += !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && dup2(d, 60) == 60 && !pipe(p);
    struct pollfd ask = {.fd = fd, .events = POLLIN};
    fd_set set;
    FD_ZERO(&set);
    struct timeval now = {0, 0};
    struct epoll_event event = {.events = EPOLLIN};
    int ep = epoll_create1(0);
    steps += poll(&ask, 1, 0) >= 0 && !select(1, &set, NULL, NULL, &now) &&
             !epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event) && !epoll_wait(ep, &event, 1, 0);
    steps += !close(fd) && !close(d) && !close(60) && !close(ep) && !close(p[0]) && !close(p[1]);
}

static void processes(void) {
    int status = 1;
    pid_t child = fork();
    if (!child)
        _exit(0);
    steps += waitpid(child, &status, 0) == child && !status && !setuid(getuid());
}

static void streams(void) {
    FILE *f = fopen("/dev/null", "w");
    steps += f && fprintf(f, "x") == 1 && !fflush(f) && !fclose(f);
    struct addrinfo *found = NULL;
    steps += !getaddrinfo("127.0.0.1", "80", NULL, &found);
    if (found)
        freeaddrinfo(found);
}

static void connection(void) {
    const char *address = getenv("EARLY_ADDRESS"), *port = getenv("EARLY_PORT"), *mark = getenv("EARLY_MARK");
    char back[128] = "";
    if (!address || !port || !mark)
        return;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    steps += !connect(fd, (struct sockaddr *)&to, sizeof to) && write(fd, mark, strlen(mark)) > 0 &&
             recv(fd, back, strlen(mark), MSG_WAITALL) > 0 && !strcmp(back, mark);
    close(fd);
}

__attribute__((constructor)) static void early(void) {
    descriptors();
    processes();
    streams();
    connection();
}
#endif
