/* confine_settle.h - what has to be done while it is still possible: a seccomp filter is about to be
 * installed. */
#ifndef MTLSWRAP_CONFINE_SETTLE_H
#define MTLSWRAP_CONFINE_SETTLE_H

/* lost, deadly: what will be in force. Ends handshakes in progress and delivers what is kept, for as long as
 * a handshake may take at most; loads what a later connection would want to load. */
void confine_settle(unsigned lost, unsigned deadly);

#endif
