// stdio_standard.cpp - the standard streams of C and C++ on a connection and back, told line by line on
// descriptor 9. Holds both ends. The transcript is the same whether the connection is protected or not.
// Arguments: ADDRESS, MARK, a FILE to write, ["unsynced"].
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <string>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static sockaddr_in where;
static int listener, near, far;
static const char *mark, *path;
// What std::cout noted, too: the addresses before anything happened.
static FILE *const early_in = stdin, *const early_out = stdout;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...) {
    char line[4096];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    if (write(9, line, static_cast<size_t>(n)) != n)
        _exit(3);
}

static void check(bool ok, const char *what) {
    if (!ok) {
        tell("FATAL %s: %s\n", what, strerror(errno));
        _exit(1);
    }
}

static void give(const char *text) {
    check(send(far, text, strlen(text), 0) == static_cast<ssize_t>(strlen(text)), "give");
}

static void connection() {
    near = socket(AF_INET, SOCK_STREAM, 0);
    check(!connect(near, reinterpret_cast<sockaddr *>(&where), sizeof where), "connect");
    far = accept(listener, nullptr, nullptr);
    check(far >= 0, "accept");
    timeval limit = {20, 0};
    setsockopt(far, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char buf[128];
    give(mark);
    check(recv(near, buf, strlen(mark), MSG_WAITALL) == static_cast<ssize_t>(strlen(mark)), "mark");
}

static void take(const char *expected) {
    size_t n = strlen(expected), have = 0;
    char buf[4096];
    ssize_t got = 1;
    while (have < n && (got = recv(far, buf + have, n - have, 0)) > 0)
        have += static_cast<size_t>(got);
    tell("  far: %s '%.*s'\n", have == n && !memcmp(buf, expected, n) ? "as expected" : "WRONG",
         static_cast<int>(have), buf);
}

static void take_end() {
    char c;
    ssize_t n = recv(far, &c, 1, 0);
    tell("  far: end %zd\n", n);
}

static void show_file() {
    char text[4096];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    tell("  file: '%.*s'\n", static_cast<int>(n), text);
}

// Standard output: what waits in the buffers goes where the descriptor leads when they are flushed.
static void output() {
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600), kept = dup(1);
    dup2(file, 1);
    printf("printf waits, ");
    std::cout << "cout waits, ";
    dup2(near, 1);
    printf("%s, ", "printf");
    std::cout << "cout " << 1.5 << ", ";
    fputs("noted before, ", early_out);
    fprintf(early_out, "%d, ", 7);
    putchar('!');
    putc_unlocked('?', stdout);
    puts("puts");
    std::cout << std::flush;
    tell("  fileno %d %d\n", fileno(stdout), fileno(early_out));
    take("printf waits, cout waits, printf, cout 1.5, noted before, 7, !?puts\n");
    show_file();
    printf("on the socket, flushed later; ");
    dup2(file, 1);
    printf("and more\n");
    std::cout << "cout again" << std::endl;
    fputs("noted before again\n", early_out);
    fflush(early_out);
    tell("  fileno %d %d\n", fileno(stdout), fileno(early_out));
    show_file();
    dup2(near, 1);
    std::cout << "second time" << std::endl;
    take("second time\n");
    dup2(kept, 1);
    close(kept);
    close(file);
}

static void input() {
    int kept = dup(0), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(write(file, "file 1\nfile 2\nfile 3\n", 21) == 21, "write");
    lseek(file, 0, SEEK_SET);
    dup2(file, 0);
    char line[64];
    std::string word;
    tell("  %s", fgets(line, sizeof line, stdin));
    dup2(near, 0);
    give("12 words from the socket\nnext line\nthird\nfourth\n");
    tell("  unread before: %s", fgets(line, sizeof line, stdin));
    tell("  unread before: %s", fgets(line, sizeof line, early_in));
    int number = 0;
    int matched = scanf("%d %63s", &number, line);
    tell("  scanf %d: %d %s\n", matched, number, line);
    std::cin >> word;
    tell("  cin %s\n", word.c_str());
    std::getline(std::cin, word);
    tell("  getline %s\n", word.c_str());
    int c = getchar();
    ungetc(c, early_in);
    tell("  getchar %c %d\n", c, getc(stdin) == c);
    tell("  %s", fgets(line, sizeof line, stdin));
    dup2(file, 0);
    tell("  still unread: %s", fgets(line, sizeof line, stdin));
    std::getline(std::cin, word);
    tell("  still unread: %s\n", word.c_str());
    tell("  end %d\n", getchar());
    clearerr(stdin);
    std::cin.clear();
    dup2(kept, 0);
    close(kept);
    close(file);
}

