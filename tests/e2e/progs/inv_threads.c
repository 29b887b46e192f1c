/* inv_threads.c - what other threads, jumps and cancellations may do to a call that is blocked on a
 * connection, with both ends in this process. Prints one line per case; a case that hangs ends the program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int listener, near, far;
static struct sockaddr_in address;
static _Atomic pid_t worker;
static char block[1 << 20];

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void nap(int ms) {
    poll(NULL, 0, ms);
}

static void hung(int signo) {
    (void)signo;
    static const char text[] = "hangs\n";
    (void)!write(1, text, sizeof text - 1);
    syscall(SYS_exit_group, 2);
}

static void begin(const char *name) {
    printf("%s: ", name);
    fflush(stdout);
    worker = 0;
    alarm(30);
}

static void open_pair(bool established) {
    near = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(near, (struct sockaddr *)&address, sizeof address))
        die("connect");
    far = accept(listener, NULL, NULL);
    if (far < 0)
        die("accept");
    char byte = 'x';
    if (established && (write(near, &byte, 1) != 1 || read(far, &byte, 1) != 1 || write(far, &byte, 1) != 1 ||
                        read(near, &byte, 1) != 1))
        die("greeting");
}

/* The thread sleeps in the kernel: in the system call that it was to be blocked in. */
static void await_blocked(void) {
    char path[64], state = 0;
    int calm = 0;
    while (calm < 20) {
        nap(5);
        if (!worker)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)worker);
        FILE *f = fopen(path, "r");
        if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            die("no such thread");
        fclose(f);
        calm = state == 'S' ? calm + 1 : 0;
    }
}

struct result {
    ssize_t n;
    int error;
};

static void *reader(void *arg) {
    struct result *r = arg;
    char buf[100];
    worker = (pid_t)syscall(SYS_gettid);
    r->n = read(near, buf, sizeof buf);
    r->error = errno;
    return NULL;
}

static void *writer(void *arg) {
    struct result *r = arg;
    worker = (pid_t)syscall(SYS_gettid);
    do {
        r->n = send(near, block, sizeof block, MSG_NOSIGNAL);
        r->error = errno;
    } while (r->n > 0);
    return NULL;
}

static pthread_t launch(void *(*work)(void *), struct result *r) {
    pthread_t t;
    *r = (struct result){0};
    if (pthread_create(&t, NULL, work, r))
        die("pthread_create");
    await_blocked();
    return t;
}

static void drain(int fd) {
    static char sink[1 << 16];
    while (recv(fd, sink, sizeof sink, 0) > 0)
        ;
}

/* --- the cases ----------------------------------------------------------------------------------- */

static void shutdown_under_writer(void) {
    struct result r;
    begin("shutdown under a blocked writer");
    open_pair(true);
    pthread_t t = launch(writer, &r);
    shutdown(near, SHUT_RDWR);
    pthread_join(t, NULL);
    printf("%s\n", r.n < 0 ? strerror(r.error) : "?");
    close(near);
    close(far);
}

static void close_under_writer(void) {
    struct result r;
    begin("close under a blocked writer");
    open_pair(true);
    pthread_t t = launch(writer, &r);
    int old = near;
    close(old);
    int pipes[2], top = fcntl(0, F_GETFL) < 0 ? -1 : pipe(pipes); /* takes the number over */
    drain(far);
    pthread_join(t, NULL);
    nap(50);
    struct pollfd p[2] = {{.fd = pipes[0], .events = POLLIN}, {.fd = pipes[1], .events = POLLIN}};
    printf("%s, %s\n", pipes[0] == old || pipes[1] == old ? "number used again" : "?",
           top == 0 && poll(p, 2, 0) == 0 ? "nothing in the pipe" : "bytes in the pipe");
    close(pipes[0]);
    close(pipes[1]);
    close(far);
}

static void close_under_reader(bool established) {
    struct result r;
    begin(established ? "close under a blocked reader" : "close under a reader in the handshake");
    open_pair(established);
    pthread_t t = launch(reader, &r);
    int old = near, pipes[2];
    close(old);
    if (pipe(pipes) || (pipes[0] != old && pipes[1] != old))
        die("pipe");
    (void)!write(pipes[1], "pipe", 4);
    (void)!write(far, "late", 4); /* wakes the reader, who still has the kernel's socket */
    close(far);
    pthread_join(t, NULL);
    char kept[8] = "";
    printf("%s\n",
           read(pipes[0], kept, 4) == 4 && !strcmp(kept, "pipe") ? "the new number is left alone" : "?");
    close(pipes[0]);
    close(pipes[1]);
}

