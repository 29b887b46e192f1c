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

/* An IPv6 wildcard socket of a workload that has only an IPv4 address binds to the mapped form. */
static bool own_address(const struct policy *p, const struct policy_self *self, int family,
                        struct sockaddr_storage *own) {
    if (policy_own_address(p, self, family, own))
        return true;
    struct sockaddr_storage v4;
    if (family != AF_INET6 || !policy_own_address(p, self, AF_INET, &v4))
        return false;
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &((struct sockaddr_in *)&v4)->sin_addr, 4);
    memset(own, 0, sizeof *own);
    memcpy(own, &mapped, sizeof mapped);
    return true;
}

bool places_own(int fd, const struct sockaddr *addr, socklen_t len, struct sockaddr_storage *own) {
    struct policy_self self;
    if (!is_wildcard(addr, len) || !is_stream(fd))
        return false;
    const struct policy *p = core_policy(&self);
    if (!own_address(p, &self, addr->sa_family, own))
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

/* Only for loopback destinations and a socket that the program has not bound itself. */
void places_source(int fd, const struct sockaddr *addr) {
    struct policy_self self;
    struct sockaddr_storage own, local;
    socklen_t len = sizeof local;
    int saved = errno;
    if ((addr->sa_family == AF_INET || addr->sa_family == AF_INET6) && is_stream(fd) &&
        own_address(core_policy(&self), &self, addr->sa_family, &own) &&
        !getsockname(fd, (struct sockaddr *)&local, &len) && local.ss_family == addr->sa_family &&
        !get_port((struct sockaddr *)&local)) {
        int on = 1;
        real.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        (void)!real.bind(fd, (struct sockaddr *)&own,
                         own.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    }
    errno = saved;
}
