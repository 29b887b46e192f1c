/* small_stacks.c - everything that a thread does with a connection, the first handshake of the process
 * included, in threads with as little stack as they may have. Client and server are processes of their own.
 *
 *     small_stacks ADDRESS PORT TABLE     TABLE is touched on the way, so that it is read anew
 *
 * Below each stack lies a page that nobody may touch. Prints how much of a stack was used at most, per size,
 * to standard error. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAINT = 0xa5, BULK = 200000, ROUNDS = 2 };

static struct sockaddr_in address;
static const char *table;
static int listener, connection; /* one thread at a time */
static char bulk[BULK];
static size_t deepest;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    _exit(1);
}

/* Runs body in a thread with that much stack. */
static void in_thread(size_t size, void *(*body)(void *)) {
    pthread_attr_t attr;
    pthread_t thread;
    unsigned char *low = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low == MAP_FAILED || mprotect(low, PAGE, PROT_NONE))
        die("mmap");
    memset(low + PAGE, PAINT, size);
    pthread_attr_init(&attr);
    if ((errno = pthread_attr_setstack(&attr, low + PAGE, size)) ||
        (errno = pthread_create(&thread, &attr, body, NULL)))
        die("thread");
    pthread_join(thread, NULL);
    size_t untouched = 0;
    while (untouched < size && low[PAGE + untouched] == PAINT)
        untouched++;
    if (size - untouched > deepest)
        deepest = size - untouched;
    munmap(low, size + PAGE);
}

static void all(bool in, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t got = in ? read(connection, bulk + at, n - at) : write(connection, bulk + at, n - at);
        if (got <= 0)
            die(in ? "read" : "write");
        at += (size_t)got;
    }
}

/* --- client -------------------------------------------------------------------------------------- */

static void *begin(void *unused) {
    connection = socket(AF_INET, SOCK_STREAM, 0);
    for (int left = 200; connect(connection, (struct sockaddr *)&address, sizeof address); left--) {
        if (errno != ECONNREFUSED || !left)
            die("connect");
        close(connection);
        poll(NULL, 0, 50);
        connection = socket(AF_INET, SOCK_STREAM, 0);
    }
    return unused;
}

static void *send_each_way(void *unused) {
    struct iovec iov[2] = {{bulk, 1}, {bulk + 1, 2}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (send(connection, bulk, 2, 0) != 2 || sendmsg(connection, &msg, 0) != 3)
        die("send");
    all(false, BULK);
    return unused;
}

static void *wait_each_way(void *unused) {
    struct pollfd p = {.fd = connection, .events = POLLIN};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(connection, &set);
    if (poll(&p, 1, 30000) != 1 || select(connection + 1, &set, NULL, NULL, NULL) != 1)
        die("poll");
    if (recv(connection, bulk, 2, MSG_PEEK) != 2 || recv(connection, bulk, 2, 0) != 2)
        die("recv");
    all(true, BULK - 2);
    return unused;
}

static void *fork_here(void *unused) {
    pid_t child = fork();
    int status = 1;
    if (!child)
        _exit(0);
    if (child < 0 || waitpid(child, &status, 0) != child || status)
        die("fork");
    return unused;
}

static void *end(void *unused) {
    shutdown(connection, SHUT_WR);
    if (read(connection, bulk, 1) != 0)
        die("end of file");
    close(connection);
    return unused;
}

static void on_signal(int signo) {
    int saved = errno;
    (void)signo;
    if (write(connection, "s", 1) != 1 || read(connection, bulk, 1) != 1)
        die("in the handler");
    errno = saved;
}

/* The same in a signal's handler with a stack of its own, on a connection that has exchanged something. */
static void handle(size_t size) {
    unsigned char *low = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = low + PAGE, .ss_size = size}, none = {.ss_flags = SS_DISABLE};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    if (low == MAP_FAILED || mprotect(low, PAGE, PROT_NONE) || sigaltstack(&stack, NULL) ||
        sigaction(SIGUSR1, &act, NULL))
        die("sigaltstack");
    raise(SIGUSR1);
    sigaltstack(&none, NULL);
    munmap(low, size + PAGE);
}

static void client(size_t size) {
    in_thread(size, begin);
    in_thread(size, send_each_way);
    in_thread(size, wait_each_way);
    in_thread(size, fork_here);
    handle((size_t)sysconf(_SC_SIGSTKSZ));
    in_thread(size, end);
    static time_t when; /* long unchanged, so that it is read at once */
    struct timespec now[2] = {{0, UTIME_NOW}, {++when, 0}};
    if (utimensat(AT_FDCWD, table, now, 0))
        die("touch");
    poll(NULL, 0, 300); /* tables are looked at a few times in a second */
}

/* --- server -------------------------------------------------------------------------------------- */

static void *open_door(void *unused) {
    int one = 1;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5))
        die("listen");
    return unused;
}

static void *answer(void *unused) {
    connection = accept(listener, NULL, NULL);
    if (connection < 0)
        die("accept");
    all(true, 5);
    all(true, BULK);
    all(false, BULK);
    all(true, 1);
    all(false, 1);
    if (read(connection, bulk, 1) != 0)
        die("end of file");
    close(connection);
    return unused;
}

static void server(const size_t *sizes, size_t count) {
    in_thread(sizes[0], open_door);
    for (size_t i = 0; i < count * ROUNDS; i++)
        in_thread(sizes[i / ROUNDS], answer);
    fprintf(stderr, "server: %zu bytes of stack at most\n", deepest);
    exit(0);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    const size_t sizes[] = {(size_t)sysconf(_SC_THREAD_STACK_MIN), 32768, 65536};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(argv[2]));
    table = argv[3];
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    alarm(60);
    pid_t other = fork();
    int status = 1;
    if (!other)
        server(sizes, SIZES);
    for (size_t i = 0; i < SIZES * ROUNDS; i++)
        client(sizes[i / ROUNDS]);
    fprintf(stderr, "client: %zu bytes of stack at most\n", deepest);
    waitpid(other, &status, 0);
    puts(status ? "the server failed" : "finished");
    return status != 0;
}