static void errors() {
    int kept = dup(2);
    dup2(near, 2);
    errno = ENOENT;
    perror("perror");
    std::cerr << "cerr " << 1 << "\n";
    fprintf(stderr, "stderr %d\n", 2);
    std::clog << "clog" << std::endl;
    dup2(kept, 2);
    close(kept);
    take("perror: No such file or directory\ncerr 1\nstderr 2\nclog\n");
}

static void reopened() {
    int kept = dup(1);
    dup2(near, 1);
    close(near);
    printf("before; ");
    FILE *f = freopen(path, "w", stdout);
    tell("  freopen %d fileno %d\n", f == stdout, fileno(stdout));
    printf("printf into the file\n");
    std::cout << "cout into the file" << std::endl;
    take("before; ");
    take_end();
    show_file();
    dup2(kept, 1);
    close(kept);
}

// Closed, and another file gets the number; then a connection gets it.
static void closed() {
    int kept = dup(1);
    dup2(near, 1);
    close(near);
    printf("waiting");
    close(1);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    tell("  open %d\n", fd);
    std::cout << " for the file" << std::endl;
    show_file();
    take_end();
    close(far);
    close(1);
    connection();
    tell("  the connection is %d\n", near);
    std::cout << "straight " << std::flush;
    printf("through\n");
    fflush(stdout);
    take("straight through\n");
    dup2(kept, 1);
    near = -1;
    close(kept);
    take_end();
}

// A child that serves as inetd's would, and leaves its last words in the buffers.
static void served() {
    pid_t child = fork();
    if (!child) {
        close(far);
        for (int fd = 0; fd < 3; fd++)
            dup2(near, fd);
        close(near);
        std::string line;
        while (std::getline(std::cin, line))
            std::cout << "<" << line << ">" << std::endl;
        printf("last words of printf");
        exit(0);
    }
    close(near);
    near = -1;
    give("one\n");
    take("<one>\n");
    give("two\nthree\n");
    take("<two>\n<three>\n");
    shutdown(far, SHUT_WR);
    take("last words of printf");
    take_end();
    int status = 0;
    waitpid(child, &status, 0);
    tell("  status %d\n", status);
}

static void closed_stream() {
    pid_t child = fork();
    if (!child) {
        close(far);
        dup2(near, 1);
        close(near);
        printf("flushed by fclose");
        tell("  fclose %d\n", fclose(stdout));
        tell("  open %d\n", fcntl(1, F_GETFD) >= 0);
        _exit(0);
    }
    close(near);
    near = -1;
    waitpid(child, nullptr, 0);
    take("flushed by fclose");
    take_end();
}

// Only when named: iostreams with buffers of their own, on the descriptors of the standard streams.
static void unsynced() {
    int kept_in = dup(0), kept_out = dup(1);
    std::string word;
    std::cout << "cout waits, ";
    dup2(near, 1);
    dup2(near, 0);
    std::cout << "unsynced" << std::endl;
    std::wcout << L"wide, " << 7 << std::endl;
    take("cout waits, unsynced\nwide, 7\n");
    give("some words\n");
    std::cin >> word;
    tell("  cin %s\n", word.c_str());
    dup2(kept_in, 0);
    dup2(kept_out, 1);
    close(kept_in);
    close(kept_out);
}

static const struct {
    const char *name;
    void (*run)();
} scenarios[] = {
    {"output", output}, {"input", input},   {"errors", errors},        {"reopened", reopened},
    {"closed", closed}, {"served", served}, {"fclose", closed_stream}, {"unsynced", unsynced},
};

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    const bool unsynced_only = argc > 4;
    std::ios::sync_with_stdio(!unsynced_only);
    mark = argv[2];
    path = argv[3];
    signal(SIGPIPE, SIG_IGN);
    dup2(1, 9);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    where.sin_family = AF_INET;
    socklen_t len = sizeof where;
    sockaddr *any = reinterpret_cast<sockaddr *>(&where);
    if (!inet_aton(argv[1], &where.sin_addr) || bind(listener, any, len) || listen(listener, 5) ||
        getsockname(listener, any, &len))
        return 2;
    for (auto &scenario : scenarios) {
        if ((scenario.run == unsynced) != unsynced_only)
            continue;
        tell("%s\n", scenario.name);
        connection();
        scenario.run();
        if (near >= 0)
            close(near);
        close(far);
    }
    tell("end\n");
    return 0;
}
