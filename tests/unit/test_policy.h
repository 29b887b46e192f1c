/* test_policy.h - what the tests of the policy table share: findings as text, addresses, questions. */
#ifndef MTLSWRAP_TEST_POLICY_H
#define MTLSWRAP_TEST_POLICY_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "policy.h"

/* All findings of one reading, one per line: "LINE error|warning: MESSAGE". */
struct test_findings {
    char text[16384];
    size_t used;
    int errors, warnings;
};

static inline void test_finding(void *arg, enum policy_severity severity, const char *file, int line,
                                const char *message) {
    struct test_findings *f = arg;
    (void)file;
    if (severity == POLICY_ERROR)
        f->errors++;
    else
        f->warnings++;
    int n = snprintf(f->text + f->used, sizeof f->text - f->used, "%d %s: %s\n", line,
                     severity == POLICY_ERROR ? "error" : "warning", message);
    if (n > 0 && (size_t)n < sizeof f->text - f->used)
        f->used += (size_t)n;
}

static inline struct policy *test_parse(const char *text, struct test_findings *f) {
    *f = (struct test_findings){.text = ""};
    return policy_parse("mesh.ini", text, strlen(text), test_finding, f);
}

/* A table that has to be free of errors. */
static inline struct policy *test_table(const char *text) {
    struct test_findings f;
    struct policy *p = test_parse(text, &f);
    cr_assert_not_null(p, "%s\n%s", f.text, text);
    return p;
}

/* "127.0.0.1:80", "[::1]:80". */
static inline struct sockaddr_storage test_address(const char *text) {
    struct sockaddr_storage ss = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    char host[64] = "";
    const char *colon = strrchr(text, ':');
    size_t n = (size_t)(colon - text) - (text[0] == '[' ? 2 : 0);
    memcpy(host, text + (text[0] == '['), n);
    in.sin_port = in6.sin6_port = htons((uint16_t)atoi(colon + 1));
    if (text[0] == '[') {
        cr_assert_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1, "%s", text);
        memcpy(&ss, &in6, sizeof in6);
    } else {
        cr_assert_eq(inet_pton(AF_INET, host, &in.sin_addr), 1, "%s", text);
        memcpy(&ss, &in, sizeof in);
    }
    return ss;
}

static inline const char *test_or(const char *s) {
    return s ? s : "-";
}

static inline struct policy_inbound test_in(const struct policy *p, const char *as, const char *local) {
    struct policy_self self;
    struct policy_inbound in;
    struct sockaddr_storage ss = test_address(local);
    cr_assert(policy_self(p, as, &self), "%s", test_or(as));
    policy_inbound(p, &self, (const struct sockaddr *)&ss, &in);
    return in;
}

static inline struct policy_outbound test_out(const struct policy *p, const char *as, const char *dest,
                                              const char *name) {
    struct policy_self self;
    struct policy_outbound out;
    struct sockaddr_storage ss = test_address(dest);
    cr_assert(policy_self(p, as, &self), "%s", test_or(as));
    policy_outbound(p, &self, (const struct sockaddr *)&ss, name, &out);
    return out;
}

#endif
