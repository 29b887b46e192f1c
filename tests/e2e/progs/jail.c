/* jail.c - a server that shuts itself in as cautious ones do: a child for each client, made by clone and by
 * number; in it no way back to the files, another user, no thread and no descriptor more. From in there it
 * speaks first, and passes what it hears to a connection that it made to the client.
 *
 *   jail ADDRESS PORT BACK-PORT DIRECTORY CLIENTS */
#include <arpa/inet.h>
#include <err.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, LIMIT = 30, LINE = 256 };

static struct sockaddr_in address(const char *host, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        errx(1, "%s: no address", host);
    return a;
}

static int tcp_socket(struct sockaddr_in *local) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)local, sizeof *local))
        err(1, "bind");
    return fd;
}

static void leave_the_files(const char *directory) {
    if (chdir(directory) || chroot("."))
        err(1, "chroot");
}

static void give_up_everything(void) {
    static const struct rlimit none = {0, 0};
    if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
        err(1, "another user");
    if (setrlimit(RLIMIT_NPROC, &none) || setrlimit(RLIMIT_NOFILE, &none))
        err(1, "limits");
}

static int serve(int fd, char **argv) {
    static const char greeting[] = "who is there?\n";
    char line[LINE];
    alarm(LIMIT);
    leave_the_files(argv[4]);
    struct sockaddr_in local = address(argv[1], "0"), back = address("127.0.0.1", argv[3]);
    int out = tcp_socket(&local);
    if (connect(out, (struct sockaddr *)&back, sizeof back))
        err(1, "connect");
    give_up_everything();
    if (write(fd, greeting, sizeof greeting - 1) < 0)
        err(1, "greeting");
    ssize_t n = read(fd, line, sizeof line);
    if (n <= 0)
        err(1, "read");
    if (write(out, line, (size_t)n) != n)
        err(1, "write");
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 6)
        errx(2, "ADDRESS PORT BACK-PORT DIRECTORY CLIENTS");
    struct sockaddr_in local = address(argv[1], argv[2]);
    int listener = tcp_socket(&local), bad = 0;
    if (listen(listener, 8))
        err(1, "listen");
    for (int i = atoi(argv[5]); i > 0; i--) {
        int status, fd = accept(listener, NULL, NULL);
        if (fd < 0)
            err(1, "accept");
        pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (pid < 0)
            err(1, "clone");
        if (!pid)
            exit(serve(fd, argv));
        close(fd);
        bad += waitpid(pid, &status, 0) != pid || status;
    }
    return bad != 0;
}
