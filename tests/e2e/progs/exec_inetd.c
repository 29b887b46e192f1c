/* exec_inetd.c - a server in the manner of inetd: every connection becomes standard input, output and error
 * of a program.
 *
 *   exec_inetd ADDRESS PORT COUNT HOW PROGRAM ARGUMENTS...
 *
 * HOW: fork (the parent closes at once), keep (the parent keeps its copy until the program ended), vfork,
 * spawn (posix_spawn with file actions), self (no child: the server itself becomes the program),
 * other (like fork, under another user; needs root), listen_fds (the connection is descriptor 3).
 * Accepts COUNT connections, one after another; knows nothing of TLS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

static int listen_at(const char *address, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, sizeof a) ||
        listen(fd, 64))
        die("listen");
    return fd;
}

static void become(int fd, char **argv, const char *how) {
    if (!strcmp(how, "listen_fds")) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        if (fd != 3 && dup2(fd, 3) != 3)
            die("dup2");
        fcntl(3, F_SETFD, 0);
    } else {
        for (int i = 0; i < 3; i++)
            if (dup2(fd, i) != i)
                die("dup2");
        close(fd);
    }
    execv(argv[0], argv);
    _exit(127);
}

static pid_t start(int fd, char **argv, const char *how) {
    pid_t pid = -1;
    posix_spawn_file_actions_t actions;
    extern char **environ;
    if (!strcmp(how, "self"))
        become(fd, argv, how);
    if (!strcmp(how, "spawn")) {
        posix_spawn_file_actions_init(&actions);
        for (int i = 0; i < 3; i++)
            posix_spawn_file_actions_adddup2(&actions, fd, i);
        errno = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        if (errno)
            die("posix_spawn");
        return pid;
    }
    pid = strcmp(how, "vfork") ? fork() : vfork();
    if (pid < 0)
        die("fork");
    if (pid)
        return pid;
    if (!strcmp(how, "other") && (setgid(65534) || setuid(65534)))
        die("setuid");
    become(fd, argv, how);
    return -1;
}

int main(int argc, char **argv) {
    if (argc < 6)
        return 2;
    int listener = listen_at(argv[1], argv[2]), status;
    const char *how = argv[4];
    for (int i = 0; i < atoi(argv[3]); i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            die("accept");
        pid_t pid = start(fd, argv + 5, how);
        if (strcmp(how, "keep"))
            close(fd);
        if (waitpid(pid, &status, 0) != pid)
            die("waitpid");
        if (!strcmp(how, "keep"))
            close(fd);
        printf("ended with %d\n", status);
        fflush(stdout);
    }
    return 0;
}
