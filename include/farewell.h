/* farewell.h - how a managed connection ends: close, dup2 over it, exit. */
#ifndef MTLSWRAP_FAREWELL_H
#define MTLSWRAP_FAREWELL_H

#include "conn.h"

/* This process gives up one descriptor of s (already out of the table, still open in the kernel). The last
 * holder flushes, says close_notify, or hands what is left to the driver. The caller closes fd afterwards. */
void farewell(int fd, struct slot *s);

/* close(2) of a managed descriptor. Another thread that writes to it meanwhile finds it closed. */
int farewell_close(int fd);

/* The descriptor is gone already, closed where no hook saw it. */
void farewell_lost(struct slot *s);

/* shutdown(2) of a managed connection. */
int farewell_half(int fd, struct slot *s, int how);

/* The close that follows resets the connection. */
void farewell_reset(int fd, struct slot *s);

/* Something is there that farewell_all would wait for. */
bool farewell_due(void);

/* At exit: all managed connections, bounded by the table's linger. */
void farewell_all(void);

/* The slot's last reference is gone: free it now, or leave that to a reader that is blocked in it. */
void farewell_free(struct slot *s);

#endif
