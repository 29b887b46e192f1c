/* explain.c - `mtlswrap explain`: turns words into a query of policy.h. The answer, and why, is the very one
 * that a wrapped program gets. */
#include "cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "explain_print.h"
#include "policy.h"

struct explain {
    const char *config, *as, *listen, *from;
    bool json;
    struct policy *p;
    struct policy_self self;
    struct explain_question q;
};

static bool port_number(const char *s, uint16_t *out) {
    char *end;
    unsigned long n = strtoul(s, &end, 10);
    if (*s < '0' || *s > '9' || *end || n == 0 || n > 65535)
        return false;
    *out = (uint16_t)n;
    return true;
}

/* "HOST:PORT", "[V6]:PORT", or "PORT" alone (host is empty then). */
static bool cut_target(const char *word, char *host, size_t size, uint16_t *port) {
    const char *colon = strrchr(word, ':');
    if (!port_number(colon ? colon + 1 : word, port))
        return false;
    size_t len = colon ? (size_t)(colon - word) : 0;
    if (len >= 2 && word[0] == '[' && word[len - 1] == ']') {
        word++;
        len -= 2;
    }
    snprintf(host, size, "%.*s", (int)len, word);
    return len < size;
}

static bool literal(const char *host, struct sockaddr_storage *out) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        memcpy(out, &v4, sizeof v4);
    else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        memcpy(out, &v6, sizeof v6);
    else
        return false;
    return true;
}

static void set_port(struct sockaddr_storage *a, uint16_t port) {
    if (a->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)a)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)a)->sin_port = htons(port);
}

static void address_text(const struct sockaddr_storage *a, char *out, size_t size) {
    char host[INET6_ADDRSTRLEN];
    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, size, "%s:%u", host, ntohs(v4->sin_port));
    }
}

/* As a wrapped program would find it: the table first, then the system. A name that nobody knows is
 * decided by the name alone, at an address that no rule can match. */
static void find_address(const struct explain *e, const char *host, struct sockaddr_storage *out) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (policy_resolve(e->p, e->self.namespace_, host, out, 1) > 0)
        return;
    memset(out, 0, sizeof *out);
    out->ss_family = AF_INET;
    if (getaddrinfo(host, NULL, &hints, &found) != 0) {
        cli_note("%s does not resolve here; decided by its name alone", host);
        return;
    }
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
}

static struct explain_steps steps_begin(bool json, char **text, size_t *size) {
    return (struct explain_steps){.json = json, .text = open_memstream(text, size)};
}

static int connecting(struct explain *e, const char *word) {
    char host[256], where[INET6_ADDRSTRLEN + 16], target[512], *considered = NULL;
    size_t size;
    uint16_t port;
    struct sockaddr_storage dest;
    struct policy_outbound out;
    if (!cut_target(word, host, sizeof host, &port) || !*host) {
        cli_error("%s: not HOST:PORT", word);
        return CLI_USAGE;
    }
    bool named = !literal(host, &dest);
    if (named)
        find_address(e, host, &dest);
    set_port(&dest, port);
    address_text(&dest, where, sizeof where);
    snprintf(target, sizeof target, named ? "%.0s%s" : "%s", where, word);
    e->q.target = target;
    struct explain_steps steps = steps_begin(e->json, &considered, &size);
    if (!steps.text)
        return CLI_FAILED;
    policy_explain_outbound(e->p, &e->self, (struct sockaddr *)&dest, named ? host : NULL, explain_print_step,
                            &steps, &out);
    if (fclose(steps.text) == 0)
        explain_print_outbound(&e->q, &out, considered, e->json);
    free(considered);
    return CLI_OK;
}

static bool outside_mesh(const struct policy *p, const struct policy_self *self) {
    struct policy_workload_info w;
    for (size_t i = 0; self->name && i < policy_workload_count(p); i++)
        if (policy_workload_at(p, i, &w) && strcmp(w.name, self->name) == 0 &&
            strcmp(w.namespace_, self->namespace_) == 0)
            return !w.in_mesh;
    return false;
}

static const char *judge(const struct policy_inbound *in, bool plain, bool allowed) {
    if (in->mode == MTLS_STRICT && plain)
        return "refused: it speaks plaintext, the accepting side demands mutual TLS";
    if (in->mode == MTLS_DISABLE && !plain)
        return "fails: it speaks TLS, the accepting side only plaintext";
    if (plain)
        return in->principal_count
                   ? "may connect in plaintext; principals are checked on TLS connections only"
                   : "may connect in plaintext";
    return allowed ? "may connect" : "refused: not among the principals";
}

