/* explain_print.c - prints decisions; makes none. */
#include "explain_print.h"

#include "json.h"

const char *explain_print_tls(enum tls_mode mode) {
    static const char *const names[] = {
        [TLS_UNSET] = "UNSET",   [TLS_DISABLE] = "DISABLE",           [TLS_SIMPLE] = "SIMPLE",
        [TLS_MUTUAL] = "MUTUAL", [TLS_ISTIO_MUTUAL] = "ISTIO_MUTUAL", [TLS_PERMISSIVE] = "PERMISSIVE",
    };
    return names[mode];
}

const char *explain_print_mtls(enum mtls_mode mode) {
    static const char *const names[] = {
        [MTLS_UNSET] = "UNSET",
        [MTLS_DISABLE] = "DISABLE",
        [MTLS_PERMISSIVE] = "PERMISSIVE",
        [MTLS_STRICT] = "STRICT",
    };
    return names[mode];
}

static void put_rule(FILE *out, const struct policy_rule *r) {
    if (r->line > 0)
        fprintf(out, "%s:%d [%s]", r->file, r->line, r->section);
    else
        fputs(r->section, out);
}

static void put_rule_json(FILE *out, const struct policy_rule *r) {
    fputs("\"file\": ", out);
    json_string(out, r->line > 0 ? r->file : NULL);
    fprintf(out, ", \"line\": %d, \"section\": ", r->line);
    json_string(out, r->section);
}

void explain_print_step(void *arg, const struct policy_step *step) {
    struct explain_steps *s = arg;
    if (s->json) {
        fprintf(s->text, "%s\n  {", s->count ? "," : "");
        put_rule_json(s->text, &step->rule);
        fprintf(s->text, ", \"decided\": %s, \"reason\": ", step->decided ? "true" : "false");
        json_string(s->text, step->reason);
        fputc('}', s->text);
    } else {
        fprintf(s->text, "  %c ", step->decided ? '*' : '-');
        put_rule(s->text, &step->rule);
        fprintf(s->text, ": %s\n", step->reason);
    }
    s->count++;
}

static void field_json(const char *name, const char *value) {
    printf(",\n \"%s\": ", name);
    json_string(stdout, value);
}

static void list_json(const char *name, const char *const *items, size_t n) {
    printf(",\n \"%s\": [", name);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", " : "", stdout);
        json_string(stdout, items[i]);
    }
    putchar(']');
}

static void begin_json(const char *side, const struct explain_question *q, const char *mode,
                       const struct policy_rule *rule) {
    printf("{\"side\": \"%s\"", side);
    field_json("workload", q->workload);
    field_json("account", q->account);
    field_json("target", q->target);
    field_json("mode", mode);
    fputs(",\n \"rule\": {", stdout);
    put_rule_json(stdout, rule);
    putchar('}');
}

static void end_json(const char *considered) {
    printf(",\n \"considered\": [%s]}\n", considered);
}

static void begin_words(const char *mode, const struct policy_rule *rule) {
    printf("decision: %s, by ", mode);
    put_rule(stdout, rule);
    putchar('\n');
}

static void end_words(const char *considered) {
    if (*considered)
        printf("considered (* decided):\n%s", considered);
}

static void put_peer(const struct policy_outbound *out) {
    if (out->mode == TLS_DISABLE)
        return;
    if (out->insecure_skip_verify)
        puts("the server's certificate is not checked");
    else if (out->any_of_trust_domain)
        puts("the server may be any identity of the trust domain");
    for (size_t i = 0; !out->insecure_skip_verify && i < out->subject_alt_name_count; i++)
        printf("the server %s %s\n", i ? "or" : "must be", out->subject_alt_names[i]);
    if (out->sni)
        printf("server name sent: %s\n", out->sni);
    if (out->ca_certificates)
        printf("trusted roots: %s\n", out->ca_certificates);
    if (out->client_certificate)
        printf("own certificate: %s, key %s\n", out->client_certificate, out->private_key);
}

void explain_print_outbound(const struct explain_question *q, const struct policy_outbound *out,
                            const char *considered, bool json) {
    const char *mode = explain_print_tls(out->mode);
    if (!json) {
        printf("connecting: %s (account %s) to %s%s%s%s\n", q->workload, q->account, q->target,
               out->host ? " (" : "", out->host ? out->host : "", out->host ? ")" : "");
        begin_words(mode, &out->rule);
        put_peer(out);
        if (out->tls_in_tls == TLS_IN_TLS_SKIP)
            puts("a connection that begins with a ClientHello is left alone");
        end_words(considered);
        return;
    }
    begin_json("connecting", q, mode, &out->rule);
    field_json("host", out->host);
    field_json("sni", out->sni);
    list_json("subjectAltNames", out->subject_alt_names, out->subject_alt_name_count);
    printf(",\n \"anyOfTrustDomain\": %s", out->any_of_trust_domain ? "true" : "false");
    printf(",\n \"insecureSkipVerify\": %s", out->insecure_skip_verify ? "true" : "false");
    field_json("caCertificates", out->ca_certificates);
    field_json("clientCertificate", out->client_certificate);
    field_json("privateKey", out->private_key);
    field_json("tlsInTls", out->tls_in_tls == TLS_IN_TLS_SKIP ? "skip" : "wrap");
    end_json(considered);
}

static void put_from(const struct explain_question *q) {
    if (!q->from)
        return;
    printf("from %s (%s): %s\n", q->from, q->principal, q->verdict);
    if (q->from_mode)
        printf("its own rules there: %s\n", q->from_mode);
}

void explain_print_inbound(const struct explain_question *q, const struct policy_inbound *in,
                           const char *considered, bool json) {
    const char *mode = explain_print_mtls(in->mode);
    if (!json) {
        printf("accepting: %s (account %s) on %s\n", q->workload, q->account, q->target);
        begin_words(mode, &in->rule);
        for (size_t i = 0; i < in->principal_count; i++)
            printf("%s %s\n", i ? "  or" : "callers must be", in->principals[i]);
        put_from(q);
        end_words(considered);
        return;
    }
    begin_json("accepting", q, mode, &in->rule);
    list_json("principals", in->principals, in->principal_count);
    field_json("tlsInTls", in->tls_in_tls == TLS_IN_TLS_SKIP ? "skip" : "wrap");
    field_json("from", q->from);
    if (q->from) {
        field_json("principal", q->principal);
        printf(",\n \"allowed\": %s", q->from_allowed ? "true" : "false");
        field_json("fromMode", q->from_mode);
        field_json("verdict", q->verdict);
    }
    end_json(considered);
}
