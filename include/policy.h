/* policy.h - the policy table: INI text in, decisions out.
 *
 * Pure: reads the files it is given and nothing else; opens no socket, keeps no
 * global state. A loaded table is immutable, so any number of threads may query it
 * without a lock. Strings in answers belong to the table and live as long as it does.
 */
#ifndef MTLSWRAP_POLICY_H
#define MTLSWRAP_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define must_check __attribute__((warn_unused_result))

/* What an accepting side demands (Istio: PeerAuthentication.MutualTLS.Mode). */
enum mtls_mode { MTLS_UNSET, MTLS_DISABLE, MTLS_PERMISSIVE, MTLS_STRICT };

/* What a connecting side does (Istio: ClientTLSSettings.TLSmode, and our PERMISSIVE). */
enum tls_mode { TLS_UNSET, TLS_DISABLE, TLS_SIMPLE, TLS_MUTUAL, TLS_ISTIO_MUTUAL, TLS_PERMISSIVE };

/* What to do with a connection whose first application bytes are a ClientHello. */
enum tls_in_tls { TLS_IN_TLS_WRAP, TLS_IN_TLS_SKIP };

enum policy_severity { POLICY_ERROR, POLICY_WARNING };

/* One finding about a table. line is 1-based, 0 when the file as a whole is meant.
 * message says what was found and what was expected, without file and line. */
typedef void policy_report_fn(void *arg, enum policy_severity severity, const char *file, int line,
                              const char *message);

struct policy;

/* Reads and checks a whole table. Every finding goes to report (which may be NULL).
 * Returns NULL when there was at least one error, or the file cannot be read. Relative file
 * names in the table are relative to the table's directory. */
must_check struct policy *policy_load(const char *path, policy_report_fn *report, void *arg);

/* The same for text in memory; name stands for the file in findings and rules. */
must_check struct policy *policy_parse(const char *name, const char *text, size_t len,
                                       policy_report_fn *report, void *arg);
void policy_free(struct policy *p);

/* The rule that decided. line is 0 and section is a plain phrase ("no rule") when none did. */
struct policy_rule {
    const char *file;
    int line;
    const char *section; /* "Policy test1/httpbin", without brackets */
};

/* [Mesh], with defaults filled in. Times are milliseconds. */
struct policy_mesh {
    const char *trust_domain;      /* "cluster.local" */
    const char *certificates;      /* absolute or as given relative to the table; NULL: none */
    const char *namespace_;        /* the default namespace, "default" */
    unsigned linger_ms;            /* linger, 5 s */
    unsigned handshake_timeout_ms; /* handshake_timeout, 10 s */
    unsigned permissive_wait_ms;   /* permissive_wait, 100 ms */
    bool close_on_change;          /* onPolicyChange = close */
};
const struct policy_mesh *policy_mesh(const struct policy *p);

/* Which workload a process is. Resolved once from MTLSWRAP_WORKLOAD; NULL name: none. */
struct policy_self {
    const char *namespace_;
    const char *name;    /* may be NULL */
    const char *account; /* service account: from [Workload] or [Service], else name, else "default" */
};
/* workload is "NAMESPACE/NAME" or "NAME" or NULL: is it well-formed? */
must_check bool policy_self_named(const char *workload);
/* Returns false on a malformed one. */
must_check bool policy_self(const struct policy *p, const char *workload, struct policy_self *out);

/* Decision for one accepted (or listening) connection. */
struct policy_inbound {
    enum mtls_mode mode; /* never MTLS_UNSET */
    enum tls_in_tls tls_in_tls;
    const char *const *principals; /* "DOMAIN/ns/NS/sa/SA", may hold * as prefix or suffix; NULL: any */
    size_t principal_count;
    struct policy_rule rule;
};
/* local is the accepting side's own address and port (sockaddr_in or sockaddr_in6). */
void policy_inbound(const struct policy *p, const struct policy_self *self, const struct sockaddr *local,
                    struct policy_inbound *out);

/* True when the principal (a "DOMAIN/ns/NS/sa/SA" or a "spiffe://..." URI) may connect. */
must_check bool policy_principal_allowed(const struct policy_inbound *in, const char *principal);