/* How --from would call this port, if it kept to its own rules. */
static int judge_from(struct explain *e, const struct sockaddr_storage *local,
                      const struct policy_inbound *in, char *principal, size_t size) {
    struct policy_self from;
    struct policy_outbound out;
    if (!policy_self(e->p, e->from, &from)) {
        cli_error("%s: a workload is called NAMESPACE/NAME", e->from);
        return CLI_USAGE;
    }
    snprintf(principal, size, "%s/ns/%s/sa/%s", policy_mesh(e->p)->trust_domain, from.namespace_,
             from.account);
    policy_outbound(e->p, &from, (const struct sockaddr *)local, NULL, &out);
    bool outside = outside_mesh(e->p, &from), plain = outside || out.mode == TLS_DISABLE;
    if (out.mode == TLS_PERMISSIVE)
        plain = in->mode == MTLS_DISABLE;
    e->q.from = e->from;
    e->q.principal = principal;
    e->q.from_mode = outside ? "none: outside the mesh" : explain_print_tls(out.mode);
    if (plain)
        e->q.from_allowed = in->mode != MTLS_STRICT;
    else
        e->q.from_allowed = in->mode != MTLS_DISABLE && policy_principal_allowed(in, principal);
    e->q.verdict = judge(in, plain, e->q.from_allowed);
    return CLI_OK;
}

static int accepting(struct explain *e) {
    char host[256], where[INET6_ADDRSTRLEN + 16], principal[512], *considered = NULL;
    size_t size;
    uint16_t port;
    struct sockaddr_storage local;
    struct policy_inbound in;
    if (!cut_target(e->listen, host, sizeof host, &port) || (*host && !literal(host, &local))) {
        cli_error("%s: not PORT or ADDRESS:PORT", e->listen);
        return CLI_USAGE;
    }
    if (!*host && !policy_own_address(e->p, &e->self, AF_INET, &local) &&
        !policy_own_address(e->p, &e->self, AF_INET6, &local))
        literal("0.0.0.0", &local);
    set_port(&local, port);
    address_text(&local, where, sizeof where);
    e->q.target = where;
    struct explain_steps steps = steps_begin(e->json, &considered, &size);
    if (!steps.text)
        return CLI_FAILED;
    policy_explain_inbound(e->p, &e->self, (struct sockaddr *)&local, explain_print_step, &steps, &in);
    int status = e->from ? judge_from(e, &local, &in, principal, sizeof principal) : CLI_OK;
    if (fclose(steps.text) == 0 && status == CLI_OK)
        explain_print_inbound(&e->q, &in, considered, e->json);
    free(considered);
    return status;
}

static int answer(struct explain *e, const char *word) {
    char config[PATH_MAX];
    if (!config_find(e->config, config))
        return CLI_CONFIG;
    e->p = policy_load(config, config_print_error, NULL);
    if (!e->p)
        return CLI_CONFIG;
    int status = CLI_USAGE;
    char name[160];
    if (policy_self(e->p, e->as, &e->self)) {
        snprintf(name, sizeof name, "%s/%s", e->self.namespace_, e->self.name ? e->self.name : "(none)");
        e->q.workload = name;
        e->q.account = e->self.account;
        status = word ? connecting(e, word) : accepting(e);
    } else {
        cli_error("%s: a workload is called NAMESPACE/NAME", e->as);
    }
    policy_free(e->p);
    return cli_finish(status);
}

int explain_main(const struct cli_command *self, int argc, char **argv) {
    struct explain e = {.as = getenv("MTLSWRAP_WORKLOAD")};
    const struct cli_option opts[] = {
        {"config", "FILE", "the policy table (default: $MTLSWRAP_CONFIG, else that of run)", &e.config, NULL},
        {"as", "NAMESPACE/NAME", "who connects or listens (default: $MTLSWRAP_WORKLOAD)", &e.as, NULL},
        {"listen", "PORT", "the accepting side: PORT or ADDRESS:PORT", &e.listen, NULL},
        {"from", "NAMESPACE/NAME", "with --listen: may this one connect?", &e.from, NULL},
        {"json", NULL, "print one JSON object", NULL, &e.json},
        {NULL, NULL, NULL, NULL, NULL}};
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (argc - i + (e.listen != NULL) != 1)
        return cli_usage(self, "explain: either HOST:PORT or --listen PORT is needed");
    if (e.from && !e.listen)
        return cli_usage(self, "explain: --from belongs to --listen");
    if (e.as && !*e.as)
        e.as = NULL;
    return answer(&e, e.listen ? NULL : argv[i]);
}
