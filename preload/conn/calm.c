/* calm.c - defers the handlers of signals. Makes one system call at either end and knows nothing of
 * connections.
 */
#include "calm.h"

#include <signal.h>
#include <stdbool.h>

#include "confine.h"

static __thread unsigned depth;
static __thread bool masked;
static __thread sigset_t before;

/* What the program's own instructions raise cannot wait; a fault in its memory may be its way to work. */
static void mask(void) {
    static const int at_once[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t all;
    if (confine_lost(CONFINE_THREAD))
        return;
    sigfillset(&all);
    for (unsigned i = 0; i < sizeof at_once / sizeof *at_once; i++)
        sigdelset(&all, at_once[i]);
    masked = !pthread_sigmask(SIG_BLOCK, &all, &before);
}

static void unmask(void) {
    if (!masked)
        return;
    masked = false;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void calm_begin(void) {
    if (!depth)
        mask();
    depth++;
}

void calm_end(void) {
    if (!--depth)
        unmask();
}

unsigned calm_pause(void) {
    unsigned was = depth;
    depth = 0;
    if (was)
        unmask();
    return was;
}

void calm_resume(unsigned was) {
    if (was)
        mask();
    depth = was;
}
