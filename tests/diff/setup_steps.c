/* setup_steps.c - making, naming, half-closing and closing connections. */
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *len);

static int socket_flags(const char *letters) {
    return (strchr(letters, 'n') ? SOCK_NONBLOCK : 0) | (strchr(letters, 'c') ? SOCK_CLOEXEC : 0);
}

static void make_address(struct sockaddr_storage *to, socklen_t *len, char kind, bool any, uint16_t port) {
    memset(to, 0, sizeof *to);
    if (kind == '4') {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
        in.sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
        memcpy(to, &in, sizeof in);
        *len = sizeof in;
        return;
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
    if (kind == 'm') {
        static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
        memcpy(&in6.sin6_addr, mapped, sizeof mapped);
    } else {
        in6.sin6_addr = any ? in6addr_any : in6addr_loopback;
    }
    memcpy(to, &in6, sizeof in6);
    *len = sizeof in6;
}

static uint16_t port_of(int fd) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return 0;
    struct sockaddr_in in; /* the port lies at the same place in both families */
    memcpy(&in, &a, sizeof in);
    return in.sin_port;
}

/* socket NAME 4|6 [n][c] */
static void step_socket(struct actor *me, int argc, char **argv) {
    int type = SOCK_STREAM | (argc > 3 ? socket_flags(argv[3]) : 0);
    int fd = socket(argv[2][0] == '4' ? AF_INET : AF_INET6, type, 0);
    say_result(me, fd);
    *name_slot(argv[1]) = fd;
}

/* bind NAME 4|6|m [any] [PORT-OF] */
static void step_bind(struct actor *me, int argc, char **argv) {
    struct sockaddr_storage a;
    socklen_t len;
    bool any = argc > 3 && strcmp(argv[3], "any") == 0;
    uint16_t port = argc > 4 ? port_of(name_fd(argv[4])) : 0;
    make_address(&a, &len, argv[2][0], any, port);
    errno = EXDEV;
    say_result(me, bind(name_fd(argv[1]), (struct sockaddr *)&a, len));
}

static void step_listen(struct actor *me, int argc, char **argv) {
    (void)argc;
    say_result(me, listen(name_fd(argv[1]), atoi(argv[2])));
}

/* connect NAME TARGET 4|6|m: to TARGET's port on loopback. */
static void step_connect(struct actor *me, int argc, char **argv) {
    struct sockaddr_storage a;
    socklen_t len;
    make_address(&a, &len, argc > 3 ? argv[3][0] : '4', false, port_of(name_fd(argv[2])));
    errno = EXDEV;
    say_result(me, connect(name_fd(argv[1]), (struct sockaddr *)&a, len));
}

/* unconnect NAME: connect(AF_UNSPEC), which dissolves the association. */
static void step_unconnect(struct actor *me, int argc, char **argv) {
    (void)argc;
    struct sockaddr a = {.sa_family = AF_UNSPEC};
    say_result(me, connect(name_fd(argv[1]), &a, sizeof a));
}

/* accept NAME LISTENER [n][c][-]: "-" is accept(), others accept4(); "0" without an address. */
static void step_accept(struct actor *me, int argc, char **argv) {
    const char *how = argc > 3 ? argv[3] : "-";
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    memset(&a, 0, sizeof a);
    bool quiet = strchr(how, '0') != NULL;
    struct sockaddr *address = quiet ? NULL : (struct sockaddr *)&a;
    socklen_t *room = quiet ? NULL : &len;
    int listener = name_fd(argv[2]);
    int fd = strchr(how, '-') ? accept(listener, address, room)
                              : accept4(listener, address, room, socket_flags(how));
    say_result(me, fd);
    if (fd >= 0 && !quiet)
        say_address(me, (struct sockaddr *)&a, len);
    *name_slot(argv[1]) = fd;
}

static bool exchange(int from, int to) {
    char byte = 'w';
    for (int i = 0; i < 2; i++) {
        struct pollfd p = {.fd = to, .events = POLLIN};
        if (write(from, &byte, 1) != 1 || poll(&p, 1, DIFF_WAIT_MS) != 1 || read(to, &byte, 1) != 1)
            return false;
        int swap = from;
        from = to;
        to = swap;
    }
    return true;
}

