/* streams_swap.h - a cookie stream and the stream of libc's that it stands in for: shared by streams.c and
 * streams_swap.c alone. */
#ifndef MTLSWRAP_STREAMS_SWAP_H
#define MTLSWRAP_STREAMS_SWAP_H

#include <stdbool.h>
#include <stdio.h>

enum { SOCKET_BLOCK = 4096 }; /* a socket's st_blksize, which is the size of libc's buffer for it */

/* A stream of libc's and ours in its place. */
struct stream {
    FILE *ours, *libcs;
    int fd;
    bool awake; /* ours has the state */
    bool mute;  /* libc's has no descriptor, and ours cannot stand in for it */
    int mode;   /* libc's orientation before */
    bool over;  /* the farewell was said */
    struct stream *next;
};

/* Makes the cookie stream of t if there is none yet, asleep: whoever uses it gets EBADF. */
bool streams_swap_make(struct stream *t);
/* Moves the state to ours (awake) or back to libc's. */
void streams_swap(struct stream *t, bool awake);
/* Lends f a buffer of SOCKET_BLOCK bytes (or gives it, when it came from malloc and is not borrowed) unless
 * it has one; takes a borrowed one back that was never used. */
void streams_swap_give_buffer(FILE *f, char *buffer, bool borrowed);
void streams_swap_take_buffer(FILE *f, const char *buffer);
/* close(2), with the farewell when fd is managed. */
int streams_swap_close(int fd);

#endif
