// sanitized.cpp - threads of a program that was built with a sanitizer share connections while others connect
// and close, fork, and touch the table and the certificates. Both ends are here. Prints "finished".
//
//     sanitized ADDRESS PORT FILE…      the files are touched
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {
constexpr int clients = 4, rounds = 8;
constexpr size_t bulk = 60000;
sockaddr_in address{};
std::atomic<bool> over{false};

[[noreturn]] void die(const char *what) {
    std::perror(what);
    std::_Exit(1);
}

void echo(int fd) {
    char buf[5000];
    pollfd p{fd, POLLIN, 0};
    for (ssize_t n; poll(&p, 1, 30000) == 1 && (n = read(fd, buf, sizeof buf)) > 0;)
        for (ssize_t at = 0, m; at < n; at += m)
            if ((m = send(fd, buf + at, static_cast<size_t>(n - at), MSG_NOSIGNAL)) <= 0)
                die("echo");
    close(fd);
}

void serve(int listener) {
    std::vector<std::thread> workers;
    for (int i = 0; i < clients * rounds; i++) {
        int fd = accept(listener, nullptr, nullptr);
        if (fd < 0)
            die("accept");
        workers.emplace_back(echo, fd);
    }
    for (auto &worker : workers)
        worker.join();
}

void fork_once() {
    int status = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die("fork");
}

// One thread writes what the other reads.
void talk(int number) {
    for (int round = 0; round < rounds; round++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address))
            die("connect");
        std::thread writer([fd] {
            std::string text(bulk, 'x');
            for (size_t at = 0; at < bulk;) {
                ssize_t n = write(fd, text.data() + at, bulk - at);
                if (n <= 0)
                    die("write");
                at += static_cast<size_t>(n);
            }
            shutdown(fd, SHUT_WR);
        });
        if (number == 0 && round % 4 == 1)
            fork_once();
        size_t got = 0;
        char buf[3000];
        for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;)
            got += static_cast<size_t>(n);
        writer.join();
        if (got != bulk)
            die("read");
        close(fd);
        poll(nullptr, 0, 100); // the table is looked at a few times in a second
    }
}

// Times long ago, so that nobody waits for more to be written.
void touch(char **files) {
    for (time_t when = 1; !over; when++) {
        for (char **file = files; *file; file++) {
            timespec times[2] = {{0, UTIME_NOW}, {when, 0}};
            if (utimensat(AT_FDCWD, *file, times, 0))
                die(*file);
        }
        poll(nullptr, 0, 100);
    }
}
} // namespace

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[2])));
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) || listen(listener, 50))
        die("listen");
    alarm(250);
    std::thread server(serve, listener), toucher(touch, argv + 3);
    std::vector<std::thread> crowd;
    for (int i = 0; i < clients; i++)
        crowd.emplace_back(talk, i);
    for (auto &client : crowd)
        client.join();
    server.join();
    over = true;
    toucher.join();
    std::puts("finished");
}
