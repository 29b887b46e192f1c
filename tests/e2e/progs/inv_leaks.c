/* inv_leaks.c - less usual ways of getting at a connection and of writing to it. Sends the marker by each,
 * both ends in this process, and prints one line per way that delivered it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int listener, file, pipes[2];
static struct sockaddr_in address;
static const char *mark;
static size_t length;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int joined(int fd) {
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    return fd;
}

static int stream(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

/* --- ways to a descriptor: each returns one to write to -------------------------------------------- */

static int usual(void) {
    return joined(stream());
}

static int dup_before(void) {
    int fd = stream(), twin = dup(fd);
    joined(fd);
    return twin;
}

static int original_after_dup(void) {
    int fd = stream();
    joined(dup(fd));
    return fd;
}

static int dup2_before(void) {
    int fd = stream(), twin = dup2(fd, 77);
    joined(fd);
    return twin;
}

static int fcntl_before(void) {
    int fd = stream(), twin = fcntl(fd, F_DUPFD_CLOEXEC, 50);
    joined(twin);
    return fd;
}

static int dup2_by_number(void) {
    return (int)syscall(SYS_dup2, usual(), 78);
}

static int connect_by_number(void) {
    int fd = stream();
    if (syscall(SYS_connect, fd, &address, sizeof address))
        die("SYS_connect");
    return fd;
}

static int failed_first(void) { /* the first attempt must leave nothing behind */
    struct sockaddr_in nobody = address;
    int fd = stream(), twin = dup(fd);
    nobody.sin_port = htons(1);
    if (!connect(fd, (struct sockaddr *)&nobody, sizeof nobody))
        die("port 1 is open");
    joined(twin);
    return fd;
}

/* --- ways to write ------------------------------------------------------------------------------- */

static ssize_t by_write(int fd) {
    return write(fd, mark, length);
}

static ssize_t by_number(int fd) {
    return syscall(SYS_write, fd, mark, length);
}

static ssize_t by_sendfile_number(int fd) {
    off_t at = 0;
    return syscall(SYS_sendfile, fd, file, &at, length);
}

static ssize_t by_pwritev2_number(int fd) {
    struct iovec v = {(void *)(size_t)mark, length};
    return syscall(SYS_pwritev2, fd, &v, 1, -1L, -1L, 0);
}

static ssize_t by_splice_number(int fd) {
    if (write(pipes[1], mark, length) != (ssize_t)length)
        die("pipe");
    return syscall(SYS_splice, pipes[0], NULL, fd, NULL, length, 0);
}

static ssize_t by_fastopen(int fd) {
    (void)fd;
    int fresh = stream();
    return sendto(fresh, mark, length, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
}

/* --- */

static void deliver(const char *name, int fd, ssize_t (*way)(int), bool by_accept_number) {
    char got[256] = "";
    if (way(fd) != (ssize_t)length) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    int far =
        by_accept_number ? (int)syscall(SYS_accept, listener, NULL, NULL) : accept(listener, NULL, NULL);
    ssize_t n = recv(far, got, length, MSG_WAITALL);
    printf("%s: %s\n", name, n == (ssize_t)length && !memcmp(got, mark, length) ? "delivered" : "lost");
    fflush(stdout);
    close(far); /* and leave the rest open: a program's carelessness */
}

int main(int argc, char **argv) {
    int on = 1;
    if (argc != 4)
        return 2;
    mark = argv[3];
    length = strlen(mark);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    listener = stream();
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    file = memfd_create("marker", 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5) || pipe(pipes) ||
        write(file, mark, length) != (ssize_t)length)
        die("set-up");
    deliver("usual", usual(), by_write, false);
    deliver("duplicate of before", dup_before(), by_write, false);
    deliver("connected by its duplicate", original_after_dup(), by_write, false);
    deliver("dup2 of before", dup2_before(), by_write, false);
    deliver("F_DUPFD of before", fcntl_before(), by_write, false);
    deliver("connected at the second attempt", failed_first(), by_write, false);
    deliver("SYS_dup2", dup2_by_number(), by_write, false);
    deliver("SYS_connect", connect_by_number(), by_write, false);
    deliver("SYS_accept", usual(), by_write, true);
    deliver("SYS_write", usual(), by_number, false);
    deliver("SYS_sendfile", usual(), by_sendfile_number, false);
    deliver("SYS_pwritev2", usual(), by_pwritev2_number, false);
    deliver("SYS_splice", usual(), by_splice_number, false);
    deliver("MSG_FASTOPEN", -1, by_fastopen, false);
    return 0;
}
