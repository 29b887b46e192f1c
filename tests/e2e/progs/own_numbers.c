/* own_numbers.c - a program of one thread relies on getting the lowest number again that it has just closed
 * (POSIX open()), while there is much to say about connections that it leaves alone.
 *
 *   own_numbers peer ADDRESS PORT                 accepts for ever and answers with bytes that are no TLS
 *   own_numbers connect ADDRESS PORT ROUNDS TIMES connects and closes 0, opens 0, closes 0, ...; prints what
 * it got
 *   own_numbers log ADDRESS PORT LOG DATA         has its log moved away, deleted, and taken by its own file
 * DATA
 *
 * Knows nothing of TLS. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE = 40, FIRST = 100 };

static int wrong, times;

static void look(const char *after) {
    for (int i = 0; i < times; i++) {
        close(0);
        int fd = open("/dev/null", O_RDONLY);
        if (fd && !wrong++)
            printf("descriptor %d where 0 is free, %s\n", fd, after);
        if (fd > 0) {
            dup2(fd, 0);
            close(fd);
        }
    }
}

static int peer(const struct sockaddr_in *a) {
    static const char garbage[] = "HTTP/1.0 200 this is no handshake at all\r\n\r\n";
    int on = 1, turn = 0, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (const struct sockaddr *)a, sizeof *a) || listen(listener, 2 * AT_ONCE))
        return perror("listen"), 1;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        if (send(fd, garbage, sizeof garbage, MSG_NOSIGNAL) < 0)
            perror("send");
        /* It stays open until its place is wanted again: by then the other side is long gone. */
        dup2(fd, FIRST + turn++ % (4 * AT_ONCE));
        close(fd);
    }
    return 1;
}

/* Connections whose peers answer with something else than a handshake, and a program that does not look. */
static int connecting(const struct sockaddr_in *a, int rounds) {
    int fds[AT_ONCE];
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < AT_ONCE; i++) {
            fds[i] = socket(AF_INET, SOCK_STREAM | (round % 2 ? 0 : SOCK_NONBLOCK), 0);
            if (connect(fds[i], (const struct sockaddr *)a, sizeof *a) && errno != EINPROGRESS)
                return perror("connect"), 1;
        }
        look(round % 2 ? "blocking" : "non-blocking");
        for (int i = 0; i < AT_ONCE; i++)
            close(fds[i]);
        look("after a close");
    }
    return 0;
}

static void refused(const struct sockaddr_in *a) {
    char c;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)a, sizeof *a) || recv(fd, &c, 1, 0) >= 0)
        perror("not refused");
    close(fd);
}

static void lines(const char *what, const char *path) {
    FILE *f = fopen(path, "r");
    int n = 0;
    for (int c; f && (c = getc(f)) != EOF;)
        n += c == '\n';
    printf("%s %d\n", what, f ? n : -1);
    if (f)
        fclose(f);
}

static int number_of(const char *path) {
    char link[64], where[PATH_MAX];
    for (int fd = 0; fd < 65536; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, where, sizeof where - 1);
        where[n > 0 ? n : 0] = 0;
        if (!strcmp(where, path))
            return fd;
    }
    return -1;
}

static int logging(const struct sockaddr_in *a, const char *log, const char *data) {
    char away[PATH_MAX];
    snprintf(away, sizeof away, "%s.1", log);
    refused(a);
    lines("first", log);
    rename(log, away);
    refused(a);
    lines("away", away);
    lines("moved", log);
    pid_t child = fork();
    if (!child) {
        refused(a);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    lines("child", log);
    unlink(log);
    refused(a);
    lines("deleted", log);
    int kept = number_of(log), own = open(data, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FILE *f = fdopen(kept, "a");
    if (!f || fclose(f) ||
        fcntl(own, F_DUPFD, kept) != kept) /* closed inside of libc, where no hook sees it */
        perror("taking the number");
    refused(a);
    lines("data", data);
    lines("taken", log);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 64;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &a.sin_addr);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(argv[1], "peer"))
        return peer(&a);
    if (argc == 6 && !strcmp(argv[1], "log"))
        return logging(&a, argv[4], argv[5]);
    times = argc == 6 ? atoi(argv[5]) : 0;
    if (!times || connecting(&a, atoi(argv[4])))
        return 1;
    printf("%d wrong numbers\n", wrong);
    return wrong != 0;
}
