/* aio_queue.h - asynchronous requests that are served by threads of ours; shared by aio.c and aio_queue.c
 * alone. Results and errno as in the calls of aio(7). */
#ifndef MTLSWRAP_AIO_QUEUE_H
#define MTLSWRAP_AIO_QUEUE_H

#include <aio.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What one lio_listio asked for. */
struct aio_group;

/* op: LIO_READ or LIO_WRITE; g may be NULL. */
int aio_queue_submit(struct aiocb *cb, int op, struct aio_group *g);
/* Is it waiting or being served here? */
bool aio_queue_has(const struct aiocb *cb);
/* AIO_CANCELED and so on, or -1 when nothing is asked of fd here. */
int aio_queue_cancel(int fd, struct aiocb *cb);

/* NULL: no memory. event (or NULL) tells of its end. */
struct aio_group *aio_queue_group(const struct sigevent *event);
/* All of it was submitted, but for `failed`. Frees the group in the end; result as lio_listio. */
int aio_queue_group_end(struct aio_group *g, int failed, bool wait);

/* Requests that are not done, and a count that changes whenever one is; waits for a change. */
unsigned aio_queue_pending(void);
uint32_t aio_queue_completions(void);
int aio_queue_wait(uint32_t seen, const struct timespec *timeout);

#endif
