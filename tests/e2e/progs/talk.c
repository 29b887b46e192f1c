/* talk.c - the plainest blocking programs that own a TCP connection, and say how it ended.
 *
 *   talk sink ADDRESS PORT COUNT        accepts COUNT connections one after another, reads each to its end
 *   talk tell ADDRESS PORT COUNT BYTES  accepts COUNT connections, writes BYTES to each at once and closes
 *   talk greet ADDRESS PORT COUNT TEXT  accepts COUNT connections, writes TEXT to each, reads each to its end
 *   talk pour ADDRESS PORT BYTES HOW    connects, writes BYTES and leaves: HOW is close, exit, _exit,
 *                                       quick_exit, exec or shutdown
 *   talk ask ADDRESS PORT TEXT          connects, writes TEXT, reads to the end
 *   talk hear ADDRESS PORT              connects and reads to the end
 *   talk self ADDRESS PORT BYTES        both ends of one connection in one thread
 *
 * Prints one line per connection: BYTES CHECKSUM and "end" or the name of the error. Knows nothing of TLS.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sockets.h"

/* The byte at a position of the stream, so that loss and change both show in the checksum. */
static unsigned char byte_at(size_t position) {
    return (unsigned char)((position * 2654435761u) >> 13);
}

static void pour(int fd, size_t bytes) {
    enum { STEP = 7919 };
    unsigned char buffer[STEP];
    for (size_t done = 0; done < bytes;) {
        size_t n = bytes - done < STEP ? bytes - done : STEP;
        for (size_t i = 0; i < n; i++)
            buffer[i] = byte_at(done + i);
        ssize_t sent = write(fd, buffer, n);
        if (sent < 0)
            die("write");
        done += (size_t)sent;
    }
}

static void read_to_end(int fd) {
    unsigned char buffer[30011];
    uint32_t sum = 2166136261u;
    size_t total = 0;
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum = (sum ^ buffer[i]) * 16777619u;
        total += (size_t)n;
    }
    printf("%zu %08x %s\n", total, sum, n ? strerrorname_np(errno) : "end");
    fflush(stdout);
}

static int say(int fd, const char *text) {
    if (write(fd, text, strlen(text)) >= 0)
        return 1;
    printf("write %s\n", strerrorname_np(errno));
    return 0;
}

static void hear_then_say(int fd, const char *text) {
    char buffer[512];
    ssize_t n = recv(fd, buffer, strlen(text), MSG_WAITALL);
    if (n < 0 || (size_t)n != strlen(text) || memcmp(buffer, text, (size_t)n))
        die("greeting");
    if (say(fd, text) && !shutdown(fd, SHUT_WR))
        read_to_end(fd);
}

static void accept_each(int listener, char **argv) {
    for (int left = atoi(argv[4]); left > 0; left--) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            die("accept");
        if (!strcmp(argv[1], "tell"))
            pour(fd, strtoul(argv[5], NULL, 10));
        else if (strcmp(argv[1], "greet") || say(fd, argv[5]))
            read_to_end(fd);
        if (close(fd))
            die("close");
    }
}

static void leave(int fd, const char *how) {
    if (!strcmp(how, "exit"))
        exit(0);
    if (!strcmp(how, "_exit"))
        _exit(0);
    if (!strcmp(how, "quick_exit"))
        quick_exit(0);
    if (!strcmp(how, "exec"))
        execl("/bin/true", "true", (char *)NULL);
    if (!strcmp(how, "shutdown") && (shutdown(fd, SHUT_WR) || read(fd, &(char){0}, 1) != 0))
        die("shutdown");
    if (close(fd))
        die("close");
}

static void both_ends(char **argv) {
    size_t bytes = strtoul(argv[4], NULL, 10);
    int listener = listen_at(argv), out = connect_to(argv);
    pour(out, bytes);
    int in = accept(listener, NULL, NULL);
    pour(in, bytes);
    shutdown(out, SHUT_WR);
    shutdown(in, SHUT_WR);
    read_to_end(in);
    read_to_end(out);
}

int main(int argc, char **argv) {
    const char *mode = argc > 3 ? argv[1] : "";
    if (argc > 4 &&
        (!strcmp(mode, "sink") || (argc > 5 && (!strcmp(mode, "tell") || !strcmp(mode, "greet"))))) {
        accept_each(listen_at(argv), argv);
    } else if (argc > 4 && !strcmp(mode, "self")) {
        both_ends(argv);
    } else if (argc > 5 && !strcmp(mode, "pour")) {
        int fd = connect_to(argv);
        pour(fd, strtoul(argv[4], NULL, 10));
        leave(fd, argv[5]);
    } else if (argc > 4 && !strcmp(mode, "listen_first")) {
        hear_then_say(connect_to(argv), argv[4]);
    } else if (argc > 3 && (!strcmp(mode, "hear") || (argc > 4 && !strcmp(mode, "ask")))) {
        int fd = connect_to(argv);
        if (argc == 4 || say(fd, argv[4]))
            read_to_end(fd);
    } else {
        fputs("see the first comment of talk.c\n", stderr);
        return 64;
    }
    return 0;
}
