/* guest.c - programs that make an interposer's life hard; each answers or asks on an ordinary TCP connection.
 *
 *   guest jail ADDRESS PORT DIRECTORY    listens, chroots, drops root, forks per connection, echoes
 *   guest filter ADDRESS PORT            listens, then allows itself hardly any system call, echoes
 *   guest tidy ADDRESS PORT TEXT         closes every descriptor it did not open, connects, sends TEXT,
 * prints the echo guest plugin ADDRESS PORT TEXT FILE  the same, from a shared object that binds its symbols
 * deeply guest starter ADDRESS PORT TEXT      the same, with system() and popen() while the connection is
 * open guest signals ADDRESS PORT TEXT      the same, under a storm of signals whose handler writes to a pipe
 *   guest limit ADDRESS PORT TEXT        the same, on a descriptor near the limit
 *
 * Built with -DPLUGIN it is the shared object. Knows nothing of TLS.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

int guest_ask(int fd, const struct sockaddr_in *where, const char *text);

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

/* Connects, says the text and prints what comes back; the whole of what the plugin does. */
int guest_ask(int fd, const struct sockaddr_in *where, const char *text) {
    char back[512];
    size_t want = strlen(text), got = 0;
    if (connect(fd, (const struct sockaddr *)where, sizeof *where) || write(fd, text, want) != (ssize_t)want)
        return -1;
    while (got < want) {
        ssize_t n = read(fd, back + got, sizeof back - got);
        if (n <= 0)
            return -1;
        got += (size_t)n;
    }
    printf("%.*s\n", (int)got, back);
    return 0;
}

#ifndef PLUGIN
static int listen_at(const struct sockaddr_in *where) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)where, sizeof *where) || listen(fd, 64))
        die("listen");
    return fd;
}

static void echo(int fd) {
    char buffer[4096];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (write(fd, buffer, (size_t)n) != n)
            die("write");
    if (n < 0)
        die("read");
    close(fd);
}

static void jail(const struct sockaddr_in *where, const char *directory) {
    int listener = listen_at(where);
    signal(SIGCHLD, SIG_IGN);
    if (chroot(directory) || chdir("/") || setgid(65534) || setuid(65534))
        die("jail");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            die("accept");
        if (fork() == 0) {
            close(listener);
            echo(fd);
            exit(0);
        }
        close(fd);
    }
}

/* Everything else is denied with EPERM, as sandboxes do. Threads and files are among everything else. */
static void allow_little(void) {
    static const int allowed[] = {
        SYS_read,       SYS_write,      SYS_close,        SYS_accept,        SYS_accept4,       SYS_recvfrom,
        SYS_sendto,     SYS_recvmsg,    SYS_sendmsg,      SYS_poll,          SYS_shutdown,      SYS_futex,
        SYS_mmap,       SYS_munmap,     SYS_mprotect,     SYS_madvise,       SYS_brk,           SYS_getrandom,
        SYS_setsockopt, SYS_getsockopt, SYS_getsockname,  SYS_getpeername,   SYS_clock_gettime, SYS_getpid,
        SYS_gettid,     SYS_exit_group, SYS_rt_sigaction, SYS_rt_sigprocmask};
    enum { COUNT = sizeof allowed / sizeof allowed[0] };
    struct sock_filter program[COUNT * 2 + 2];
    size_t n = 0;
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT; i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
        die("seccomp");
}

static void filtered(const struct sockaddr_in *where) {
    int listener = listen_at(where);
    allow_little();
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            die("accept");
        echo(fd);
    }
}

static int plugin(const struct sockaddr_in *where, const char *text, const char *file) {
    int (*ask)(int, const struct sockaddr_in *, const char *);
    void *object = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    void *symbol = object ? dlsym(object, "guest_ask") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    memcpy(&ask, &symbol, sizeof ask);
    return ask(socket(AF_INET, SOCK_STREAM, 0), where, text);
}

