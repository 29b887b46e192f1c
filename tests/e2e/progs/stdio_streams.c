/* stdio_streams.c - what stdio does on sockets, told line by line. Holds both ends of every connection; the
 * transcript is the same whether the connections are protected or not.
 * Arguments: ADDRESS, MARK (sent on every connection), [SCENARIO]. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static struct sockaddr_in where;
static int listener;
static const char *mark;
static FILE *told;
/* The scenario's own end and the other one. */
static int near, far;

#define TELL(...) (fprintf(told, __VA_ARGS__), fflush(told))

static void check(int ok, const char *what) {
    if (!ok) {
        TELL("FATAL %s: %s\n", what, strerror(errno));
        _exit(1);
    }
}

static int unconnected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    return fd;
}

static void connect_to_listener(int fd) {
    check(!connect(fd, (struct sockaddr *)&where, sizeof where), "connect");
    far = accept(listener, NULL, NULL);
    check(far >= 0, "accept");
    struct timeval limit = {20, 0};
    setsockopt(far, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static void give(const char *text) {
    check(send(far, text, strlen(text), 0) == (ssize_t)strlen(text), "give");
}

/* Waits until near has something to read. */
static void arrived(void) {
    struct pollfd p = {.fd = near, .events = POLLIN};
    check(poll(&p, 1, 20000) == 1, "arrived");
}

static void connection(void) {
    near = unconnected();
    connect_to_listener(near);
    char buf[128];
    give(mark);
    check(recv(near, buf, strlen(mark), MSG_WAITALL) == (ssize_t)strlen(mark), "mark");
}

/* What comes out at the far end: exactly n bytes, or until the end of file when n is 0. */
static void take(size_t n) {
    static char buf[65536];
    size_t have = 0;
    ssize_t got = 1;
    while (have < (n ? n : sizeof buf) && (got = recv(far, buf + have, (n ? n : sizeof buf) - have, 0)) > 0)
        have += (size_t)got;
    check(got >= 0 || !n, "take");
    TELL("  far: %zu bytes '%.*s'\n", have, have > 60 ? 60 : (int)have, buf);
}

static void take_nothing(void) {
    char c;
    struct pollfd p = {.fd = far, .events = POLLIN};
    int ready = poll(&p, 1, 50);
    ssize_t n = ready > 0 ? recv(far, &c, 1, MSG_DONTWAIT | MSG_PEEK) : -1;
    TELL("  far: %s\n", n > 0 ? "something" : "nothing yet");
}

static int is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static void modes(void) {
    const char *all[] = {"r", "w", "a", "r+", "w+", "a+", "rb", "we", "r+bx", "wc", "x", "", "rw", "+r"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        connection();
        errno = 0;
        FILE *f = fdopen(near, all[i]);
        TELL("  '%s': %s errno %d", all[i], f ? "stream" : "none", f ? 0 : errno);
        if (f) {
            TELL(" fileno %d", fileno(f) == near);
            int put = fputs("x", f) < 0 ? errno : 0;
            TELL(" put %d", put);
            TELL(" cloexec %d", fcntl(near, F_GETFD) == FD_CLOEXEC);
            TELL(" fclose %d", fclose(f));
            TELL(" open %d\n", is_open(near));
        } else {
            TELL(" open %d\n", is_open(near));
            close(near);
        }
        close(far);
    }
    errno = 0;
    TELL("  closed: %d", fdopen(near, "r") == NULL);
    TELL(" errno %d\n", errno);
}

static void lines(void) {
    char line[64], *all = NULL;
    size_t room = 0;
    FILE *f = fdopen(near, "r");
    give("one\ntwo\nthr");
    arrived();
    TELL("  %s", fgets(line, sizeof line, f));
    TELL("  %s", fgets(line, sizeof line, f));
    TELL("  %c", getc(f));
    TELL("%c\n", ungetc('#', f));
    give("ee\n12 0x1f word\nlast");
    TELL("  %s", fgets(line, sizeof line, f));
    int a = 0, b = 0;
    int n = fscanf(f, "%d %x %s", &a, (unsigned *)&b, line);
    TELL("  fscanf %d: %d %d %s\n", n, a, b, line);
    TELL("  getc %d\n", getc(f));
    shutdown(far, SHUT_WR);
    ssize_t got = getline(&all, &room, f);
    TELL("  getline %zd %s eof %d\n", got, all, feof(f));
    got = getline(&all, &room, f);
    TELL("  getline %zd eof %d error %d\n", got, feof(f), ferror(f));
    free(all);
    fclose(f);
}

static void buffering(void) {
    FILE *f = fdopen(near, "w");
    fprintf(f, "%s %d\n", "kept", 1);
    take_nothing();
    TELL("  fflush %d\n", fflush(f));
    take(7);
    for (int i = 0; i < 4096; i++)
        putc('a' + i % 26, f);
    take_nothing();
    putc('!', f);
    take(4096);
    TELL("  setvbuf %d\n", setvbuf(f, NULL, _IOLBF, 0));
    fputs("a line\nhalf", f);
    take(8);
    TELL("  setvbuf %d\n", setvbuf(f, NULL, _IONBF, 0));
    take(4);
    fputs("at once", f);
    take(7);
    fputs("rest", f);
    TELL("  fclose %d\n", fclose(f));
    take(0);
}

static void both_ways(void) {
    char line[64];
    FILE *f = fdopen(near, "r+");
    for (int i = 0; i < 3; i++) {
        fprintf(f, "question %d\n", i);
        fflush(f);
        take(11);
        give("answer\n");
        TELL("  %s", fgets(line, sizeof line, f) ? line : "nothing\n");
    }
    give("early\nnext\n");
    arrived();
    TELL("  %s", fgets(line, sizeof line, f));
    errno = 0;
    int n = fputs("written while input is unread\n", f);
    TELL("  fputs %d", n >= 0);
    TELL(" flush %d", fflush(f));
    TELL(" errno %d error %d\n", errno, ferror(f));
    clearerr(f);
    errno = 0;
    TELL("  fseek %d", fseek(f, 0, SEEK_SET));
    TELL(" errno %d\n", errno);
    errno = 0;
    TELL("  ftell %ld", ftell(f));
    TELL(" errno %d\n", errno);
    fclose(f);
}

static void large(void) {
    static char sent[50000], got[50000];
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)('A' + i % 23);
    FILE *out = fdopen(near, "w"), *in = fdopen(far, "r");
    TELL("  fwrite %zu", fwrite(sent, 1, sizeof sent, out));
    TELL(" fflush %d", fflush(out));
    TELL(" fread %zu", fread(got, 1, sizeof got, in));
    TELL(" same %d\n", !memcmp(sent, got, sizeof sent));
    fclose(out);
    TELL("  fread %zu", fread(got, 1, 10, in));
    TELL(" eof %d\n", feof(in));
    fclose(in);
    far = -1;
}

static void no_data_yet(void) {
    char line[64];
    FILE *f = fdopen(near, "r");
    fcntl(near, F_SETFL, fcntl(near, F_GETFL) | O_NONBLOCK);
    errno = 0;
    TELL("  fgets %d", fgets(line, sizeof line, f) != NULL);
    TELL(" errno %d error %d eof %d\n", errno, ferror(f), feof(f));
    clearerr(f);
    give("now\n");
    arrived();
    TELL("  %s", fgets(line, sizeof line, f) ? line : "nothing\n");
    fclose(f);
}

static void on_alarm(int number) {
    (void)number;
}

static void interrupted(void) {
    char line[64];
    FILE *f = fdopen(near, "r");
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 50000}, {0, 50000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &soon, NULL);
    errno = 0;
    TELL("  fgets %d", fgets(line, sizeof line, f) != NULL);
    int error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    TELL(" errno %d error %d\n", error, ferror(f));
    fclose(f);
}

