/* memory.h - a program's bad pointer must give EFAULT, as the kernel gives it, and not a fault in our own
 * code. */
#ifndef MTLSWRAP_MEMORY_H
#define MTLSWRAP_MEMORY_H

#include <stdbool.h>
#include <sys/uio.h>

/* Can the first and the last page of every buffer be read (or written)? Pages that were good before in this
 * thread are not asked about again. */
bool memory_readable(const struct iovec *iov, int count);
bool memory_writable(const struct iovec *iov, int count);

#endif
