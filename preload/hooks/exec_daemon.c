/* exec_daemon.c - hooks: daemon(). libc's own would end the parent from inside itself, with what only the
 * parent can deliver. */
#include "hook.h"

#include <fcntl.h>
#include <unistd.h>

static int detach(int nochdir, int noclose) {
    if (setsid() < 0)
        return -1;
    if (!nochdir)
        (void)!chdir("/");
    int null = noclose ? -1 : open("/dev/null", O_RDWR);
    for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        real.close(null);
    return 0;
}

EXPORT int daemon(int nochdir, int noclose) {
    if (!atomic_load(&fdtable_size) || !fdtable_mine())
        return real.daemon(nochdir, noclose);
    switch (fork()) {
    case -1:
        return -1;
    case 0:
        return detach(nochdir, noclose);
    default:
        _exit(0);
    }
}
