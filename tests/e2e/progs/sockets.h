/* sockets.h - how the plain programs begin: PROGRAM WHAT ADDRESS PORT …, one end of a TCP connection; what
 * fails is said on standard output. Knows nothing of TLS. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static inline _Noreturn void die(const char *what) {
    printf("%s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

static inline struct sockaddr_in address_of(char **argv) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    if (inet_pton(AF_INET, argv[2], &a.sin_addr) != 1)
        die("address");
    return a;
}

static inline int listen_at(char **argv) {
    struct sockaddr_in a = address_of(argv);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 64))
        die("listen");
    return fd;
}

static inline int connect_to(char **argv) {
    struct sockaddr_in a = address_of(argv);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a))
        die("connect");
    return fd;
}

#endif
