/* inv_forks.c - forks while other threads connect, resolve, register and close. Every child does the same
 * things once and talks to the server. Prints how many children did not end well. inv_forks ADDRESS PORT
 * FORKS */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address;
static const char *host;
static _Atomic bool over;
static _Atomic int bad;

static bool talk(const char *text) {
    char back[32] = "";
    size_t n = strlen(text);
    struct epoll_event event = {.events = EPOLLIN};
    int fd = socket(AF_INET, SOCK_STREAM, 0), set = epoll_create1(EPOLL_CLOEXEC);
    bool good = fd >= 0 && set >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address) &&
                !epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) && write(fd, text, n) == (ssize_t)n &&
                epoll_wait(set, &event, 1, 20000) == 1 && recv(fd, back, n, MSG_WAITALL) == (ssize_t)n &&
                !memcmp(back, text, n);
    close(fd);
    close(set);
    return good;
}

static void resolve(void) {
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_flags =
                                 AI_NUMERICHOST}; /* others have locks of libc's own that a fork may strand */
    if (!getaddrinfo(host, NULL, &hints, &found))
        freeaddrinfo(found);
}

static void *talker(void *arg) {
    (void)arg;
    while (!over)
        if (!talk("from a thread"))
            bad++;
    return NULL;
}

static void *resolver(void *arg) {
    (void)arg;
    while (!over)
        resolve();
    return NULL;
}

static bool ended_well(pid_t child) {
    int status = 0;
    for (int waited = 0; waited < 3000; waited++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) && !WEXITSTATUS(status);
        poll(NULL, 0, 10);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return false;
}

int main(int argc, char **argv) {
    pthread_t threads[4];
    if (argc != 4)
        return 2;
    host = argv[1];
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, host, &address.sin_addr);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i < 3 ? talker : resolver, NULL);
    for (int i = 0; i < atoi(argv[3]); i++) {
        pid_t child = fork();
        if (!child) {
            resolve();
            _exit(talk("from a child") ? 0 : 1);
        }
        if (child < 0 || !ended_well(child))
            bad++;
    }
    over = true;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("%d bad\n", bad);
    return 0;
}