static int open_listener(char kind) {
    struct sockaddr_storage a;
    socklen_t len;
    int fd = socket(kind == '4' ? AF_INET : AF_INET6, SOCK_STREAM, 0);
    make_address(&a, &len, kind == 'm' ? '6' : kind, kind == 'm', 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 8) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool has_word(int argc, char **argv, const char *word) {
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

/* Without TCP_NODELAY it is a matter of delayed acknowledgements when a small write arrives. */
static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* pair CLIENT SERVER 4|6|m [cold] [nagle]: a connection with both ends here. Unless cold, it has carried
 * a byte each way. */
static void step_pair(struct actor *me, int argc, char **argv) {
    char kind = argv[3][0];
    int listener = open_listener(kind);
    int client = socket(kind == '4' ? AF_INET : AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_storage a;
    socklen_t len;
    make_address(&a, &len, kind, false, port_of(listener));
    int server = -1;
    if (connect(client, (struct sockaddr *)&a, len) == 0)
        server = accept(listener, NULL, NULL);
    close(listener);
    *name_slot(argv[1]) = client;
    *name_slot(argv[2]) = server;
    bool cold = has_word(argc, argv, "cold");
    if (!has_word(argc, argv, "nagle")) {
        no_delay(client);
        no_delay(server);
    }
    bool good = client >= 0 && server >= 0 && (cold || exchange(client, server));
    say(me, " %d %d %s", client, server, good ? "connected" : "not connected");
}

static void show_name(struct actor *me, name_fn *call, int fd, socklen_t room) {
    struct sockaddr_storage a;
    memset(&a, 0, sizeof a);
    int rc = call(fd, (struct sockaddr *)&a, &room);
    say_result(me, rc);
    if (rc == 0)
        say_address(me, (struct sockaddr *)&a, room);
}

static void step_getsockname(struct actor *me, int argc, char **argv) {
    socklen_t room = argc > 2 ? (socklen_t)atoi(argv[2]) : sizeof(struct sockaddr_storage);
    show_name(me, getsockname, name_fd(argv[1]), room);
}

static void step_getpeername(struct actor *me, int argc, char **argv) {
    socklen_t room = argc > 2 ? (socklen_t)atoi(argv[2]) : sizeof(struct sockaddr_storage);
    show_name(me, getpeername, name_fd(argv[1]), room);
}

/* The peer's kernel may acknowledge a FIN late, and then wakes whoever waits for edges: no script depends on
 * when. */
static void await_acknowledged(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    for (int i = 0; i < 300 && !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
                    (info.tcpi_state == TCP_FIN_WAIT1 || info.tcpi_state == TCP_LAST_ACK);
         i++)
        pause_ms(1);
}

/* shutdown NAME r|w|b|x */
static void step_shutdown(struct actor *me, int argc, char **argv) {
    (void)argc;
    char how = argv[2][0];
    int fd = name_fd(argv[1]);
    say_result(me, shutdown(fd, how == 'r' ? SHUT_RD : how == 'w' ? SHUT_WR : how == 'b' ? SHUT_RDWR : 77));
    await_acknowledged(fd);
}

/* The port of this name of fd; 0: it has none (any more). */
static unsigned port_number(name_fn *call, int fd) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    struct sockaddr_in in;
    if (call(fd, (struct sockaddr *)&a, &len) < 0)
        return 0;
    memcpy(&in, &a, sizeof in);
    return ntohs(in.sin_port);
}

/* Does any process hold the socket with these two ports? */
static bool held(const char *table, unsigned local, unsigned remote) {
    char line[512];
    unsigned a, b;
    unsigned long inode;
    bool found = false;
    FILE *f = fopen(table, "re");
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%x %*x %*s %*s %*s %*d %*d %lu", &a, &b,
                       &inode) == 3 &&
                a == local && b == remote && inode;
    if (f)
        fclose(f);
    return found;
}

/* left NAME: until nobody holds the other end of NAME. What a program begins goes on behind its close. */
static void step_left(struct actor *me, int argc, char **argv) {
    (void)argc;
    int fd = name_fd(argv[1]);
    unsigned remote = port_number(getpeername, fd), local = port_number(getsockname, fd);
    int64_t until = now_ms() + DIFF_WAIT_MS;
    while (remote && (held("/proc/net/tcp", remote, local) || held("/proc/net/tcp6", remote, local)) &&
           now_ms() < until)
        pause_ms(2);
    say(me, now_ms() < until ? " left" : " is held");
    pause_ms(3);
}

/* close NAME: the name then stands for the closed number, so that a later use gives EBADF. */
static void step_close(struct actor *me, int argc, char **argv) {
    (void)argc;
    say_result(me, close(name_fd(argv[1])));
}

/* forget NAME: the name stands for nothing (-1). */
static void step_forget(struct actor *me, int argc, char **argv) {
    *name_slot(argv[1]) = argc > 2 ? atoi(argv[2]) : -1;
    say(me, " ok");
}

/* settle NAME: until the next read would not wait, and what was sent with it has had time to arrive. */
static void step_settle(struct actor *me, int argc, char **argv) {
    (void)argc;
    int fd = name_fd(argv[1]);
    char byte;
    int64_t until = now_ms() + DIFF_WAIT_MS;
    ssize_t n;
    while ((n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EAGAIN && now_ms() < until) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, 20);
        pause_ms(1);
    }
    say(me, n >= 0 ? " settled" : errno == EAGAIN ? " nothing came" : " error");
    pause_ms(3);
}

const struct step setup_steps[] = {
    {"socket", 2, step_socket},
    {"bind", 2, step_bind},
    {"listen", 2, step_listen},
    {"connect", 2, step_connect},
    {"unconnect", 1, step_unconnect},
    {"accept", 2, step_accept},
    {"pair", 3, step_pair},
    {"getsockname", 1, step_getsockname},
    {"getpeername", 1, step_getpeername},
    {"shutdown", 2, step_shutdown},
    {"close", 1, step_close},
    {"forget", 1, step_forget},
    {"settle", 1, step_settle},
    {"left", 1, step_left},
    {NULL, 0, NULL},
};
