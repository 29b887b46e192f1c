/* forks.h - what a fork does to shared connections (I3, I6). */
#ifndef MTLSWRAP_FORKS_H
#define MTLSWRAP_FORKS_H

/* Registers the handlers that fork(3) runs; at the first managed connection, once. */
void forks_ready(void);

/* For the ways to fork that run no handlers. */
void forks_prepare(void);
void forks_parent(void);
void forks_child(void);
/* The fork did not happen: takes the child's share back. */
void forks_failed(void);

#endif
