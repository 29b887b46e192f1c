/* resolver.c - hooks: names and addresses. Names of the policy's tables are answered from there, in libc's
 * own shapes; all others go to libc. What was resolved is remembered, so that policy can speak of hosts. */
#include "hook.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "reserve.h"

enum { ADDRESSES_MAX = 32, HOSTENT_ROOM = 4096 };

/* Is there anything that we know better than libc? */
static bool ready(void) {
    core_init();
    return core.active;
}

static size_t lookup(const char *name, struct sockaddr_storage *out) {
    if (!name || !ready())
        return 0;
    struct policy_self self;
    const struct policy *p = core_policy(&self);
    return policy_resolve(p, self.namespace_, name, out, ADDRESSES_MAX);
}

static const char *reverse(const struct sockaddr *addr) {
    struct policy_self self;
    return ready() ? policy_reverse(core_policy(&self), addr) : NULL;
}

static const char *canonical(const char *name, const struct sockaddr_storage *addr) {
    const char *full = reverse((const struct sockaddr *)addr);
    return full ? full : name;
}

static const void *raw(const struct sockaddr_storage *addr) {
    return addr->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)addr)->sin_addr
                                      : (const void *)&((const struct sockaddr_in6 *)addr)->sin6_addr;
}

/* --- getaddrinfo --------------------------------------------------------------------------------- */

static void remember_list(const char *name, const struct addrinfo *list) {
    int saved = errno;
    unsigned char numeric[16];
    if (name && core.active && inet_pton(AF_INET, name, numeric) != 1 &&
        inet_pton(AF_INET6, name, numeric) != 1)
        for (; list; list = list->ai_next)
            names_remember(name, list->ai_addr);
    errno = saved;
}

/* An IPv4 address may answer a question for IPv6 when the program says so. */
static bool answers(const struct addrinfo *hints, const struct sockaddr_storage *addr, bool any_v6) {
    int family = hints->ai_family;
    if (family == AF_INET6 && addr->ss_family == AF_INET)
        return (hints->ai_flags & AI_V4MAPPED) && (!any_v6 || (hints->ai_flags & AI_ALL));
    return !(family == AF_INET && addr->ss_family == AF_INET6);
}

/* libc itself makes the entries for one address, so that hints and services mean what they always do. */
static int append(const struct sockaddr_storage *addr, const char *service, const struct addrinfo *hints,
                  struct addrinfo ***end) {
    char text[INET6_ADDRSTRLEN];
    struct addrinfo numeric = *hints;
    numeric.ai_flags = (hints->ai_flags & ~(AI_CANONNAME | AI_ADDRCONFIG)) | AI_NUMERICHOST;
    if (!inet_ntop(addr->ss_family, raw(addr), text, sizeof text))
        return EAI_SYSTEM;
    int r = real.getaddrinfo(text, service, &numeric, *end);
    while (!r && **end)
        *end = &(**end)->ai_next;
    return r;
}

static int name_it(struct addrinfo *first, const char *name) {
    first->ai_canonname = strdup(name);
    return first->ai_canonname ? 0 : EAI_MEMORY;
}

static int from_table(const char *name, const char *service, const struct addrinfo *hints,
                      const struct sockaddr_storage *found, size_t n, struct addrinfo **out) {
    const struct addrinfo none = {0};
    struct addrinfo *list = NULL, **end = &list;
    bool any_v6 = false;
    int r = 0;
    hints = hints ? hints : &none;
    for (size_t i = 0; i < n; i++)
        any_v6 |= found[i].ss_family == AF_INET6;
    for (size_t i = 0; i < n && !r; i++)
        if (answers(hints, &found[i], any_v6))
            r = append(&found[i], service, hints, &end);
    if (!r && !list)
        r = EAI_NODATA;
    if (!r && (hints->ai_flags & AI_CANONNAME))
        r = name_it(list, canonical(name, &found[0]));
    if (r) {
        if (list)
            freeaddrinfo(list);
        return r;
    }
    remember_list(name, list);
    *out = list;
    return 0;
}

EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out) {
    struct sockaddr_storage found[ADDRESSES_MAX];
    size_t n = hints && (hints->ai_flags & AI_NUMERICHOST) ? 0 : lookup(name, found);
    if (n)
        return from_table(name, service, hints, found, n, out);
    ready();
    int r = real.getaddrinfo(name, service, hints, out);
    if (!r)
        remember_list(name, *out);
    return r;
}

