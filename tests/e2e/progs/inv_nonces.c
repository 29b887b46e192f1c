/* inv_nonces.c - many hands write to one connection: threads, handlers of signals, forked children, new
 * images, and processes that were passed the descriptor. Whether each record was sealed once only is the
 * peer's to say (inv_peer).
 *
 *   inv_nonces SOCKET ADDRESS PORT VERSION
 *   inv_nonces write FD WRITER            a new image of a writer
 *
 * Prints what the peer has found, and how that compares with what was written. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rights.h"

/* What is written before the handshake must fit into what is kept then: beyond that, writers wait, and TCP
 * too mixes what waiting writers have. */
enum { WRITERS = 16, MESSAGES = 150, EARLY = 30, HANDS = 4, MESSAGE_MAX = 40008, NOBODY = 65534 };

extern char **environ;

/* Whole messages that went out, by writer; shared by all processes. */
static _Atomic uint32_t *written;
static _Atomic uint32_t *each;    /* messages of a writer */
static _Atomic uint32_t *refused; /* writes that failed because another process has the connection */
static int control, fd = -1;
static FILE *peer;
static const char *self, *version;
static char **arguments;
static struct sockaddr_in address;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "inv_nonces: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Writer, number, length, then content that follows from all three. */
static size_t compose(unsigned char *out, uint32_t writer, uint32_t number) {
    uint32_t length = number % 50 == 49 ? 40000 : 1 + (number * 977 + writer * 131) % 3000;
    uint16_t head[2] = {(uint16_t)writer, (uint16_t)number};
    memcpy(out, head, 4);
    memcpy(out + 4, &length, 4);
    for (uint32_t i = 0; i < length; i++)
        out[8 + i] = (unsigned char)(writer * 7 + number * 13 + i);
    return 8 + length;
}

/* False when nobody may write any more. */
static bool write_one(int to, uint32_t writer, unsigned char *buffer) {
    size_t n = compose(buffer, writer, written[writer]);
    ssize_t done;
    while ((done = send(to, buffer, n, MSG_NOSIGNAL)) < 0 && errno == EAGAIN) {
        struct pollfd p = {.fd = to, .events = POLLOUT};
        poll(&p, 1, 10000);
    }
    if (done == (ssize_t)n)
        written[writer]++;
    else if (done >= 0)
        die("a part of a message");
    else if (errno == EIO)
        refused[0]++;
    return done >= 0;
}

static void write_all(int to, uint32_t writer) {
    unsigned char buffer[MESSAGE_MAX];
    for (uint32_t i = 0; i < *each; i++)
        if (!write_one(to, writer, buffer))
            return;
}

/* The peer changes keys as long as it reads: only after its end may it find nobody there. */
static void end(int at) {
    char byte;
    shutdown(at, SHUT_WR);
    while (read(at, &byte, 1) > 0)
        ;
    close(at);
}

static void await_all(void) {
    int status;
    while (wait(&status) > 0)
        if (!WIFEXITED(status) || WEXITSTATUS(status))
            die("a writer failed");
}

/* --- ways ---------------------------------------------------------------------------------------- */

static void *hand(void *writer) {
    int own = dup(fd);
    write_all(own, (uint32_t)(uintptr_t)writer);
    close(own);
    return NULL;
}

static void by_threads(void) {
    pthread_t t[HANDS];
    for (uintptr_t i = 0; i < HANDS; i++)
        pthread_create(&t[i], NULL, hand, (void *)i);
    for (int i = 0; i < HANDS; i++)
        pthread_join(t[i], NULL);
}

static void by_forks(void) {
    for (uint32_t i = 1; i < HANDS; i++)
        if (!fork()) {
            write_all(fd, i);
            _exit(0);
        }
    write_all(fd, 0);
}

static void by_threads_and_forks(void) {
    for (int i = 0; i < 2; i++)
        if (!fork()) {
            pthread_t t[2];
            for (int k = 0; k < 2; k++)
                pthread_create(&t[k], NULL, hand, (void *)(uintptr_t)(HANDS + 2 * i + k));
            pthread_join(t[0], NULL);
            pthread_join(t[1], NULL);
            _exit(0);
        }
    by_threads();
}

/* The kernel takes parts of records. */
static void by_full_buffers(void) {
    int size = 4608;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    by_forks();
}

