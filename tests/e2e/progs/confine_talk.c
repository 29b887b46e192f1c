/* confine_talk.c - one end of a conversation that puts itself behind a seccomp filter as soon as it is
 * connected.
 *
 *   confine_talk server|client FILTER LOOP BYTES BUFFER ADDRESS PORT
 *
 * The client sends BYTES and the server, when it has them all, sends as many; each end checks every byte.
 * FILTER: none; kill (as sshd's: hardly anything, death for the rest); eperm (the same list, EPERM); enosys
 * (the socket calls only); stacked (three filters); strict (SECCOMP_MODE_STRICT). "late-" in front: first one
 * byte each way, then the filter. LOOP: read (blocking), poll, ppoll, select, epoll (all with a descriptor
 * that blocks) or nonblock (poll, non-blocking). Knows nothing of TLS. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *loop;
static int epfd = -1;
static int strict;

static void leave(int status) {
    if (strict)
        syscall(SYS_exit, status); /* nothing else is allowed */
    exit(status);
}

static void die(const char *what) {
    char line[200];
    int n = snprintf(line, sizeof line, "%s: %s\n", what, strerrorname_np(errno));
    if (write(2, line, (size_t)n) < 0)
        leave(2);
    leave(1);
}

/* --- filters ------------------------------------------------------------------------------------- */

static void install(const int *calls, size_t count, uint32_t hit, uint32_t miss) {
    struct sock_filter program[128];
    size_t n = 0;
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, hit);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, miss);
    struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        die("no_new_privs");
    if (n % 4 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)
              : (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
        die("filter");
}

#define INSTALL(list, hit, miss) install(list, sizeof(list) / sizeof *(list), hit, miss)

static void little(uint32_t rest) {
    static const int list[] = {
        SYS_read,       SYS_write,      SYS_close,         SYS_poll,           SYS_ppoll,
        SYS_pselect6,   SYS_select,     SYS_futex,         SYS_mmap,           SYS_munmap,
        SYS_brk,        SYS_getpid,     SYS_clock_gettime, SYS_shutdown,       SYS_exit,
        SYS_exit_group, SYS_epoll_wait, SYS_epoll_pwait,   SYS_rt_sigprocmask, SYS_restart_syscall};
    INSTALL(list, SECCOMP_RET_ALLOW, rest);
}

static void stacked(void) {
    static const int first[] = {SYS_clone, SYS_clone3, SYS_recvfrom, SYS_recvmsg, SYS_madvise};
    static const int second[] = {SYS_sendto, SYS_sendmsg, SYS_ioctl, SYS_openat, SYS_newfstatat};
    static const int third[] = {SYS_getsockopt, SYS_setsockopt, SYS_kill, SYS_getpeername, SYS_fcntl};
    INSTALL(first, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW);
    INSTALL(second, SECCOMP_RET_ERRNO | EACCES, SECCOMP_RET_ALLOW);
    INSTALL(third, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW);
}

