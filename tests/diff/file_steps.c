/* file_steps.c - the calls that move bytes between files, pipes and sockets. */
#include "diff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* A file of n bytes, at a high number, position 0. */
static int make_file(struct actor *me, size_t n) {
    int low = memfd_create("diff", MFD_CLOEXEC);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, DIFF_OWN_FDS);
    close(low);
    data_make(me->buf, n, 0, (unsigned)me->line);
    if (fd < 0 || write(fd, me->buf, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    errno = EXDEV;
    return fd;
}

/* sendfile NAME SIZE COUNT [OFFSET]: one call from a file of SIZE bytes. */
static void step_sendfile(struct actor *me, int argc, char **argv) {
    int file = make_file(me, strtoul(argv[2], NULL, 10));
    off_t offset = argc > 4 ? atol(argv[4]) : 0;
    ssize_t n = sendfile(name_fd(argv[1]), file, argc > 4 ? &offset : NULL, strtoul(argv[3], NULL, 10));
    say_result(me, n);
    say(me, " offset=%ld position=%ld", (long)offset, (long)lseek(file, 0, SEEK_CUR));
    close(file);
}

/* sendfileall NAME SIZE: calls until the file is through. */
static void step_sendfileall(struct actor *me, int argc, char **argv) {
    (void)argc;
    size_t size = strtoul(argv[2], NULL, 10);
    int file = make_file(me, size);
    off_t offset = 0;
    ssize_t n = 1;
    while ((size_t)offset < size && n > 0)
        n = sendfile(name_fd(argv[1]), file, &offset, size - (size_t)offset);
    if ((size_t)offset == size)
        say(me, " all");
    else
        say_result(me, n);
    close(file);
}

static void make_pipe(int ends[2]) {
    int low[2];
    if (pipe(low) < 0)
        abort();
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, DIFF_OWN_FDS);
        close(low[i]);
    }
    errno = EXDEV;
}

static unsigned splice_flags(const char *letters) {
    return (strchr(letters, 'd') ? SPLICE_F_NONBLOCK : 0u) | (strchr(letters, 'm') ? SPLICE_F_MORE : 0u);
}

/* spliceout NAME N [FLAGS]: N bytes from a pipe into the socket. */
static void step_spliceout(struct actor *me, int argc, char **argv) {
    int ends[2];
    make_pipe(ends);
    size_t size = strtoul(argv[2], NULL, 10);
    data_make(me->buf, size, 0, (unsigned)me->line);
    if (write(ends[1], me->buf, size) != (ssize_t)size)
        abort();
    errno = EXDEV;
    say_result(me, splice(ends[0], NULL, name_fd(argv[1]), NULL, size, argc > 3 ? splice_flags(argv[3]) : 0));
    close(ends[0]);
    close(ends[1]);
}

/* splicein NAME N [FLAGS]: at most N bytes from the socket into a pipe, then out of it. */
static void step_splicein(struct actor *me, int argc, char **argv) {
    int ends[2];
    make_pipe(ends);
    size_t size = strtoul(argv[2], NULL, 10);
    ssize_t n = splice(name_fd(argv[1]), NULL, ends[1], NULL, size, argc > 3 ? splice_flags(argv[3]) : 0);
    say_result(me, n);
    close(ends[1]);
    if (n > 0 && read(ends[0], me->buf, (size_t)n) == n)
        say_data(me, me->buf, (size_t)n);
    close(ends[0]);
}

/* spliceexact NAME N: calls until N bytes came through the pipe: how many each moves depends on how
 * they arrived. */
static void step_spliceexact(struct actor *me, int argc, char **argv) {
    (void)argc;
    int ends[2];
    make_pipe(ends);
    size_t size = strtoul(argv[2], NULL, 10), got = 0;
    ssize_t n = 1;
    while (got < size && n > 0) {
        n = splice(name_fd(argv[1]), NULL, ends[1], NULL, size - got, 0);
        if (n > 0 && read(ends[0], me->buf + got, (size_t)n) != n)
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    if (got < size)
        say_result(me, n);
    say_data(me, me->buf, got);
    close(ends[1]);
    close(ends[0]);
}

/* copyrange NAME in|out: copy_file_range knows no sockets. */
static void step_copyrange(struct actor *me, int argc, char **argv) {
    (void)argc;
    int file = make_file(me, 100);
    int fd = name_fd(argv[1]);
    bool out = strcmp(argv[2], "out") == 0;
    say_result(me, copy_file_range(out ? file : fd, NULL, out ? fd : file, NULL, 50, 0));
    close(file);
}

/* sendfilefrom NAME OTHER N: a socket as the source. */
static void step_sendfilefrom(struct actor *me, int argc, char **argv) {
    (void)argc;
    say_result(me, sendfile(name_fd(argv[1]), name_fd(argv[2]), NULL, strtoul(argv[3], NULL, 10)));
}

const struct step file_steps[] = {
    {"sendfile", 3, step_sendfile},         {"sendfileall", 2, step_sendfileall},
    {"spliceout", 2, step_spliceout},       {"splicein", 2, step_splicein},
    {"spliceexact", 2, step_spliceexact},   {"copyrange", 2, step_copyrange},
    {"sendfilefrom", 3, step_sendfilefrom}, {NULL, 0, NULL},
};
