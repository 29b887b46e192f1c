/* no_numbers.c - uses up every descriptor, then connects, writes and closes with the last one.
 *
 *   no_numbers ADDRESS PORT COUNT TEXT    COUNT times; prints how many closes left a number free. Knows
 * nothing of TLS. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 5)
        return 64;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &a.sin_addr);
    int good = 0, count = atoi(argv[3]), fd = socket(AF_INET, SOCK_STREAM, 0),
        warm = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(warm, (struct sockaddr *)&a, sizeof a) || write(warm, argv[4], strlen(argv[4])) < 0)
        perror("the first one");
    close(warm);
    for (int i = 0; i < count; i++) {
        if (connect(fd, (struct sockaddr *)&a, sizeof a) || write(fd, argv[4], strlen(argv[4])) < 0)
            perror("connect or write");
        while (open("/dev/null", O_RDONLY) >= 0)
            ;
        close(fd);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0)
            perror("socket");
        good += fd >= 0;
    }
    printf("%d numbers were free\n", good);
    return 0;
}
