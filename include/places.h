/* places.h - where a workload lives: its own address, its services' target ports (policy's Service table). */
#ifndef MTLSWRAP_PLACES_H
#define MTLSWRAP_PLACES_H

#include <stdbool.h>
#include <sys/socket.h>

/* A wildcard address to bind to becomes the workload's own. False: bind as asked. */
bool places_own(int fd, const struct sockaddr *addr, socklen_t len, struct sockaddr_storage *own);
/* Will connections accepted on this listening socket be protected? */
bool places_protected(int fd);
/* A service's port becomes its target port. False: connect as asked. */
bool places_target(const struct sockaddr *addr, socklen_t len, struct sockaddr_storage *target);
/* Outgoing connections come from the workload's own address. */
void places_source(int fd, const struct sockaddr *addr);

#endif
