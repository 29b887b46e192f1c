/* resolver_names.c - asks every call of the resolver for a name or an address and tells the answers.
 * Arguments: pairs of a kind ("name", "address") and what to ask. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void tell_list(int r, const struct addrinfo *list) {
    char text[64], port[16];
    if (r) {
        printf(" %s\n", gai_strerror(r));
        return;
    }
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int n = getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, port, sizeof port,
                            NI_NUMERICHOST | NI_NUMERICSERV);
        printf(" %s:%s/%d/%d/%d%s%s", n ? gai_strerror(n) : text, n ? "" : port, a->ai_family, a->ai_socktype,
               a->ai_protocol, a->ai_canonname ? "=" : "", a->ai_canonname ? a->ai_canonname : "");
    }
    printf("\n");
}

static void ask(const char *name, const char *service, int family, int type, int protocol, int flags) {
    struct addrinfo hints = {
        .ai_family = family, .ai_socktype = type, .ai_protocol = protocol, .ai_flags = flags};
    struct addrinfo *list = NULL;
    int r = getaddrinfo(name, service, &hints, &list);
    printf("  %s %d %d %d %#x:", service ? service : "-", family, type, protocol, (unsigned)flags);
    tell_list(r, list);
    if (!r)
        freeaddrinfo(list);
}

static void tell_host(const struct hostent *h) {
    char text[64];
    if (!h) {
        printf(" none, h_errno %d\n", h_errno);
        return;
    }
    printf(" %s family %d length %d", h->h_name, h->h_addrtype, h->h_length);
    for (char **a = h->h_aliases; *a; a++)
        printf(" alias %s", *a);
    for (char **a = h->h_addr_list; *a; a++)
        printf(" %s", inet_ntop(h->h_addrtype, *a, text, sizeof text));
    printf("\n");
}

static void reentrant(const char *name, size_t room) {
    char *buf = malloc(room);
    struct hostent h, *out = NULL;
    int error = 0, r = gethostbyname_r(name, &h, buf, room, &out, &error);
    printf("  gethostbyname_r with %zu: %d error %d", room, r, error);
    h_errno = error;
    tell_host(out);
    r = gethostbyname2_r(name, AF_INET6, &h, buf, room, &out, &error);
    printf("  gethostbyname2_r: %d error %d", r, error);
    h_errno = error;
    tell_host(out);
    free(buf);
}

static void asynchronous(const char *name) {
    struct gaicb a = {.ar_name = name, .ar_service = "80"}, b = {.ar_name = "127.0.0.9"},
                 *both[] = {&a, &b, NULL};
    int r = getaddrinfo_a(GAI_WAIT, both, 3, NULL);
    printf("  getaddrinfo_a: %d;", r);
    tell_list(gai_error(&a), a.ar_result);
    printf("  and");
    tell_list(gai_error(&b), b.ar_result);
    freeaddrinfo(a.ar_result);
    freeaddrinfo(b.ar_result);
    struct gaicb later = {.ar_name = name}, *one[] = {&later};
    const struct gaicb *waited[] = {&later};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    r = getaddrinfo_a(GAI_NOWAIT, one, 1, &event);
    struct timespec limit = {20, 0};
    int got = sigtimedwait(&usr1, NULL, &limit);
    gai_suspend(waited, 1, &limit);
    printf("  later: %d signal %d;", r, got == SIGUSR1);
    tell_list(gai_error(&later), later.ar_result);
    if (later.ar_result)
        freeaddrinfo(later.ar_result);
}

static void about_name(const char *name) {
    struct addrinfo *list = NULL;
    ask(name, NULL, AF_UNSPEC, 0, 0, 0);
    ask(name, "http", AF_UNSPEC, 0, 0, 0);
    ask(name, "http", AF_INET, SOCK_STREAM, 0, AI_CANONNAME | AI_ADDRCONFIG);
    ask(name, "8080", AF_INET, SOCK_DGRAM, IPPROTO_UDP, AI_NUMERICSERV);
    ask(name, "http", AF_INET, SOCK_STREAM, 0, AI_NUMERICSERV);
    ask(name, "nosuchservice", AF_INET, SOCK_STREAM, 0, 0);
    ask(name, "80", AF_INET6, SOCK_STREAM, 0, 0);
    ask(name, "80", AF_INET6, SOCK_STREAM, 0, AI_V4MAPPED);
    ask(name, "80", AF_INET6, SOCK_STREAM, 0, AI_V4MAPPED | AI_ALL);
    ask(name, "80", AF_INET, SOCK_STREAM, 0, AI_NUMERICHOST);
    ask(name, "80", AF_INET, SOCK_STREAM, 0, AI_PASSIVE);
    ask(name, "80", 77, SOCK_STREAM, 0, 0);
    ask(name, "80", AF_INET, SOCK_STREAM, IPPROTO_UDP, 0);
    ask(name, "80", AF_INET, 0, 0, 0x400000);
    int r = getaddrinfo(name, "80", NULL, &list);
    printf("  no hints:");
    tell_list(r, list);
    if (!r)
        freeaddrinfo(list);
    printf("  gethostbyname:");
    tell_host(gethostbyname(name));
    printf("  gethostbyname2 v6:");
    tell_host(gethostbyname2(name, AF_INET6));
    reentrant(name, 1024);
    reentrant(name, 24);
    asynchronous(name);
}

static void about_address(const char *text) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct sockaddr *any = (struct sockaddr *)&addr;
    char host[128], service[32], buf[512];
    inet_aton(text, &addr.sin_addr);
    const int flags[] = {0, NI_NUMERICHOST, NI_NUMERICSERV, NI_NAMEREQD};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int r = getnameinfo(any, sizeof addr, host, sizeof host, service, sizeof service, flags[i]);
        printf("  getnameinfo %d: %s %s\n", flags[i], r ? gai_strerror(r) : host, r ? "" : service);
    }
    printf("  small: %d\n", getnameinfo(any, sizeof addr, host, 4, NULL, 0, 0));
    printf("  host alone: %s\n",
           getnameinfo(any, sizeof addr, host, sizeof host, NULL, 0, 0) ? "error" : host);
    printf("  short: %d\n", getnameinfo(any, 3, host, sizeof host, NULL, 0, 0));
    printf("  gethostbyaddr:");
    tell_host(gethostbyaddr(&addr.sin_addr, 4, AF_INET));
    struct hostent h, *out = NULL;
    int error = 0, r = gethostbyaddr_r(&addr.sin_addr, 4, AF_INET, &h, buf, sizeof buf, &out, &error);
    printf("  gethostbyaddr_r: %d", r);
    h_errno = error;
    tell_host(out);
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        printf("%s %s\n", argv[i], argv[i + 1]);
        if (strcmp(argv[i], "name") == 0)
            about_name(argv[i + 1]);
        else
            about_address(argv[i + 1]);
    }
    return 0;
}