/* libc's threads would ask libc: what the tables know is answered at once, the rest is left to it. */
EXPORT int getaddrinfo_a(int mode, struct gaicb **list, int n, struct sigevent *event) {
    if (!ready() || n <= 0 || !list)
        return real.getaddrinfo_a(mode, list, n, event);
    struct gaicb **rest = calloc((size_t)n, sizeof *rest);
    if (!rest)
        return EAI_MEMORY;
    struct sockaddr_storage found[ADDRESSES_MAX];
    for (int i = 0; i < n; i++) {
        struct gaicb *g = list[i];
        if (g && lookup(g->ar_name, found))
            g->__return = getaddrinfo(g->ar_name, g->ar_service, g->ar_request, &g->ar_result);
        else
            rest[i] = g;
    }
    int r = real.getaddrinfo_a(mode, rest, n, event);
    for (int i = 0; mode == GAI_WAIT && i < n; i++)
        if (rest[i] && !rest[i]->__return)
            remember_list(rest[i]->ar_name, rest[i]->ar_result);
    free(rest);
    return r;
}

/* Programs ask this before they look at an answer. */
EXPORT int gai_error(struct gaicb *g) {
    ready();
    int r = real.gai_error(g);
    if (!r)
        remember_list(g->ar_name, g->ar_result);
    return r;
}

/* --- gethostbyname ------------------------------------------------------------------------------- */

static void remember_host(const char *name, const struct hostent *h) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    int saved = errno;
    unsigned char numeric[16];
    if (!core.active || !h || inet_pton(AF_INET, name, numeric) == 1 ||
        inet_pton(AF_INET6, name, numeric) == 1)
        return;
    for (char **a = h->h_addr_list; *a; a++)
        if (h->h_addrtype == AF_INET) {
            memcpy(&v4.sin_addr, *a, sizeof v4.sin_addr);
            names_remember(name, (struct sockaddr *)&v4);
        } else if (h->h_addrtype == AF_INET6) {
            memcpy(&v6.sin6_addr, *a, sizeof v6.sin6_addr);
            names_remember(name, (struct sockaddr *)&v6);
        }
    errno = saved;
}

/* The caller's buffer as a place to put things one after another. */
struct room {
    char *at;
    size_t left;
};

static void *put(struct room *r, const void *from, size_t n) {
    if (r->left < n)
        return NULL;
    char *to = memcpy(r->at, from, n);
    r->at += n;
    r->left -= n;
    return to;
}

/* Fills h with the addresses of its family. Returns their number, or -1 when the buffer is too small. */
static int fill(struct hostent *h, const char *name, const char *alias, const struct sockaddr_storage *found,
                size_t n, struct room r) {
    char *aliases[2] = {NULL, NULL}, *addresses[ADDRESSES_MAX + 1];
    int count = 0;
    size_t skew = (size_t)(-(uintptr_t)r.at % sizeof(char *));
    if (r.left < skew)
        return -1;
    r.at += skew;
    r.left -= skew;
    struct room pointers = r;
    size_t tables = sizeof aliases + sizeof addresses[0];
    for (size_t i = 0; i < n; i++)
        tables += found[i].ss_family == h->h_addrtype ? sizeof addresses[0] : 0;
    if (r.left < tables)
        return -1;
    r.at += tables;
    r.left -= tables;
    for (size_t i = 0; i < n; i++)
        if (found[i].ss_family == h->h_addrtype &&
            !(addresses[count++] = put(&r, raw(&found[i]), (size_t)h->h_length)))
            return -1;
    addresses[count] = NULL;
    h->h_name = put(&r, name, strlen(name) + 1);
    if (strcmp(name, alias) != 0 && !(aliases[0] = put(&r, alias, strlen(alias) + 1)))
        return -1;
    h->h_aliases = put(&pointers, aliases, sizeof aliases);
    h->h_addr_list = put(&pointers, addresses, ((size_t)count + 1) * sizeof addresses[0]);
    return h->h_name ? count : -1;
}

static int host_from_table(const char *name, int family, const struct sockaddr_storage *found, size_t n,
                           struct hostent *h, struct room r, struct hostent **out, int *error) {
    *out = NULL;
    h->h_addrtype = family;
    h->h_length = family == AF_INET ? 4 : 16;
    int count = fill(h, canonical(name, &found[0]), name, found, n, r);
    if (count < 0) {
        *error = NETDB_INTERNAL;
        return errno = ERANGE;
    }
    if (!count) {
        *error = NO_DATA;
        return 0;
    }
    remember_host(name, h);
    *out = h;
    return 0;
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *h, char *buf, size_t room,
                            struct hostent **out, int *error) {
    struct sockaddr_storage found[ADDRESSES_MAX];
    size_t n = family == AF_INET || family == AF_INET6 ? lookup(name, found) : 0;
    if (n)
        return host_from_table(name, family, found, n, h, (struct room){buf, room}, out, error);
    ready();
    int r = real.gethostbyname2_r(name, family, h, buf, room, out, error);
    if (!r)
        remember_host(name, *out);
    return r;
}