static void wide(void) {
    wchar_t line[64];
    FILE *f = fdopen(near, "r+");
    TELL("  fputws %d", fputws(L"h\u00e9llo\n", f) >= 0);
    TELL(" flush %d fwide %d\n", fflush(f), fwide(f, 0) > 0);
    give("gr\xc3\xbc\xc3\x9f\n");
    TELL("  fgetws %d\n", fgetws(line, 64, f) != NULL);
    fclose(f);
    take(0);
}

static void descriptor_text(void) {
    TELL("  dprintf %d\n", dprintf(near, "%s=%d\n", "text", 42));
    take(8);
    TELL("  dprintf %d\n", dprintf(near, "%9000d", 7));
    take(9000);
}

static void reopened(void) {
    char name[] = "/tmp/stdio.XXXXXX", line[64] = "";
    int file = mkstemp(name);
    check(file >= 0, "mkstemp");
    FILE *f = fdopen(near, "w");
    fputs("before ", f);
    FILE *g = freopen(name, "w", f);
    TELL("  same stream %d fileno %d\n", g == f, g && fileno(g) == near);
    fputs("into the file", g);
    fclose(g);
    take(0);
    ssize_t n = read(file, line, sizeof line - 1);
    TELL("  file: %zd %s\n", n, line);
    close(file);
    unlink(name);
    close(far);
    connection();
    f = fdopen(near, "r+");
    errno = 0;
    TELL("  without a name: %d", freopen(NULL, "r", f) == NULL);
    TELL(" errno %d", errno);
    TELL(" open %d\n", is_open(near));
}