/* Decision for one connection to be made. */
struct policy_outbound {
    enum tls_mode mode; /* never TLS_UNSET */
    enum tls_in_tls tls_in_tls;
    const char *host;                     /* the FQDN that matched, or NULL (then the address) */
    const char *sni;                      /* what to send; NULL: none */
    const char *const *subject_alt_names; /* acceptable names or SPIFFE URIs; NULL: see any_of_trust_domain */
    size_t subject_alt_name_count;
    bool any_of_trust_domain;       /* ISTIO_MUTUAL towards an unknown account: any identity of the domain */
    const char *ca_certificates;    /* SIMPLE, MUTUAL; NULL: system roots */
    const char *client_certificate; /* MUTUAL */
    const char *private_key;        /* MUTUAL */
    bool insecure_skip_verify;
    struct policy_rule rule;
};
/* dest is where the program connects; name is what it resolved to get there, or NULL. */
void policy_outbound(const struct policy *p, const struct policy_self *self, const struct sockaddr *dest,
                     const char *name, struct policy_outbound *out);

/* Name service over the Service and Workload tables. ns is the asking namespace.
 * Fills at most max addresses (port 0). Returns how many there are, 0 for an unknown name. */
size_t policy_resolve(const struct policy *p, const char *ns, const char *name, struct sockaddr_storage *out,
                      size_t max);
/* The FQDN that lives at an address (the port is ignored), or NULL. */
const char *policy_reverse(const struct policy *p, const struct sockaddr *addr);
/* The workload's own address of that family (what a wildcard bind becomes and what outgoing
 * connections come from). Returns false when the table gives none. */
must_check bool policy_own_address(const struct policy *p, const struct policy_self *self, int family,
                                   struct sockaddr_storage *out);
/* Service port -> target port on the workload (PORT:TARGETPORT), or port itself. */
uint16_t policy_target_port(const struct policy *p, const struct sockaddr *service_addr);

/* Why a decision is what it is: every rule that could have spoken, in the order of the file, and what
 * became of it. The decision in out is the very one that policy_inbound or policy_outbound gives. */
struct policy_step {
    struct policy_rule rule; /* line 0: no rule of the table, section is a phrase */
    bool decided;
    const char *reason; /* plain words; valid during the call only */
};
typedef void policy_step_fn(void *arg, const struct policy_step *step);
void policy_explain_inbound(const struct policy *p, const struct policy_self *self,
                            const struct sockaddr *local, policy_step_fn *step, void *arg,
                            struct policy_inbound *out);
void policy_explain_outbound(const struct policy *p, const struct policy_self *self,
                             const struct sockaddr *dest, const char *name, policy_step_fn *step, void *arg,
                             struct policy_outbound *out);

/* What is allowed but probably not meant: rules that can never match, a STRICT server with a DISABLE
 * client rule, PERMISSIVE left on, services without rule or account. All are warnings. */
void policy_lint(const struct policy *p, policy_report_fn *report, void *arg);

/* The tables of services and workloads, in the order of the file. */
struct policy_service_info {
    const char *namespace_, *name;
    const char *host; /* the FQDN, or the first of hosts */
    const char *account;
    bool external;
    size_t address_count, port_count;
    struct policy_rule where;
};
struct policy_workload_info {
    const char *namespace_, *name;
    const char *account;
    bool in_mesh;
    const char *command;            /* NULL: nothing to start */
    const char *directory;          /* NULL: stay */
    const char *const *environment; /* VARIABLE=VALUE */
    size_t environment_count;
    const char *const *services; /* in the same namespace */
    size_t service_count;
    struct policy_rule where;
};
size_t policy_service_count(const struct policy *p);
must_check bool policy_service_at(const struct policy *p, size_t i, struct policy_service_info *out);
/* The i-th service's addresses and ports: port is the service's, *target the workload's. */
must_check bool policy_service_address(const struct policy *p, size_t i, size_t j,
                                       struct sockaddr_storage *out);
must_check bool policy_service_port(const struct policy *p, size_t i, size_t j, uint16_t *port,
                                    uint16_t *target);
size_t policy_workload_count(const struct policy *p);
must_check bool policy_workload_at(const struct policy *p, size_t i, struct policy_workload_info *out);

#endif
