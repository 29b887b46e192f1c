/* places.c - addresses of workloads: many services on one port number of one machine. */
#include "places.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core.h"
#include "real.h"

static bool is_wildcard(const struct sockaddr *addr, socklen_t len) {
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    if (len >= sizeof v4 && addr->sa_family == AF_INET) {
        memcpy(&v4, addr, sizeof v4);
        return v4.sin_addr.s_addr == htonl(INADDR_ANY);
    }
    if (len >= sizeof v6 && addr->sa_family == AF_INET6) {
        memcpy(&v6, addr, sizeof v6);
        return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
    }
    return false;
}

static void set_port(struct sockaddr_storage *addr, in_port_t port) {
    if (addr->ss_family == AF_INET)
        ((struct sockaddr_in *)addr)->sin_port = port;
    else
        ((struct sockaddr_in6 *)addr)->sin6_port = port;
}

static in_port_t get_port(const struct sockaddr *addr) {
    return addr->sa_family == AF_INET ? ((const struct sockaddr_in *)addr)->sin_port
                                      : ((const struct sockaddr_in6 *)addr)->sin6_port;
}

static bool is_stream(int fd) {
    int type = 0;
    socklen_t len = sizeof type;
    return !real.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

static bool own_mapped(const struct policy *p, const struct policy_self *self, struct sockaddr_storage *own) {
    struct sockaddr_storage v4;
    if (!policy_own_address(p, self, AF_INET, &v4))
        return false;
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &((struct sockaddr_in *)&v4)->sin_addr, 4);
    memset(own, 0, sizeof *own);
    memcpy(own, &mapped, sizeof mapped);
    return true;
}

static bool takes_ipv4(int fd) {
    int only_v6 = 1;
    socklen_t len = sizeof only_v6;
    return !real.getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &len) && !only_v6;
}

/* With port 0 it may be the beginning of an outgoing connection, to anywhere. */
bool places_own(int fd, const struct sockaddr *addr, socklen_t len, struct sockaddr_storage *own) {
    struct policy_self self;
    if (!is_wildcard(addr, len) || !get_port(addr) || !is_stream(fd))
        return false;
    const struct policy *p = core_policy(&self);
    if (!policy_own_address(p, &self, addr->sa_family, own) &&
        !(addr->sa_family == AF_INET6 && takes_ipv4(fd) && own_mapped(p, &self, own)))
        return false;
    set_port(own, get_port(addr));
    return true;
}

bool places_protected(int fd) {
    struct sockaddr_storage local;
    socklen_t len = sizeof local;
    int saved = errno;
    bool inet = !getsockname(fd, (struct sockaddr *)&local, &len) &&
                (local.ss_family == AF_INET || local.ss_family == AF_INET6) && is_stream(fd);
    errno = saved;
    if (!inet)
        return false;
    struct policy_self self;
    struct policy_inbound decision;
    const struct policy *p = core_policy(&self);
    policy_inbound(p, &self, (struct sockaddr *)&local, &decision);
    return decision.mode != MTLS_DISABLE;
}

bool places_target(const struct sockaddr *addr, socklen_t len, struct sockaddr_storage *target) {
    bool inet = (addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) ||
                (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6));
    if (!inet)
        return false;
    struct policy_self self;
    uint16_t asked = ntohs(get_port(addr));
    uint16_t port = policy_target_port(core_policy(&self), addr);
    if (port == asked)
        return false;
    memcpy(target, addr, len < sizeof *target ? len : sizeof *target);
    set_port(target, htons(port));
    return true;
}

static bool is_mapped(const struct sockaddr *addr) {
    return addr->sa_family == AF_INET6 &&
           IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)addr)->sin6_addr);
}

static bool is_loopback(const struct sockaddr *addr) {
    if (addr->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    const struct in6_addr *a = &((const struct sockaddr_in6 *)addr)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == IN_LOOPBACKNET);
}

static bool is_unbound(int fd, int family) {
    struct sockaddr_storage local;
    socklen_t len = sizeof local;
    return !getsockname(fd, (struct sockaddr *)&local, &len) && local.ss_family == family &&
           is_wildcard((struct sockaddr *)&local, len) && !get_port((struct sockaddr *)&local);
}

/* Only towards places of the table, which want to know who calls. From a loopback address nothing leaves the
 * machine. */
static bool suits(const struct policy *p, const struct sockaddr_storage *own, const struct sockaddr *dest) {
    bool reachable = is_loopback(dest) || !is_loopback((const struct sockaddr *)own);
    return reachable && policy_reverse(p, dest);
}

void places_source(int fd, const struct sockaddr *addr) {
    struct policy_self self;
    struct sockaddr_storage own;
    int saved = errno;
    if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
        return;
    const struct policy *p = core_policy(&self);
    bool known =
        is_mapped(addr) ? own_mapped(p, &self, &own) : policy_own_address(p, &self, addr->sa_family, &own);
    if (known && suits(p, &own, addr) && is_stream(fd) && is_unbound(fd, addr->sa_family)) {
        int on = 1;
        real.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        (void)!real.bind(fd, (struct sockaddr *)&own,
                         own.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    }
    errno = saved;
}
