/* embryo.c - sockets that a fork shares before anybody connects them. Moves no byte. */
#include "embryo.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>

#include "conn.h"
#include "driver.h"
#include "fdtable.h"
#include "forks.h"
#include "reserve.h"
#include "wire.h"

enum { EMBRYO_MAX = 65536, WORD = 64 };

/* Bit per socket that was made since the last fork. A bit that is stale costs one question to the kernel. */
static _Atomic uint64_t noted[EMBRYO_MAX / WORD] RESERVE;
static _Atomic int highest = -1;

void embryo_note(int fd, int domain, int type) {
    enum { KIND = 0xf }; /* the rest are flags */
    if (fd < 0 || fd >= EMBRYO_MAX || (domain != AF_INET && domain != AF_INET6) ||
        (type & KIND) != SOCK_STREAM)
        return;
    forks_ready();
    atomic_fetch_or(&noted[fd / WORD], (uint64_t)1 << (fd % WORD));
    int seen = atomic_load(&highest);
    while (seen < fd && !atomic_compare_exchange_weak(&highest, &seen, fd))
        ;
}

static bool is_unconnected(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return !wire_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_state == TCP_CLOSE;
}

/* A number can mean something else by the time it gets its slot, if another thread of the program is at work.
 * st_nlink is 2 more than there are threads. */
static bool alone(void) {
    struct stat st;
    for (int i = 0; i < 5; i++) {
        if (confine_lost(CONFINE_STAT) || stat("/proc/self/task", &st))
            return false;
        nlink_t others = st.st_nlink - 3;
        if (others <= (nlink_t)driver_running())
            return true;
        if (others > 1)
            return false;
        wire_poll(NULL, 0, 1); /* our thread may be about to end */
    }
    return false;
}

static void share(int fd) {
    struct slot *s = conn_ready() && (unsigned)fd < fdtable_size ? slot_new() : NULL;
    if (!s)
        return;
    slot_set_state(s, SLOT_EMBRYO);
    s->cookie = conn_cookie(fd);
    if (!fdtable_claim(fd, s)) /* another thread has connected it */
        slot_free(s);
}

void embryo_share(void) {
    int saved = errno, last = atomic_exchange(&highest, -1);
    bool shares = false;
    for (int fd = 0; fd <= last; fd++) {
        uint64_t bit = (uint64_t)1 << (fd % WORD);
        if (!atomic_load(&noted[fd / WORD]) && fd % WORD == 0) {
            fd += WORD - 1;
            continue;
        }
        bool made = atomic_fetch_and(&noted[fd / WORD], ~bit) & bit;
        if (!made || fdtable_entry(fd) || !is_unconnected(fd))
            continue;
        if (!shares && !alone())
            break;
        shares = true;
        share(fd);
    }
    errno = saved;
}

struct slot *embryo_of(int fd) {
    struct slot *s = fdtable_entry(fd) ? fdtable_slot(fd) : NULL;
    return s && atomic_load(&s->state) == SLOT_EMBRYO ? s : NULL;
}

void embryo_forget(int fd) {
    struct slot *s = embryo_of(fd);
    if (s)
        slot_set_state(s, SLOT_PLAIN);
}

int embryo_refuse(int fd, bool write, int flags) {
    char none;
    ssize_t n = write ? wire_send(fd, NULL, 0, flags) : wire_recv(fd, &none, 0, flags);
    if (n >= 0) /* connected by somebody who does not tell us */
        errno = EIO;
    return -1;
}
