/* inv_ready.c - holds every readiness call to the truth: readable exactly when a read gives plaintext, the
 * end or an error. What is true is known from the peer (inv_peer), which is told what to put on the wire.
 *
 *   inv_ready SOCKET ADDRESS PORT client|server 12|13
 *
 * Prints one line per lie and per way that told none, and ends with status 1 after the first lie. */
#include "inv_ready.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A non-blocking descriptor past its handshake (a client's: past its first data) may be called readable in
 * vain at the beginning of a record, when its header is whole, and for a whole control record. */
enum { SOON_MS = 10000, MOMENT_MS = 15, IN_VAIN = 3 };

static FILE *peer;
static int control, listener;
static struct sockaddr_in address;
static bool server, old_version, greedy, until_short;
static const struct link *current;
static const char *during = "nothing";

_Noreturn void lie(const char *text, ...) {
    va_list ap;
    printf("LIE %s %s %s %s, %s: ", current->way->name, server ? "server" : "client",
           old_version ? "1.2" : "1.3", current->blocking ? "blocking" : "non-blocking", during);
    va_start(ap, text);
    vprintf(text, ap);
    va_end(ap);
    printf("\n");
    exit(1);
}

_Noreturn void die(const char *what) {
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- the peer ------------------------------------------------------------------------------------ */

static void order(const char *what, size_t a, size_t b) {
    dprintf(control, "%s %zu %zu\n", what, a, b);
}

static void answer(struct link *l) {
    char line[128];
    int ended;
    size_t left, plain;
    if (!fgets(line, sizeof line, peer) || sscanf(line, "%zu %d %zu", &plain, &ended, &left) != 3)
        die("the peer is gone");
    if (l)
        l->plain = plain;
}

static void tell(struct link *l, const char *what, size_t a, size_t b) {
    order(what, a, b);
    answer(l);
}

static bool answered(void) {
    struct pollfd p = {.fd = control, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* --- the truth ----------------------------------------------------------------------------------- */

static bool edge(const struct link *l) {
    return l->way->events & EPOLLET;
}

static ssize_t get(struct link *l, size_t n, int flags) {
    unsigned char buffer[32768];
    ssize_t got = flags ? recv(l->fd, buffer, n, flags) : read(l->fd, buffer, n);
    for (ssize_t i = 0; i < got; i++)
        if (buffer[i] != l->next++)
            lie("other plaintext than was sent");
    if (got > 0)
        l->taken += (size_t)got;
    l->past |= got > 0;
    if (l->taken > l->plain)
        lie("%zu bytes were read, %zu were sent whole", l->taken, l->plain);
    return got;
}

static void nothing_there(struct link *l) {
    ssize_t n = get(l, 100, MSG_DONTWAIT);
    if (n != -1 || errno != EAGAIN)
        lie("not readable, but a read gives %zd (%s)", n, n < 0 ? strerror(errno) : "-");
}

static void phase(struct link *l, const char *name) {
    during = name;
    l->in_vain = 0;
}

static void in_vain(struct link *l) {
    if (l->blocking || !l->past || ++l->in_vain > IN_VAIN)
        lie("readable without plaintext (%d times)", l->in_vain);
}

/* No plaintext is there. */
static void quiet(struct link *l, int ms) {
    while (l->way->ask(l, ms)) {
        in_vain(l);
        nothing_there(l);
    }
    if (greedy)
        nothing_there(l);
}

/* A program of this kind goes on reading until there is no more; some take a short count for the sign of it.
 */
static void drain(struct link *l, size_t step) {
    ssize_t n;
    while ((n = get(l, step, MSG_DONTWAIT)) > 0)
        if (until_short && (size_t)n < step)
            return;
    if (n == 0 || errno != EAGAIN)
        lie("end or error instead of %zu bytes", l->plain - l->taken);
}

/* All that is whole can be had, in reads of `step` bytes, each after the word that it is there. */
static void fetch(struct link *l, size_t step) {
    while (l->taken < l->plain) {
        if (!l->way->ask(l, SOON_MS))
            lie("%zu bytes of plaintext are there, but not readable", l->plain - l->taken);
        if (edge(l)) {
            drain(l, step);
            continue;
        }
        ssize_t n = get(l, step, l->blocking ? 0 : MSG_DONTWAIT);
        if (n == -1 && errno == EAGAIN)
            in_vain(l);
        else if (n <= 0)
            lie("readable, but a read gives %zd (%s)", n, n < 0 ? strerror(errno) : "-");
    }
    quiet(l, 0);
}

/* --- what happens to a connection ---------------------------------------------------------------- */

static void drip(struct link *l, const char *what, size_t bytes, size_t step) {
    phase(l, what);
    tell(l, "data", bytes, bytes);
    while (l->taken == l->plain) {
        quiet(l, 0);
        tell(l, "send", 1, 0);
    }
    fetch(l, step);
}

static void control_record(struct link *l, const char *what) {
    phase(l, what);
    tell(l, what, 0, 0);
    tell(l, "send", 3, 0);
    quiet(l, 0);
    tell(l, "send", 20, 0);
    quiet(l, 0);
    tell(l, "send", 0, 0);
    quiet(l, MOMENT_MS);
    quiet(l, 0);
}

static void with_control(struct link *l, const char *what) {
    unsigned char reply[40];
    phase(l, "control record and data at once");
    tell(l, what, 0, 0);
    tell(l, "data", 300, 100);
    tell(l, "send", 0, 0);
    fetch(l, 64);
    for (size_t i = 0; i < sizeof reply; i++)
        reply[i] = l->next_out++;
    if (write(l->fd, reply, sizeof reply) != (ssize_t)sizeof reply)
        die("write");
}

static void cut_records(struct link *l) {
    phase(l, "a record and a part of the next");
    tell(l, "data", 400, 200);
    tell(l, "send", 250, 0);
    fetch(l, 1000);
    tell(l, "send", 0, 0);
    fetch(l, 1000);
    phase(l, "a large record, read in pieces");
    tell(l, "data", 16384, 16384);
    tell(l, "send", 9000, 0);
    quiet(l, 0);
    tell(l, "send", 0, 0);
    fetch(l, 1500);
    phase(l, "many records, read across their bounds");
    tell(l, "data", 5000, 333);
    tell(l, "send", 0, 0);
    fetch(l, 200);
    phase(l, "more than one read can hold");
    tell(l, "data", 60000, 16000);
    tell(l, "send", 0, 0);
    fetch(l, 20000);
}

static void peeked(struct link *l) {
    unsigned char byte;
    phase(l, "a peek");
    tell(l, "data", 50, 50);
    tell(l, "send", 0, 0);
    if (edge(l))
        return fetch(l, 7);
    if (!l->way->ask(l, SOON_MS))
        lie("not readable");
    if (recv(l->fd, &byte, 1, MSG_PEEK) != 1 || byte != l->next)
        lie("a peek gives something else");
    fetch(l, 7);
}

/* The call is under way while records come that are none for the program; it must not end for them. */
static void waited(struct link *l) {
    phase(l, "waiting");
    l->in_vain = -2 * IN_VAIN; /* three records in five parts */
    if (!old_version && !server)
        tell(l, "ticket", 0, 0);
    if (!old_version)
        tell(l, "update", 0, 0);
    tell(l, "data", 100, 100);
    order("later", 0, 0);
    answer(NULL);
    l->plain += 100;
    fetch(l, 30);
    tell(l, "send", 0, 0);
}

/* What comes while a part of a record is taken, as much as the phase says (0: the rest). */
static struct link *feeding;
static size_t fed;

static void feed(void) {
    struct timespec pause = {0, 1000000};
    tell(feeding, "send", fed, 0);
    for (int i = 0; !between_queued(feeding->fd) && i < SOON_MS; i++)
        nanosleep(&pause, NULL);
}

static void part_and_meanwhile(struct link *l, size_t part, size_t more) {
    l->in_vain = edge(l) ? 0 : IN_VAIN; /* its records have come in parts before: not once */
    tell(l, "data", 60, 60);
    tell(l, "send", part, 0);
    feeding = l;
    fed = more;
    between_once(feed);
    if (more) {
        quiet(l, 0);
        tell(l, "send", 0, 0);
    } else {
        l->plain += 60;
    }
    fetch(l, 1000);
}

static void meanwhile(struct link *l) {
    phase(l, "the rest of a header comes while its part is taken");
    for (size_t part = 1; part < 5; part++)
        part_and_meanwhile(l, part, 5 - part);
    phase(l, "more of a record comes while its part is taken");
    for (size_t part = 1; part < 10; part++)
        part_and_meanwhile(l, part, 20);
    phase(l, "the rest of a record comes while its part is taken");
    for (size_t part = 1; part < 10; part++)
        part_and_meanwhile(l, part, 0);
}

/* --- beginnings and ends ------------------------------------------------------------------------- */

static int begin(struct link *l) {
    int mode = l->blocking ? 0 : SOCK_NONBLOCK, fd;
    size_t version = old_version ? 12 : 13;
    if (server) {
        tell(l, "connect", version, 0);
        fd = accept4(listener, NULL, NULL, mode);
    } else {
        struct sockaddr_in there = address;
        there.sin_port = htons((uint16_t)(ntohs(address.sin_port) + 1));
        fd = socket(AF_INET, SOCK_STREAM | mode, 0);
        if (connect(fd, (struct sockaddr *)&there, sizeof there) && errno != EINPROGRESS)
            die("connect");
        tell(l, "accept", version, 0);
    }
    if (fd < 0)
        die("socket");
    return fd;
}

/* What asks while the handshake goes on is told no, all the time. */
static void shake(struct link *l) {
    phase(l, "the handshake");
    quiet(l, 0);
    order("shake", 61, 0);
    while (!answered())
        quiet(l, 1);
    answer(l);
    quiet(l, MOMENT_MS);
    l->past = server; /* a client's tickets come first */
}

enum ending { NOTIFY, NOTIFY_FIN, FIN, CUT, SPOILT, RESET, ENDINGS };

static void end(struct link *l, enum ending how) {
    static const char *const names[] = {"close_notify",        "close_notify and FIN",      "FIN",
                                        "FIN inside a record", "a record that was changed", "RST"};
    static const int errors[] = {0, 0, ECONNRESET, ECONNRESET, EBADMSG, ECONNRESET};
    phase(l, names[how]);
    if (how == NOTIFY || how == NOTIFY_FIN)
        tell(l, "notify", 0, 0);
    if (how == CUT || how == SPOILT)
        tell(l, "data", 100, 100);
    if (how == SPOILT)
        tell(l, "spoil", 0, 0);
    tell(l, "send", 10, 0);
    quiet(l, 0);
    if (how != CUT && how != RESET)
        tell(l, "send", 0, 0);
    if (how == NOTIFY_FIN || how == FIN || how == CUT)
        tell(l, "fin", 0, 0);
    if (how == RESET)
        tell(l, "reset", 0, 0);
    l->plain = l->taken;
    if (!l->way->ask(l, SOON_MS))
        lie("not readable");
    ssize_t n = get(l, 10, l->blocking ? 0 : MSG_DONTWAIT);
    if (errors[how] ? n != -1 || errno != errors[how] : n != 0)
        lie("a read gives %zd (%s)", n, n < 0 ? strerror(errno) : "-");
    if (edge(l))
        return;
    if (!l->way->ask(l, SOON_MS))
        lie("not readable any more after the end was told");
    if (get(l, 10, MSG_DONTWAIT))
        lie("the end is over");
}

static void life(const struct way *way, bool blocking, enum ending how) {
    struct link l = {.way = way, .blocking = blocking, .set = -1, .outer = -1};
    current = &l;
    l.fd = begin(&l);
    ways_watch(&l);
    shake(&l);
    if (!old_version && !server)
        control_record(&l, "ticket");
    drip(&l, "the first record, byte by byte", 90, 10);
    if (!old_version) {
        if (!server)
            control_record(&l, "ticket");
        control_record(&l, "update");
        drip(&l, "a record under the next key", 40, 100);
        with_control(&l, "ask");
        tell(&l, "take", 40, 0);
    }
    cut_records(&l);
    peeked(&l);
    waited(&l);
    meanwhile(&l);
    drip(&l, "the last record", 30, 1);
    end(&l, how);
    tell(&l, "close", 0, 0);
    close(l.fd);
    ways_forget(&l);
}

static void prepare(char **argv) {
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int on = 1;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    server = strcmp(argv[4], "server") == 0;
    old_version = strcmp(argv[5], "12") == 0;
    snprintf(place.sun_path, sizeof place.sun_path, "%s", argv[1]);
    control = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(control, (struct sockaddr *)&place, sizeof place) || !(peer = fdopen(dup(control), "r")))
        die(argv[1]);
    if (!server)
        return;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16))
        die("listen");
}

int main(int argc, char **argv) {
    if (argc != 6)
        return 64;
    setvbuf(stdout, NULL, _IOLBF, 0);
    prepare(argv);
    int lives = 0;
    for (const struct way *way = ways; way->name; way++) {
        for (int second = 0; second < 2; second++, lives++) {
            greedy = lives % 3 == 1;
            until_short = second;
            life(way, second && !(way->events & EPOLLET),
                 (enum ending)((lives / 2 + 3 * second + 2 * server + old_version) % ENDINGS));
        }
        printf("%s: true\n", way->name);
    }
    return 0;
}
