/* explain_print.h - a decision in words or as JSON. Between explain.c and explain_print.c. */
#ifndef MTLSWRAP_EXPLAIN_PRINT_H
#define MTLSWRAP_EXPLAIN_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "policy.h"

/* Collects the rules that were considered while the decision is made, because they come first. */
struct explain_steps {
    bool json;
    unsigned count;
    FILE *text; /* a memory stream */
};
void explain_print_step(void *arg, const struct policy_step *step);

/* Who calls whom; target and from may be NULL. */
struct explain_question {
    const char *workload, *account, *target;
    const char *from, *principal; /* accepting side: --from, and what its certificate says */
    bool from_allowed;
    const char *from_mode; /* how it would call, where that is known */
    const char *verdict;   /* plain words about --from */
};
void explain_print_outbound(const struct explain_question *q, const struct policy_outbound *out,
                            const char *considered, bool json);
void explain_print_inbound(const struct explain_question *q, const struct policy_inbound *in,
                           const char *considered, bool json);

const char *explain_print_tls(enum tls_mode mode);
const char *explain_print_mtls(enum mtls_mode mode);

#endif