static int starter(const struct sockaddr_in *where, const char *text) {
    char line[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (guest_ask(fd, where, text) || system("echo started >/dev/null") != 0)
        return 1;
    FILE *child = popen("echo child; exec sleep 0", "r");
    if (!child || !fgets(line, sizeof line, child) || pclose(child) != 0 || strcmp(line, "child\n") != 0)
        return 1;
    /* The children had the descriptor too; the connection must not have noticed. */
    ssize_t n = write(fd, "again", 5) == 5 ? read(fd, line, sizeof line) : -1;
    printf("%.*s\n", (int)(n > 0 ? n : 0), line);
    return close(fd);
}

static int storm_pipe[2];
static void on_alarm(int number) {
    int saved = errno;
    ssize_t n = write(storm_pipe[1], &number, 1);
    (void)n;
    errno = saved;
}

static int under_signals(const struct sockaddr_in *where, const char *text) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    char drain[4096], back[512];
    if (pipe2(storm_pipe, O_NONBLOCK) || sigaction(SIGALRM, &action, NULL))
        die("pipe");
    setitimer(ITIMER_REAL, &often, NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    while (connect(fd, (const struct sockaddr *)where, sizeof *where))
        if (errno != EINTR && errno != EALREADY && errno != EISCONN)
            die("connect");
        else if (errno == EISCONN)
            break;
    for (int i = 0; i < 3000; i++) {
        size_t want = strlen(text);
        if (write(fd, text, want) != (ssize_t)want || recv(fd, back, want, MSG_WAITALL) != (ssize_t)want ||
            memcmp(back, text, want) != 0)
            die("exchange");
        while (read(storm_pipe[0], drain, sizeof drain) > 0)
            continue;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    puts(text);
    return close(fd);
}

static int near_limit(const struct sockaddr_in *where, const char *text) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int low = socket(AF_INET, SOCK_STREAM, 0);
    int fd = fcntl(low, F_DUPFD, (int)limit.rlim_max - 1);
    if (fd != (int)limit.rlim_max - 1)
        die("dup");
    close(low);
    return guest_ask(fd, where, text) || close(fd);
}

/* A connection that was used is swept away with all others; the next one begins from nothing. */
static int swept(const struct sockaddr_in *where, const char *text) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (guest_ask(fd, where, text))
        return 1;
    closefrom(3);
    if (fcntl(fd, F_GETFD) >= 0)
        return 1;
    return guest_ask(socket(AF_INET, SOCK_STREAM, 0), where, text);
}

static int run(const struct sockaddr_in *where, char **argv) {
    const char *mode = argv[1];
    if (!strcmp(mode, "filter"))
        filtered(where);
    if (!argv[4])
        return 64;
    if (!strcmp(mode, "jail"))
        jail(where, argv[4]);
    if (!strcmp(mode, "tidy")) {
        if (syscall(SYS_close_range, 3U, ~0U, 0U))
            die("close_range");
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        return guest_ask(socket(AF_INET, SOCK_STREAM, 0), where, argv[4]);
    }
    if (!strcmp(mode, "closefrom"))
        return swept(where, argv[4]);
    if (!strcmp(mode, "plugin") && argv[5])
        return plugin(where, argv[4], argv[5]);
    if (!strcmp(mode, "starter"))
        return starter(where, argv[4]);
    if (!strcmp(mode, "signals"))
        return under_signals(where, argv[4]);
    if (!strcmp(mode, "limit"))
        return near_limit(where, argv[4]);
    return 64;
}

int main(int argc, char **argv) {
    struct sockaddr_in where = {.sin_family = AF_INET};
    if (argc < 4 || inet_pton(AF_INET, argv[2], &where.sin_addr) != 1)
        return 64;
    where.sin_port = htons((uint16_t)atoi(argv[3]));
    int status = run(&where, argv);
    if (status)
        fprintf(stderr, "%s: %s\n", argv[1], strerrorname_np(errno));
    return status ? 1 : 0;
}
#endif
