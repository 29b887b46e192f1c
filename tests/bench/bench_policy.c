/* bench_policy.c - what a table of 10,000 rules costs: the milliseconds to load it, the nanoseconds to decide
 * about one connection, made (by name, by address) and accepted. Prints one JSON object: the median of
 * several loads, the mean of the matches in the best of several rounds. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "policy.h"

enum { SPACES = 50, EACH = 50, LOADS = 15, ROUNDS = 7, QUERIES = 1 << 17, PREPARED = 1 << 11 };
/* Of each of the 2,500 services: itself, a Policy, a DestinationRule, and one more of either for a foreign
 * host. */

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static _Noreturn void die(const char *what) {
    perror(what);
    exit(1);
}

static void write_service(FILE *f, int ns, int i) {
    fprintf(f, "[Service ns%d/s%d]\naddress = 127.%d.%d.1\nports = 80:8080\nserviceAccount = s%d\n", ns, i,
            1 + ns, i, i);
    fprintf(f, "[Policy ns%d/s%d]\ntargets = s%d\nmtls.mode = STRICT\nportLevelMtls.8081.mode = PERMISSIVE\n",
            ns, i, i);
    fprintf(f, "[DestinationRule ns%d/s%d]\nhost = s%d\ntls.mode = ISTIO_MUTUAL\n", ns, i, i);
    fprintf(f, "[DestinationRule ns%d/far%d]\nhost = %sh%d-%d.example.com\ntls.mode = SIMPLE\n", ns, i,
            i % 2 ? "*." : "", ns, i);
}

static void write_table(const char *path) {
    FILE *f = fopen(path, "w");
    if (!f)
        die(path);
    fputs("[MeshPolicy default]\nmtls.mode = STRICT\n", f);
    for (int ns = 0; ns < SPACES; ns++)
        for (int i = 0; i < EACH; i++)
            write_service(f, ns, i);
    if (fclose(f))
        die(path);
}

static struct policy *load(const char *path) {
    struct policy *p = policy_load(path, NULL, NULL);
    if (!p)
        die("the table has errors");
    return p;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double load_ms(const char *path) {
    double took[LOADS];
    for (int i = 0; i < LOADS; i++) {
        double began = now_ns();
        struct policy *p = load(path);
        took[i] = (now_ns() - began) / 1e6;
        policy_free(p);
    }
    qsort(took, LOADS, sizeof *took, ascending);
    return took[LOADS / 2];
}

enum question { BY_ADDRESS, BY_NAME, BY_FOREIGN_NAME, NO_RULE, ACCEPTED, QUESTIONS };

struct query {
    struct sockaddr_in at;
    char ns[16], name[40];
};

static struct query prepare(enum question q, int ns, int i) {
    struct query out = {.at = {.sin_family = AF_INET, .sin_port = htons(q == ACCEPTED ? 8080 : 80)}};
    bool foreign = q == BY_FOREIGN_NAME || q == NO_RULE;
    uint32_t here = 0x7f000001u | (uint32_t)(1 + ns) << 16 | (uint32_t)i << 8;
    out.at.sin_addr.s_addr = htonl(foreign ? 0xc0000201u : here);
    snprintf(out.ns, sizeof out.ns, "ns%d", q == ACCEPTED || q == BY_FOREIGN_NAME ? ns : 0);
    if (q == BY_NAME)
        snprintf(out.name, sizeof out.name, "s%d.ns%d", i, ns);
    else if (foreign)
        snprintf(out.name, sizeof out.name, "%sh%d-%d.example.%s", i % 2 ? "www." : "", ns, i,
                 q == NO_RULE ? "org" : "com");
    return out;
}

static bool ask(const struct policy *p, enum question q, const struct query *query) {
    struct policy_self self = {.namespace_ = query->ns, .account = "default"};
    const struct sockaddr *at = (const struct sockaddr *)&query->at;
    struct policy_outbound out;
    struct policy_inbound in;
    if (q == ACCEPTED) {
        policy_inbound(p, &self, at, &in);
        return in.mode == MTLS_STRICT;
    }
    policy_outbound(p, &self, at, query->name[0] ? query->name : NULL, &out);
    return out.mode == (q == NO_RULE ? TLS_DISABLE : q == BY_FOREIGN_NAME ? TLS_SIMPLE : TLS_ISTIO_MUTUAL);
}

static double match_ns(const struct policy *p, enum question q) {
    static struct query queries[PREPARED];
    double best = 1e18;
    unsigned at = 1;
    for (int n = 0; n < PREPARED; n++) {
        at = at * 1103515245u + 12345u;
        queries[n] = prepare(q, (int)(at >> 8) % SPACES, (int)(at >> 16) % EACH);
    }
    for (int round = 0; round < ROUNDS; round++) {
        unsigned right = 0;
        double began = now_ns();
        for (int n = 0; n < QUERIES; n++)
            right += ask(p, q, &queries[n % PREPARED]);
        double took = (now_ns() - began) / QUERIES;
        if (right != QUERIES) {
            fprintf(stderr, "question %d: %u of %d decisions are right\n", q, right, QUERIES);
            exit(1);
        }
        best = took < best ? took : best;
    }
    return best;
}

int main(void) {
    static const char *const names[QUESTIONS] = {"match ns, by address", "match ns, by name",
                                                 "match ns, foreign name", "match ns, no rule",
                                                 "match ns, accepted"};
    char path[] = "/tmp/bench-policy.XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        die(path);
    close(fd);
    write_table(path);
    printf("{\"load ms\": %.2f", load_ms(path));
    struct policy *p = load(path);
    for (int q = 0; q < QUESTIONS; q++)
        printf(", \"%s\": %.0f", names[q], match_ns(p, (enum question)q));
    puts("}");
    policy_free(p);
    unlink(path);
    return 0;
}