static char **image(uint32_t writer) {
    static char number[16], name[16];
    static char *argv[] = {NULL, "write", number, name, NULL};
    argv[0] = (char *)self;
    snprintf(number, sizeof number, "%d", fd);
    snprintf(name, sizeof name, "%u", writer);
    return argv;
}

static void by_images(void) {
    pid_t pid;
    if (!fork()) {
        execv(self, image(1));
        _exit(127);
    }
    char **argv = image(2);
    if (posix_spawn(&pid, self, NULL, NULL, argv, environ))
        die("posix_spawn");
    if (!vfork()) {
        execv(self, argv = image(3));
        _exit(127);
    }
    write_all(fd, 0);
}

/* Another user's image gets the state itself; it says so before it writes, and from then on it is the only
 * one. */
static void by_image_of_another_user(void) {
    int told[2];
    char byte;
    if (pipe(told))
        die("pipe");
    setenv("TELL", "9", 1);
    if (!fork()) {
        dup2(told[1], 9);
        if (setgid(NOBODY) || setuid(NOBODY))
            _exit(1);
        execv(self, image(1));
        _exit(127);
    }
    close(told[1]);
    if (read(told[0], &byte, 1) != 1)
        die("the other user's image ended");
    write_all(fd, 0);
}

static void hand_over(int to, int what) {
    if (rights_send(to, what))
        die("sendmsg");
}

/* A receiver that was there before the connection; as whom it meets us the kernel knows. */
static void receiver(const struct sockaddr_un *place, uid_t user, uint32_t writer) {
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (user && (setgid(user) || setuid(user)))
        _exit(1);
    if (connect(s, (const struct sockaddr *)place, sizeof *place))
        _exit(1);
    int got = rights_receive(s);
    if (got < 0)
        _exit(1);
    if (write(s, "+", 1) != 1)
        _exit(1);
    write_all(got, writer);
    if (user)
        end(got);
    close(got);
    _exit(0);
}

static int meet(uid_t user, uint32_t writer) {
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(place.sun_path, sizeof place.sun_path, "%s.%u", arguments[1], writer);
    unlink(place.sun_path);
    if (bind(listener, (struct sockaddr *)&place, sizeof place) || chmod(place.sun_path, 0777) ||
        listen(listener, 1))
        die("a place to meet");
    if (!fork())
        receiver(&place, user, writer);
    int s = accept(listener, NULL, NULL);
    close(listener);
    return s;
}

static int friends[2];

static void meet_own(void) {
    friends[0] = meet(0, 1);
    friends[1] = meet(0, 2);
}

static void meet_other(void) {
    friends[0] = meet(NOBODY, 1);
}

static void by_passing(void) {
    hand_over(friends[0], fd);
    hand_over(friends[1], fd);
    write_all(fd, 0);
}

static void by_passing_to_another_user(void) {
    char byte;
    hand_over(friends[0], fd);
    if (read(friends[0], &byte, 1) != 1)
        die("the receiver ended");
    write_all(fd, 0);
}

static unsigned char in_handler[MESSAGE_MAX];

/* Its own thread may be in the middle of a write: then it is told to come back later. */
static void on_alarm(int signal) {
    int saved = errno;
    (void)signal;
    size_t n = compose(in_handler, 1, written[1]);
    if (written[1] < MESSAGES && send(fd, in_handler, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n)
        written[1]++;
    errno = saved;
}

static void by_handlers(void) {
    struct sigaction act = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 300}, {0, 300}}, never = {0};
    unsigned char buffer[MESSAGE_MAX];
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 10 * MESSAGES; i++)
        write_one(fd, 0, buffer);
    setitimer(ITIMER_REAL, &never, NULL);
}

