/* inv_ready.h - the connection that inv_ready.c looks at, and the ways in which inv_ready_ways.c asks about
 * it. */
#ifndef INV_READY_H
#define INV_READY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link {
    int fd, set, outer;
    bool blocking, past; /* past what is filtered for every descriptor */
    const struct way *way;
    size_t plain, taken; /* bytes of plaintext that the peer has sent, and that were read */
    int in_vain;         /* how often in this phase */
    unsigned char next, next_out;
};

/* How a program asks. */
struct way {
    const char *name;
    bool (*ask)(struct link *l, int ms);
    uint32_t events; /* of the registration; 0: no epoll */
};

/* Ends with one that has no name. */
extern const struct way ways[];

/* Registers the connection where the way needs it. */
void ways_watch(struct link *l);
void ways_forget(struct link *l);

/* inv_between.c: what happens once, as soon as anything has been taken out of the kernel. */
void between_once(void (*what)(void));
/* Bytes that the kernel has for fd, whoever else is asked about them. */
int between_queued(int fd);

_Noreturn void lie(const char *text, ...);
_Noreturn void die(const char *what);

#endif
