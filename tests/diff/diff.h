/* diff.h - what the rooms of the differential interpreter share.
 *
 * The interpreter runs scripts of socket calls and prints a transcript. It knows nothing of TLS and
 * calls plain libc only, so a plain and a wrapped run of one script must print the same bytes.
 * Whatever a kernel may choose freely (ports, partial amounts, times) is normalised by the step
 * that sees it, never afterwards.
 */
#ifndef MTLSWRAP_DIFF_H
#define MTLSWRAP_DIFF_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    DIFF_ARGS = 16,
    DIFF_LINE = 512,
    DIFF_OUT = 3072,
    DIFF_BUFFER = 12 << 20, /* the longest single write or read */
    DIFF_OWN_FDS = 700,     /* descriptors of the interpreter itself lie at or above */
    DIFF_VECS = 8,
    DIFF_WAIT_MS = 4000, /* bound of every wait for something that must happen */
};

/* Who runs a step: the main thread, a worker thread or a forked child. Owned by that one alone
 * while it runs. */
struct actor {
    char name[4];
    int line;     /* of the running step: salt of the bytes it writes */
    uint8_t *buf; /* DIFF_BUFFER bytes */
    char out[DIFF_OUT];
    size_t len;
};

/* One verb. min is the least number of arguments behind it. */
struct step {
    const char *verb;
    int min;
    void (*run)(struct actor *me, int argc, char **argv);
};

/* Tables that end with a NULL verb. */
extern const struct step setup_steps[], io_steps[], msg_steps[], bulk_steps[], file_steps[], ready_steps[],
    epoll_steps[], option_steps[], dup_steps[], stdio_steps[], signal_steps[], spawn_steps[];

/* script.c: running one step and reporting on it. */
void script_run_step(struct actor *me, char *text);
__attribute__((format(printf, 2, 3))) void say(struct actor *me, const char *fmt, ...);
/* "= 5" or "= -1 EAGAIN", and a complaint when a successful call changed errno. */
void say_result(struct actor *me, long result);
void say_errno(struct actor *me, int error);
/* Length and digest of bytes that arrived. */
void say_data(struct actor *me, const uint8_t *data, size_t n);

/* names.c: descriptors by name (a letter and an optional digit), ports by order of appearance. */
int *name_slot(const char *name);
int name_fd(const char *name);
/* The name that holds fd, or "?". */
const char *name_of(int fd, char text[4]);
void names_reset(void);
void say_address(struct actor *me, const struct sockaddr *address, socklen_t len);

/* data.c: bytes that depend on salt and offset only. */
void data_make(uint8_t *to, size_t n, size_t offset, unsigned salt);
/* Index of the first byte that differs, or n. */
size_t data_check(const uint8_t *from, size_t n, size_t offset, unsigned salt);
uint32_t data_digest(uint32_t digest, const uint8_t *from, size_t n);
enum { DATA_DIGEST_START = 17 };
/* "3,0,5" -> vectors over buf. Returns how many. */
int data_vectors(const char *spec, uint8_t *buf, struct iovec *vec, size_t *total);
int data_flags(const char *letters);
/* What a fill step left in flight, in memory that forked children share. */
struct data_fill {
    size_t total;
    unsigned salt;
};
struct data_fill *data_fill_of(const char *name);
int64_t now_ms(void);
void pause_ms(int ms);

/* actors.c: worker threads and forked children. */
bool actor_dispatch(struct actor *main_actor, const char *who, bool background, char *text);
void actors_end(void);
pthread_t actor_thread(const char *who, pid_t *child);
extern const struct step actor_steps[];

/* signals.c */
void signals_reset(void);
void say_signals(struct actor *me);
#endif