/* Whoever writes on after a writer was killed either has a whole stream or is told that it is over. */
static void by_killed(void) {
    unsigned char buffer[MESSAGE_MAX];
    for (uint32_t i = 1; i < 8 && write_one(fd, 0, buffer); i++) {
        pid_t pid = fork();
        if (!pid) {
            while (write_one(fd, i, buffer))
                ;
            _exit(0);
        }
        while (written[i] < 20 + 7 * i && !waitpid(pid, NULL, WNOHANG))
            usleep(50);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static bool full(void) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return !poll(&p, 1, 20);
}

/* The kernel has a part of what the killed writer had sealed. */
static void by_killed_waiting(void) {
    unsigned char buffer[MESSAGE_MAX];
    pid_t pid = fork();
    if (!pid) {
        while (write_one(fd, 1, buffer))
            ;
        _exit(0);
    }
    while (!(full() && full() && full()))
        ;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    dprintf(control, "gather\n");
    while (write_one(fd, 0, buffer) && written[0] < EARLY)
        ;
}

static const struct way {
    const char *name;
    void (*before)(void); /* there is a connection */
    void (*act)(void);
    bool early; /* during the handshake */
    bool torn;  /* the stream may end in the middle, and a message may be out that was not counted */
} ways[] = {
    {"early threads", NULL, by_threads, true, false},
    {"threads", NULL, by_threads, false, false},
    {"early forks", NULL, by_forks, true, false},
    {"forks", NULL, by_forks, false, false},
    {"threads and forks", NULL, by_threads_and_forks, false, false},
    {"full buffers", NULL, by_full_buffers, false, false},
    {"images", NULL, by_images, false, false},
    {"another user's image", NULL, by_image_of_another_user, false, false},
    {"passing", meet_own, by_passing, false, false},
    {"passing to another user", meet_other, by_passing_to_another_user, false, false},
    {"handlers", NULL, by_handlers, false, false},
    {"killed", NULL, by_killed, false, true},
    {"killed while it waits", NULL, by_killed_waiting, false, true},
};

/* --- around them --------------------------------------------------------------------------------- */

static void share(const char *name) {
    int file = open(name, O_RDWR | O_CREAT, 0666);
    void *p = MAP_FAILED;
    if (file >= 0 && (fchmod(file, 0666) || !ftruncate(file, 4096)))
        p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (p == MAP_FAILED)
        die(name);
    close(file);
    written = p;
    refused = written + WRITERS;
    each = refused + 1;
}

static int new_image(char **argv) {
    share(getenv("SHARED"));
    const char *tell = getenv("TELL");
    if (tell && write(atoi(tell), "+", 1) != 1)
        die("tell");
    write_all(atoi(argv[2]), (uint32_t)atoi(argv[3]));
    if (tell)
        end(atoi(argv[2]));
    return 0;
}

static void report(const struct way *w) {
    char line[256];
    uint32_t total = 0;
    for (int i = 0; i < 5; i++) /* of accept, shake, data, send and gather */
        if (!fgets(line, sizeof line, peer))
            die("the peer is gone");
    line[strcspn(line, "\n")] = 0;
    for (int i = 0; i < WRITERS; i++)
        total += written[i];
    const char *ending = strstr(line, ", ") + 2, *count = "as many as were written";
    bool torn = strcmp(ending, "cut off") == 0 || strcmp(ending, "a part of a message at the end") == 0;
    if (w->torn && torn)
        ending = "the end";
    if (!w->torn && (uint32_t)atoi(line) != total)
        count = line;
    printf("%s: %s, %s, %s\n", w->name, ending, count, refused[0] ? "then refused" : "none refused");
}

static void play(const struct way *w) {
    memset((void *)written, 0, 4096);
    unsetenv("TELL");
    if (w->before)
        w->before();
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    dprintf(control, "accept %s\nshake 0\ndata 1 1\nsend 0\n%s", version,
            w->act == by_killed_waiting ? "" : "gather\n");
    char byte;
    if (!w->early && read(fd, &byte, 1) != 1)
        die("read");
    *each = w->early ? EARLY : MESSAGES;
    w->act();
    if (w->early && read(fd, &byte, 1) != 1)
        die("read");
    await_all();
    end(fd);
    report(w);
    dprintf(control, "close\n");
    char line[64];
    if (!fgets(line, sizeof line, peer))
        die("the peer is gone");
}

int main(int argc, char **argv) {
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    char shared[256];
    self = argv[0];
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return new_image(argv);
    if (argc != 5)
        return 64;
    arguments = argv;
    version = argv[4];
    snprintf(shared, sizeof shared, "%s.shared", argv[1]);
    setenv("SHARED", shared, 1);
    share(shared);
    setvbuf(stdout, NULL, _IOLBF, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)(atoi(argv[3]) + 1))};
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    snprintf(place.sun_path, sizeof place.sun_path, "%s", argv[1]);
    control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(control, (struct sockaddr *)&place, sizeof place) || !(peer = fdopen(dup(control), "r")))
        die(argv[1]);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        play(&ways[i]);
    return 0;
}
