/* passing.h - descriptors in messages (SCM_RIGHTS). */
#ifndef MTLSWRAP_PASSING_H
#define MTLSWRAP_PASSING_H

#include <stdbool.h>
#include <sys/socket.h>

/* Does the message carry a managed descriptor? */
bool passing_sends(const struct msghdr *msg);
/* sendmsg of such a message. */
ssize_t passing_send(int fd, const struct msghdr *msg, int flags);

/* May the message bring descriptors? */
bool passing_receives(const struct msghdr *msg);
/* recvmsg of such a message. */
ssize_t passing_receive(int fd, struct msghdr *msg, int flags);

/* fd came by pidfd_getfd. False (EPERM, closed): it may be a connection that only its own process can
 * protect. */
bool passing_fetched(int fd);

#endif
