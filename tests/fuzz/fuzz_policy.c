/* fuzz_policy.c - libFuzzer target for the policy table: any bytes as a table, then questions to it.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/fuzz_policy.c preload/policy/policy*.c
 * -linih
 *
 * Input: a table; a line "?" ends it, and what follows are questions, one per line: "AS ADDRESS PORT NAME",
 * each part optional. Beside memory safety it checks what must hold for every table: an error means no
 * table, answers are never UNSET, explaining gives the same decision as deciding, exactly one rule
 * decided, and findings come in the order of their lines. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                             \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            abort();                                                                                         \
    } while (0)

struct seen {
    int errors, last_line, decided, steps;
};

static void finding(void *arg, enum policy_severity severity, const char *file, int line,
                    const char *message) {
    struct seen *s = arg;
    CHECK(file && *message && line >= s->last_line);
    s->last_line = line;
    s->errors += severity == POLICY_ERROR;
}

static void lint(void *arg, enum policy_severity severity, const char *file, int line, const char *message) {
    struct seen *s = arg;
    CHECK(severity == POLICY_WARNING && file && *message && line > 0);
    s->steps++;
}

static void step(void *arg, const struct policy_step *st) {
    struct seen *s = arg;
    CHECK(*st->reason && st->rule.section);
    s->decided += st->decided;
    s->steps++;
}

static void ask(const struct policy *p, const char *as, const struct sockaddr *sa, const char *name) {
    struct policy_self self;
    struct policy_inbound in, in2;
    struct policy_outbound out, out2;
    struct sockaddr_storage found[3];
    struct seen s = {0, 0, 0, 0};
    if (!policy_self(p, as, &self))
        CHECK(policy_self(p, NULL, &self));
    CHECK(self.namespace_ && self.account);
    policy_inbound(p, &self, sa, &in);
    policy_explain_inbound(p, &self, sa, step, &s, &in2);
    CHECK(in.mode != MTLS_UNSET && in.mode == in2.mode && in.rule.line == in2.rule.line && s.decided == 1);
    s.decided = 0;
    policy_outbound(p, &self, sa, name, &out);
    policy_explain_outbound(p, &self, sa, name, step, &s, &out2);
    CHECK(out.mode != TLS_UNSET && out.mode == out2.mode && out.rule.line == out2.rule.line &&
          s.decided == 1);
    CHECK(out.sni == out2.sni && out.host == out2.host);
    CHECK(out.mode != TLS_MUTUAL || (out.client_certificate && out.private_key));
    CHECK((out.subject_alt_name_count > 0) == (out.subject_alt_names != NULL));
    (void)policy_principal_allowed(&in, name);
    (void)policy_reverse(p, sa);
    (void)policy_target_port(p, sa);
    (void)policy_own_address(p, &self, sa->sa_family, found);
    if (name)
        (void)policy_resolve(p, self.namespace_, name, found, 3);
}

static void question(const struct policy *p, char *line) {
    char *save = NULL, *as = strtok_r(line, " ", &save), *address = strtok_r(NULL, " ", &save);
    char *port = strtok_r(NULL, " ", &save), *name = strtok_r(NULL, " ", &save);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port ? atoi(port) : 80))};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in.sin_port};
    struct sockaddr_storage ss;
    memset(&ss, 0, sizeof ss);
    if (address && inet_pton(AF_INET6, address, &in6.sin6_addr) == 1) {
        memcpy(&ss, &in6, sizeof in6);
    } else {
        if (!address || inet_pton(AF_INET, address, &in.sin_addr) != 1)
            in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&ss, &in, sizeof in);
    }
    ask(p, as, (const struct sockaddr *)&ss, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = memmem(data, size, "\n?\n", 3);
    size_t table = end ? (size_t)(end - data) + 1 : size;
    struct seen s = {0, 0, 0, 0};
    char none[] = "";
    struct policy *p = policy_parse("dir/fuzz.ini", (const char *)data, table, finding, &s);
    CHECK((p == NULL) == (s.errors > 0));
    if (!p)
        return 0;
    question(p, none);
    char *text = strndup((const char *)data + table, size - table), *save = NULL;
    CHECK(text);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        question(p, line);
    free(text);
    policy_lint(p, lint, &s);
    policy_free(p);
    return 0;
}