static void confine(const char *filter) {
    static const int sockets[] = {SYS_recvfrom, SYS_sendto,     SYS_recvmsg,
                                  SYS_sendmsg,  SYS_setsockopt, SYS_ioctl};
    if (!strcmp(filter, "kill"))
        little(SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(filter, "eperm"))
        little(SECCOMP_RET_ERRNO | EPERM);
    else if (!strcmp(filter, "enosys"))
        INSTALL(sockets, SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ALLOW);
    else if (!strcmp(filter, "stacked"))
        stacked();
    else if (!strcmp(filter, "strict") && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
        die("strict");
    strict = !strcmp(filter, "strict");
}

/* --- loops --------------------------------------------------------------------------------------- */

static void wait_poll(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    int n = strcmp(loop, "ppoll") ? poll(&p, 1, 30000) : ppoll(&p, 1, &(struct timespec){30, 0}, NULL);
    if (n != 1)
        die("nothing came");
}

static void wait_select(int fd, short events) {
    fd_set set;
    struct timeval limit = {30, 0};
    FD_ZERO(&set);
    FD_SET(fd, &set);
    if (select(fd + 1, events == POLLIN ? &set : NULL, events == POLLOUT ? &set : NULL, NULL, &limit) != 1 ||
        !FD_ISSET(fd, &set))
        die("nothing came");
}

static void wait_for(int fd, short events) {
    struct epoll_event e;
    if (!strcmp(loop, "select"))
        wait_select(fd, events);
    else if (!strcmp(loop, "epoll") && events == POLLIN) {
        if (epoll_wait(epfd, &e, 1, 30000) != 1 || e.data.fd != fd)
            die("nothing came");
    } else if (strcmp(loop, "read") && strcmp(loop, "epoll")) {
        wait_poll(fd, events);
    }
}

static uint8_t byte_at(size_t i) {
    return (uint8_t)(i * 31 + (i >> 8) * 7 + 5);
}

static void take(int fd, size_t bytes, size_t room) {
    static uint8_t buffer[1 << 17];
    for (size_t at = 0; at < bytes;) {
        wait_for(fd, POLLIN);
        ssize_t n = read(fd, buffer, bytes - at < room ? bytes - at : room);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0)
            die("read");
        for (ssize_t i = 0; i < n; i++, at++)
            if (buffer[i] != byte_at(at)) {
                errno = EBADMSG;
                die("content");
            }
    }
}

static void give(int fd, size_t bytes) {
    static uint8_t buffer[40000];
    for (size_t at = 0; at < bytes;) {
        size_t n = 0;
        for (; n < sizeof buffer && at + n < bytes; n++)
            buffer[n] = byte_at(at + n);
        for (size_t done = 0; done < n;) {
            wait_for(fd, POLLOUT);
            ssize_t sent = write(fd, buffer + done, n - done);
            if (sent < 0 && errno != EAGAIN)
                die("write");
            done += sent > 0 ? (size_t)sent : 0;
        }
        at += n;
    }
}

/* --- connections --------------------------------------------------------------------------------- */

static int connection(int server, const struct sockaddr_in *where) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (!server) {
        if (connect(fd, (const struct sockaddr *)where, sizeof *where))
            die("connect");
        return fd;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)where, sizeof *where) || listen(fd, 8))
        die("listen");
    int got = accept(fd, NULL, NULL);
    if (got < 0)
        die("accept");
    close(fd);
    return got;
}

static void prepare(int fd) {
    if (!strcmp(loop, "nonblock"))
        fcntl(fd, F_SETFL, O_NONBLOCK);
    if (strcmp(loop, "epoll"))
        return;
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epfd = epoll_create1(0);
    if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e))
        die("epoll");
}

int main(int argc, char **argv) {
    if (argc != 8)
        return 64;
    int server = !strcmp(argv[1], "server");
    const char *filter = argv[2];
    size_t bytes = strtoul(argv[4], NULL, 10), room = strtoul(argv[5], NULL, 10);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[7]))};
    inet_pton(AF_INET, argv[6], &where.sin_addr);
    loop = argv[3];
    int fd = connection(server, &where);
    prepare(fd);
    if (!strncmp(filter, "late-", 5)) {
        give(fd, 1);
        take(fd, 1, 1);
        filter += 5;
    }
    confine(filter);
    if (server) {
        take(fd, bytes, room);
        give(fd, bytes);
    } else {
        give(fd, bytes);
        take(fd, bytes, room);
    }
    if (!strict) {
        char end;
        if (shutdown(fd, SHUT_WR))
            die("shutdown");
        wait_for(fd, POLLIN);
        if (read(fd, &end, 1) != 0)
            die("no clean end");
    }
    char done[40];
    int n = snprintf(done, sizeof done, "%s has %zu\n", argv[1], bytes);
    leave(write(1, done, (size_t)n) != n);
}