static void no_wait_beside_reader(void) {
    struct result r;
    char byte;
    int one = 1;
    begin("no waiting beside a blocked reader");
    open_pair(true);
    pthread_t t = launch(reader, &r);
    ssize_t n = recv(near, &byte, 1, MSG_DONTWAIT);
    int error = errno;
    setsockopt(near, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    struct pollfd p = {.fd = near, .events = POLLIN};
    int ready = poll(&p, 1, 0);
    (void)!write(far, "abc", 3);
    pthread_join(t, NULL);
    printf("%s, poll %d, reader %zd\n", n < 0 ? strerror(error) : "?", ready, r.n);
    close(near);
    close(far);
}

static sigjmp_buf out;
static void jump(int signo) {
    (void)signo;
    siglongjmp(out, 1);
}

static void *interrupter(void *arg) {
    await_blocked();
    pthread_kill(*(pthread_t *)arg, SIGUSR1);
    return NULL;
}

static void jump_out_of_read(void) {
    pthread_t self = pthread_self(), t;
    char buf[8] = "";
    begin("jump out of a blocked read");
    open_pair(true);
    signal(SIGUSR1, jump);
    if (!sigsetjmp(out, 1)) {
        pthread_create(&t, NULL, interrupter, &self);
        worker = (pid_t)syscall(SYS_gettid);
        (void)!read(near, buf, sizeof buf);
    }
    pthread_join(t, NULL);
    ssize_t none = recv(near, buf, sizeof buf, MSG_DONTWAIT);
    int error = errno;
    (void)!write(far, "after", 5);
    ssize_t n = read(near, buf, sizeof buf);
    printf("%s, then %zd bytes\n", none < 0 ? strerror(error) : "?", n);
    close(near);
    close(far);
}

static volatile ssize_t inner;
static void read_inside(int signo) {
    (void)signo;
    char buf[8];
    inner = recv(near, buf, sizeof buf, MSG_DONTWAIT);
    if (inner < 0)
        inner = -errno;
}

static void *wake(void *arg) {
    await_blocked();
    pthread_kill(*(pthread_t *)arg, SIGUSR1);
    nap(50);
    (void)!write(far, "later", 5);
    return NULL;
}

static void handler_reads(void) {
    pthread_t self = pthread_self(), t;
    char buf[8];
    struct sigaction act = {.sa_handler = read_inside, .sa_flags = SA_RESTART};
    begin("a handler reads what the thread waits for");
    open_pair(true);
    sigaction(SIGUSR1, &act, NULL);
    pthread_create(&t, NULL, wake, &self);
    worker = (pid_t)syscall(SYS_gettid);
    ssize_t n = read(near, buf, sizeof buf);
    pthread_join(t, NULL);
    printf("%s inside, %zd bytes outside\n", strerror((int)-inner), n);
    close(near);
    close(far);
}

static void clean(void *arg) {
    close(*(int *)arg);
}

/* In a process that never had another thread: there nobody seems to be who could cancel it. */
static void cancel_oneself(void) {
    char byte;
    int status = 0;
    begin("the only thread, cancelled by itself before a read");
    open_pair(true);
    pid_t pid = fork();
    if (!pid) {
        signal(SIGALRM, SIG_DFL);
        alarm(5);
        pthread_cancel(pthread_self());
        (void)!read(near, &byte, 1);
        _exit(1);
    }
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid");
    printf("%s\n", WIFEXITED(status) && !WEXITSTATUS(status) ? "cancelled" : "it waits");
    close(near);
    close(far);
}

static void *cancelled(void *arg) {
    char buf[8];
    (void)arg;
    pthread_cleanup_push(clean, &near);
    worker = (pid_t)syscall(SYS_gettid);
    (void)!read(near, buf, sizeof buf);
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancel_in_read(void) {
    struct result r;
    void *end;
    char byte;
    begin("cancelled in a read, closed in the clean-up");
    open_pair(true);
    pthread_t t = launch(cancelled, &r);
    pthread_cancel(t);
    pthread_join(t, &end);
    ssize_t n = read(far, &byte, 1);
    printf("%s, the peer sees %zd\n", end == PTHREAD_CANCELED ? "cancelled" : "?", n);
    close(far);
}

static void cancel_in_write(void) {
    struct result r;
    void *end;
    begin("cancelled in a write");
    open_pair(true);
    pthread_t t = launch(writer, &r);
    pthread_cancel(t);
    pthread_join(t, &end);
    int at = fcntl(near, F_GETFL);
    fcntl(near, F_SETFL, at | O_NONBLOCK);
    (void)!send(near, "x", 1, MSG_NOSIGNAL); /* must neither wait nor go on in the midst of a record */
    close(near);
    drain(far);
    printf("%s\n", end == PTHREAD_CANCELED ? "cancelled" : "?");
    close(far);
}

static void *selector(void *arg) {
    struct result *r = arg;
    struct timeval t = {5, 0};
    char buf[8];
    fd_set in;
    FD_ZERO(&in);
    FD_SET(near, &in);
    r->n = select(near + 1, &in, NULL, NULL, &t) == 1 ? read(near, buf, sizeof buf) : -1;
    return NULL;
}

static void small_stack(void) {
    struct result r = {0};
    pthread_attr_t attr;
    pthread_t t;
    begin("select and read in a thread with little stack");
    open_pair(true);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN));
    if (pthread_create(&t, &attr, selector, &r))
        die("pthread_create");
    (void)!write(far, "abcd", 4);
    pthread_join(t, NULL);
    printf("%zd bytes\n", r.n);
    close(near);
    close(far);
}

int main(int argc, char **argv) {
    int on = 1;
    if (argc != 3)
        return 2;
    signal(SIGALRM, hung);
    signal(SIGPIPE, SIG_IGN);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5))
        die("listen");
    cancel_oneself();
    no_wait_beside_reader();
    jump_out_of_read();
    handler_reads();
    shutdown_under_writer();
    close_under_reader(true);
    close_under_reader(false);
    close_under_writer();
    cancel_in_read();
    cancel_in_write();
    small_stack();
    return 0;
}
