/* select_server.c - the classic: one thread, select(), blocking sockets, one read() per readable descriptor,
 * whole answers written. Sends back what it gets. A read that blocks would stop it for everybody.
 *
 *   select_server ADDRESS PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static fd_set watched;
static int highest;

static void drop(int fd) {
    FD_CLR(fd, &watched);
    close(fd);
}

static void take(int listener) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    FD_SET(fd, &watched);
    if (fd > highest)
        highest = fd;
}

static void answer(int fd) {
    char buffer[2000];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0)
        fprintf(stderr, "read: %s\n", strerrorname_np(errno));
    if (n <= 0) {
        drop(fd);
        return;
    }
    for (ssize_t done = 0, sent; done < n; done += sent) {
        sent = write(fd, buffer + done, (size_t)(n - done));
        if (sent < 0) {
            fprintf(stderr, "write: %s\n", strerrorname_np(errno));
            drop(fd);
            return;
        }
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in where = {.sin_family = AF_INET};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc < 3 || inet_pton(AF_INET, argv[1], &where.sin_addr) != 1)
        return 64;
    where.sin_port = htons((uint16_t)atoi(argv[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 64))
        return 1;
    FD_SET(listener, &watched);
    highest = listener;
    for (;;) {
        fd_set ready = watched;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0)
            return 1;
        for (int fd = 0; fd <= highest; fd++)
            if (FD_ISSET(fd, &ready)) {
                if (fd == listener)
                    take(fd);
                else
                    answer(fd);
            }
    }
}