EXPORT int gethostbyname_r(const char *name, struct hostent *h, char *buf, size_t room, struct hostent **out,
                           int *error) {
    struct sockaddr_storage found[ADDRESSES_MAX];
    size_t n = lookup(name, found);
    if (n)
        return host_from_table(name, AF_INET, found, n, h, (struct room){buf, room}, out, error);
    ready();
    int r = real.gethostbyname_r(name, h, buf, room, out, error);
    if (!r)
        remember_host(name, *out);
    return r;
}

/* As libc's, these two answer in memory that the next call overwrites. */
static struct hostent last;
static char last_room[HOSTENT_ROOM] RESERVE;

EXPORT struct hostent *gethostbyname2(const char *name, int family) {
    struct sockaddr_storage found[ADDRESSES_MAX];
    size_t n = family == AF_INET || family == AF_INET6 ? lookup(name, found) : 0;
    struct hostent *h = NULL;
    ready();
    if (n)
        host_from_table(name, family, found, n, &last, (struct room){last_room, sizeof last_room}, &h,
                        &h_errno);
    else if ((h = real.gethostbyname2(name, family)))
        remember_host(name, h);
    return h;
}

EXPORT struct hostent *gethostbyname(const char *name) {
    struct sockaddr_storage found[ADDRESSES_MAX];
    if (lookup(name, found))
        return gethostbyname2(name, AF_INET);
    ready();
    struct hostent *h = real.gethostbyname(name);
    if (h)
        remember_host(name, h);
    return h;
}

/* --- from address to name ------------------------------------------------------------------------ */

static const char *name_at(const void *address, socklen_t len, int family, struct sockaddr_storage *addr) {
    memset(addr, 0, sizeof *addr);
    addr->ss_family = (sa_family_t)family;
    if (family == AF_INET && len == 4)
        memcpy(&((struct sockaddr_in *)addr)->sin_addr, address, 4);
    else if (family == AF_INET6 && len == 16)
        memcpy(&((struct sockaddr_in6 *)addr)->sin6_addr, address, 16);
    else
        return NULL;
    return reverse((struct sockaddr *)addr);
}

EXPORT int gethostbyaddr_r(const void *address, socklen_t len, int family, struct hostent *h, char *buf,
                           size_t room, struct hostent **out, int *error) {
    struct sockaddr_storage addr;
    const char *name = name_at(address, len, family, &addr);
    ready();
    if (!name)
        return real.gethostbyaddr_r(address, len, family, h, buf, room, out, error);
    return host_from_table(name, family, &addr, 1, h, (struct room){buf, room}, out, error);
}

EXPORT struct hostent *gethostbyaddr(const void *address, socklen_t len, int family) {
    struct sockaddr_storage addr;
    const char *name = name_at(address, len, family, &addr);
    struct hostent *h = NULL;
    ready();
    if (!name)
        return real.gethostbyaddr(address, len, family);
    host_from_table(name, family, &addr, 1, &last, (struct room){last_room, sizeof last_room}, &h, &h_errno);
    return h;
}

static bool is_whole(const struct sockaddr *addr, socklen_t len) {
    return addr && len >= sizeof(sa_family_t) &&
           ((addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) ||
            (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)));
}

EXPORT int getnameinfo(const struct sockaddr *addr, socklen_t len, char *host, socklen_t host_room,
                       char *service, socklen_t service_room, int flags) {
    bool wanted = host && host_room && !(flags & NI_NUMERICHOST) && is_whole(addr, len);
    const char *name = wanted ? reverse(addr) : NULL;
    ready();
    if (!name)
        return real.getnameinfo(addr, len, host, host_room, service, service_room, flags);
    if (service && service_room) {
        int r = real.getnameinfo(addr, len, NULL, 0, service, service_room, flags & ~NI_NAMEREQD);
        if (r)
            return r;
    }
    size_t n = strlen(name) + 1;
    if (n > host_room)
        return EAI_OVERFLOW;
    memcpy(host, name, n);
    return 0;
}
