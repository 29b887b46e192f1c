/* aio_socket.c - asynchronous I/O on connections, told line by line. Holds both ends.
 * Arguments: ADDRESS, MARK, a FILE to write. */
#include <aio.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int near, far;
static const char *path;
static sem_t called;
static int called_with;

static void check(int ok, const char *what) {
    if (!ok) {
        printf("FATAL %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void give(const char *text) {
    check(send(far, text, strlen(text), 0) == (ssize_t)strlen(text), "give");
}

static void take(size_t n) {
    char buf[4096];
    check(n <= sizeof buf && recv(far, buf, n, MSG_WAITALL) == (ssize_t)n, "take");
    printf("  far: %.*s\n", (int)n, buf);
}

static void wait_for(struct aiocb *cb) {
    const struct aiocb *const list[] = {cb};
    struct timespec limit = {20, 0};
    while (aio_error(cb) == EINPROGRESS)
        if (aio_suspend(list, 1, &limit) && errno != EINTR)
            check(0, "aio_suspend");
}

static void tell(const char *what, struct aiocb *cb) {
    int error = aio_error(cb);
    ssize_t n = aio_return(cb);
    printf("  %s: %s, %zd\n", what, strerror(error), n);
}

static struct aiocb request(int fd, void *buf, size_t n) {
    return (struct aiocb){
        .aio_fildes = fd, .aio_buf = buf, .aio_nbytes = n, .aio_sigevent.sigev_notify = SIGEV_NONE};
}

static void simple(void) {
    char buf[64] = "";
    struct aiocb out = request(near, (char *)"hello", 5), in = request(near, buf, sizeof buf);
    printf("  aio_write %d\n", aio_write(&out));
    take(5);
    wait_for(&out);
    tell("write", &out);
    printf("  aio_read %d", aio_read(&in));
    printf(" %d\n", aio_error(&in) == EINPROGRESS);
    give("answer");
    wait_for(&in);
    tell("read", &in);
    printf("  %s\n", buf);
}

static void in_order(void) {
    struct aiocb cb[8];
    char text[8][8];
    for (int i = 0; i < 8; i++) {
        snprintf(text[i], sizeof text[i], "part %d;", i);
        cb[i] = request(near, text[i], 7);
        check(!aio_write(&cb[i]), "aio_write");
    }
    take(56);
    for (int i = 0; i < 8; i++) {
        wait_for(&cb[i]);
        tell("write", &cb[i]);
    }
}

static void on_call(union sigval value) {
    called_with = value.sival_int;
    sem_post(&called);
}

static void wait_for_call(void) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 20;
    check(!sem_timedwait(&called, &limit), "the call");
    printf("  called with %d\n", called_with);
}

static void told(void) {
    char buf[16];
    sigset_t set;
    siginfo_t info;
    struct timespec limit = {20, 0};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct aiocb in = request(near, buf, sizeof buf);
    in.aio_sigevent =
        (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 7};
    check(!aio_read(&in), "aio_read");
    give("signal");
    int got = sigtimedwait(&set, &info, &limit);
    printf("  signal %d code %d value %d own %d\n", got == SIGUSR1, info.si_code == SI_ASYNCIO,
           info.si_value.sival_int, info.si_pid == getpid());
    tell("read", &in);
    in = request(near, buf, sizeof buf);
    in.aio_sigevent.sigev_notify = SIGEV_THREAD;
    in.aio_sigevent.sigev_notify_function = on_call;
    in.aio_sigevent.sigev_value.sival_int = 8;
    check(!aio_read(&in), "aio_read");
    give("thread");
    wait_for_call();
    tell("read", &in);
}

static void cancelled(void) {
    char a[16], b[16];
    struct aiocb first = request(near, a, sizeof a), second = request(near, b, sizeof b);
    check(!aio_read(&first), "aio_read");
    struct timespec soon = {0, 100000000};
    nanosleep(&soon, NULL); /* it is at work now */
    check(!aio_read(&second), "aio_read");
    int r = aio_cancel(near, &second);
    printf("  waiting: %d\n", r == AIO_CANCELED);
    tell("second", &second);
    r = aio_cancel(near, &first);
    printf("  at work: %d\n", r == AIO_NOTCANCELED);
    const struct aiocb *const list[] = {&first};
    r = aio_suspend(list, 1, &soon);
    printf("  aio_suspend %d %s\n", r, strerror(errno));
    give("x");
    wait_for(&first);
    tell("first", &first);
    r = aio_cancel(near, NULL);
    printf("  nothing left: %d\n", r == AIO_ALLDONE);
}

static void lists(void) {
    char in[16] = "";
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct aiocb a = request(near, (char *)"from a list", 11), b = request(file, (char *)"into a file", 11);
    struct aiocb c = request(near, in, 5), nop = request(near, in, 5);
    a.aio_lio_opcode = b.aio_lio_opcode = LIO_WRITE;
    b.aio_offset = 3;
    c.aio_lio_opcode = LIO_READ;
    nop.aio_lio_opcode = LIO_NOP;
    struct aiocb *list[] = {&a, &b, NULL, &nop, &c};
    give("bytes");
    printf("  lio_listio %d\n", lio_listio(LIO_WAIT, list, 5, NULL));
    tell("a", &a);
    tell("b", &b);
    tell("c", &c);
    take(11);
    printf("  %.5s, file ends at %ld\n", in, (long)lseek(file, 0, SEEK_END));
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_call, .sigev_value.sival_int = 9};
    struct aiocb *one[] = {&a};
    printf("  lio_listio %d\n", lio_listio(LIO_NOWAIT, one, 1, &event));
    wait_for_call();
    tell("a", &a);
    take(11);
    close(file);
}

static void ended(void) {
    char buf[16];
    struct aiocb in = request(near, buf, sizeof buf), wrong = request(near, buf, 1);
    wrong.aio_reqprio = -1;
    int r = aio_read(&wrong);
    printf("  priority: %d %s\n", r, strerror(errno));
    shutdown(far, SHUT_WR);
    check(!aio_read(&in), "aio_read");
    wait_for(&in);
    tell("end", &in);
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {{"simple", simple},       {"in order", in_order}, {"told", told},
                 {"cancelled", cancelled}, {"lists", lists},       {"ended", ended}};

int main(int argc, char **argv) {
    struct sockaddr_in where = {.sin_family = AF_INET};
    socklen_t len = sizeof where;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 4 || !inet_aton(argv[1], &where.sin_addr) || bind(listener, (struct sockaddr *)&where, len) ||
        listen(listener, 5) || getsockname(listener, (struct sockaddr *)&where, &len))
        return 2;
    path = argv[3];
    setvbuf(stdout, NULL, _IOLBF, 0);
    sem_init(&called, 0, 0);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        char buf[128];
        printf("%s\n", scenarios[i].name);
        near = socket(AF_INET, SOCK_STREAM, 0);
        check(!connect(near, (struct sockaddr *)&where, len), "connect");
        far = accept(listener, NULL, NULL);
        struct timeval limit = {20, 0};
        setsockopt(far, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        give(argv[2]);
        check(recv(near, buf, strlen(argv[2]), MSG_WAITALL) == (ssize_t)strlen(argv[2]), "mark");
        scenarios[i].run();
        close(near);
        close(far);
    }
    printf("end\n");
    return 0;
}