static void connected_later(void) {
    char line[64];
    near = unconnected();
    FILE *f = fdopen(near, "r+");
    connect_to_listener(near);
    fprintf(f, "%s over a stream that was there before\n", mark);
    fflush(f);
    take(strlen(mark) + strlen(" over a stream that was there before\n"));
    give("indeed\n");
    TELL("  %s", fgets(line, sizeof line, f));
    fclose(f);
}

static void twice(void) {
    int other = dup(near);
    FILE *in = fdopen(near, "r"), *out = fdopen(other, "w");
    fputs("through the duplicate", out);
    fclose(out);
    take(21);
    char line[32];
    give("still\n");
    TELL("  %s", fgets(line, sizeof line, in));
    fclose(in);
    take(0);
}

static void *put_lines(void *f) {
    for (int i = 0; i < 2000; i++)
        fputs("0123456789abcdef\n", f);
    return NULL;
}

static void threads(void) {
    pthread_t t[2];
    FILE *f = fdopen(near, "w"), *in = fdopen(far, "r");
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, put_lines, f);
    char line[64];
    int good = 0;
    for (int i = 0; i < 3800; i++)
        good += fgets(line, sizeof line, in) && !strcmp(line, "0123456789abcdef\n");
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    fclose(f);
    while (fgets(line, sizeof line, in))
        good += !strcmp(line, "0123456789abcdef\n");
    TELL("  whole lines: %d\n", good);
    fclose(in);
    far = -1;
}

/* A stream on a file whose descriptor becomes a connection. */
static void taken_over(void) {
    FILE *f = fopen("/dev/null", "w");
    fputs("kept before; ", f);
    check(dup2(near, fileno(f)) >= 0, "dup2");
    close(near);
    TELL("  fprintf %d", fprintf(f, "%s\n", "after"));
    TELL(" fflush %d\n", fflush(f));
    take(19);
    fputs("at the end", f);
    near = fileno(f);
    TELL("  fclose %d", fclose(f));
    TELL(" open %d\n", is_open(near));
    take(0);
}

/* A child that leaves without a flush of its own. */
static void at_exit(void) {
    pid_t child = fork();
    if (!child) {
        FILE *f = fdopen(near, "w");
        fputs("left in the buffer", f);
        exit(0);
    }
    close(near);
    int status;
    waitpid(child, &status, 0);
    TELL("  status %d\n", status);
    take(0);
    near = -1;
}

/* Programs run while streams are open. */
static void others(void) {
    char line[64];
    FILE *f = fdopen(near, "r+");
    fcntl(near, F_SETFD, FD_CLOEXEC);
    fputs("kept over all this\n", f);
    TELL("  system %d\n", system("exit 3"));
    FILE *p = popen("echo from a program", "r");
    TELL("  %s", p && fgets(line, sizeof line, p) ? line : "nothing\n");
    TELL("  pclose %d\n", pclose(p));
    p = popen("cat >/dev/null; exit 2", "w");
    fputs("x", p);
    TELL("  pclose %d\n", pclose(p));
    fflush(f);
    take(19);
    give("ok\n");
    TELL("  %s", fgets(line, sizeof line, f));
    fclose(f);
}

static const struct {
    const char *name;
    void (*run)(void);
    int connects;
} scenarios[] = {
    {"modes", modes, 0},
    {"lines", lines, 1},
    {"buffering", buffering, 1},
    {"both ways", both_ways, 1},
    {"large", large, 1},
    {"no data yet", no_data_yet, 1},
    {"interrupted", interrupted, 1},
    {"dprintf", descriptor_text, 1},
    {"freopen", reopened, 1},
    {"connected later", connected_later, 0},
    {"twice", twice, 1},
    {"threads", threads, 1},
    {"taken over", taken_over, 1},
    {"at exit", at_exit, 1},
    {"others", others, 1},
    {"wide", wide, 1}, /* only when named: TLS has to refuse it */
};

int main(int argc, char **argv) {
    if (argc < 3 || !setlocale(LC_ALL, ""))
        return 2;
    mark = argv[2];
    told = stdout;
    signal(SIGPIPE, SIG_IGN);
    where.sin_family = AF_INET;
    socklen_t len = sizeof where;
    listener = unconnected();
    if (!inet_aton(argv[1], &where.sin_addr) || bind(listener, (struct sockaddr *)&where, len) ||
        listen(listener, 5) || getsockname(listener, (struct sockaddr *)&where, &len))
        return 2;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(scenarios[i].name, argc > 3 ? argv[3] : "wide") ? argc > 3 : argc == 3)
            continue;
        TELL("%s\n", scenarios[i].name);
        near = far = -1;
        if (scenarios[i].connects)
            connection();
        scenarios[i].run();
        if (near >= 0 && is_open(near))
            close(near);
        if (far >= 0 && is_open(far))
            close(far);
    }
    TELL("end\n");
    return 0;
}
