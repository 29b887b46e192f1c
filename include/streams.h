/* streams.h - stdio on managed descriptors.
 *
 * libc's own streams reach the kernel from inside libc, where no hook sees them, so a stream on a managed
 * descriptor is a cookie stream that comes through us. A stream's state (buffers, unread and unwritten
 * bytes, orientation, flags) moves between libc's stream and ours as a whole, so nothing is lost, repeated
 * or sent out of order. libc's stream sleeps meanwhile: it has no descriptor, so nothing that still knows
 * it can write in the clear (I2). */
#ifndef MTLSWRAP_STREAMS_H
#define MTLSWRAP_STREAMS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

/* --- standard streams ---------------------------------------------------------------------------- */

/* Brings stdin, stdout, stderr in line with what the table says about descriptor fd; nothing for fd > 2.
 * Call it whenever a descriptor came under or left management, after the kernel has done its part. */
void streams_std_sync(int fd);
/* The same for 0 to 2, at start-up when they arrive managed. */
void streams_std_ready(void);
/* fd is about to become a duplicate of a managed descriptor: streams that libc has on it must not be able to
 * write to it any more. Followed by streams_std_sync, whatever became of it. */
void streams_expect(int fd);

/* True once any stream was replaced: only then streams_now has something to say. */
extern _Atomic bool streams_replaced;
/* The stream that is awake for the one that a program holds a pointer to. */
FILE *streams_now(FILE *f);

/* --- other streams ------------------------------------------------------------------------------- */

/* Should a stream on fd come through us? Managed, or a TCP socket that may yet be. */
bool streams_wanted(int fd);
/* Ours in the place of libc's fresh stream f on fd. NULL (errno): f is gone, fd is still open. */
FILE *streams_cover(FILE *f, int fd);
/* Is it ours, or replaced by one of ours? */
bool streams_ours(FILE *f);
/* fclose(3) of such a stream. */
int streams_close(FILE *f);
/* f is libc's stream again (freopen(3) has changed it). */
void streams_uncover(FILE *f);

/* At exit, before the farewell: what the program left in its buffers goes out; later writes fail. */
void streams_finish(void);
/* In a forked child: another thread of the parent may have held our lock. */
void streams_forked(void);

#endif
