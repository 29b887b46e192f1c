/* policy_table.h - the table as it lies in memory. For the files of this directory only.
 *
 * Everything hangs on one pool and is immutable once policy_parse returned; the only exception is
 * the intern table, which grows by compare-and-swap.
 */
#ifndef MTLSWRAP_POLICY_TABLE_H
#define MTLSWRAP_POLICY_TABLE_H

#include <stdatomic.h>

#include "policy.h"

enum policy_kind {
    KIND_MESH,
    KIND_MESH_POLICY,
    KIND_POLICY,
    KIND_PEER_AUTHENTICATION,
    KIND_DESTINATION_RULE,
    KIND_SERVICE,
    KIND_WORKLOAD,
    KIND_COUNT
};

enum {
    POLICY_SECTION_MAX = 49, /* inih keeps 49 characters of a section and of a key, 199 of a line */
    POLICY_LINE_MAX = 199,
    POLICY_NAME_MAX = 253, /* RFC 1035 2.3.4, without the trailing dot */
    POLICY_ADDRESS_TEXT = 64,
    POLICY_ADDRESSES_MAX = 64, /* of one service; bounds the index of addresses times ports */
    POLICY_PORTS_MAX = 64,
};

struct policy_chunk;
struct policy_pool {
    struct policy_chunk *head;
    bool failed; /* sticky: an allocation found no memory */
};
/* Zeroed memory, NULL (and failed) when there is none. */
void *policy_pool_alloc(struct policy_pool *pool, size_t size);
char *policy_pool_copy(struct policy_pool *pool, const char *s, size_t len);
/* The strings one behind the other; behind the last one is NULL. */
char *policy_pool_join(struct policy_pool *pool, const char *const *parts);
void policy_pool_reserve(struct policy_pool *pool, size_t size);
void policy_pool_free(struct policy_pool *pool);

struct policy_list {
    const char **items;
    size_t count, room;
};
void policy_list_add(struct policy_pool *pool, struct policy_list *list, const char *item);
bool policy_list_has(const struct policy_list *list, const char *item);

/* Always 16 bytes: IPv4 is kept as ::ffff:a.b.c.d, so that v4-mapped addresses count as IPv4. */
struct policy_address {
    uint8_t byte[16];
    uint8_t bits; /* prefix length, 128 for one address */
};

struct policy_label {
    struct policy_label *next;
    const char *key, *value;
};

enum tls_field {
    TLS_FIELD_MODE,
    TLS_FIELD_SANS,
    TLS_FIELD_SNI,
    TLS_FIELD_CA,
    TLS_FIELD_CERTIFICATE,
    TLS_FIELD_KEY,
    TLS_FIELD_SKIP_VERIFY,
    TLS_FIELD_TLS_IN_TLS,
    TLS_FIELD_COUNT
};

struct policy_tls {
    int line[TLS_FIELD_COUNT]; /* of each key, 0: not given */
    bool present;              /* any tls.* key was given */
    enum tls_mode mode;        /* TLS_UNSET when not present */
    enum tls_in_tls tls_in_tls;
    struct policy_list sans;
    const char *sni, *ca, *certificate, *key;
    bool skip_verify;
};

/* A port-level override: mode for accepting rules, tls for connecting ones. */
struct policy_port {
    struct policy_port *next;
    uint64_t seen;
    int line;
    uint16_t port;
    enum mtls_mode mode;
    struct policy_tls tls;
};

/* What every section has. First member of the kinds below. */
struct policy_object {
    struct policy_object *next;
    enum policy_kind kind;
    unsigned order; /* in the file */
    int line;
    const char *section; /* as written, without brackets */
    const char *ns, *name;
    uint64_t seen; /* keys met, by position in the kind's key table */
    struct policy_port *ports;
    struct policy_label *labels; /* selector, or a workload's own */
};

struct policy_service_port {
    uint16_t port, target;
};

/* MeshPolicy, Policy, PeerAuthentication. */
struct policy_accept {
    struct policy_object o;
    enum mtls_mode mode;
    int mode_line;
    struct policy_list targets;
    struct policy_service_port *target_ports;
    size_t target_port_count;
    struct policy_list principals;
    enum tls_in_tls tls_in_tls;
    bool tls_in_tls_set;
    bool ignored; /* as Istio does; a warning said so */
};

enum host_form { HOST_NAME, HOST_WILDCARD, HOST_ADDRESS };

struct policy_dest {
    struct policy_object o;
    const char *host; /* lower case; a short name completed; a wildcard with its star */
    int host_line;
    enum host_form form;
    struct policy_address address;
    struct policy_tls tls;
    struct policy_list export_to;
};

struct policy_workload;
struct policy_service {
    struct policy_object o;
    struct policy_address *addresses;
    size_t address_count;
    struct policy_service_port *ports;
    size_t port_count;
    const char *account;
    bool external;
    struct policy_list hosts;
    const char *fqdn; /* NAME.NAMESPACE.svc.DOMAIN; external with hosts: the first of them */
    const char *host; /* the first of hosts, else fqdn */
    struct policy_list identities;
    struct policy_workload **workloads;
    size_t workload_count, workload_room;
};

struct policy_workload {
    struct policy_object o;
    struct policy_list services; /* names in the same namespace; by default its own name */
    const char *account;
    struct policy_address *addresses;
    size_t address_count;
    bool outside; /* mesh = false */
    const char *command, *directory;
    struct policy_list environment;
    const char *fqdn;
    const char *effective_account;
};

struct policy_mesh_section {
    struct policy_object o;
    struct policy_mesh mesh;
    const char *cluster_domain, *root_namespace;
};

/* One hash over everything that is looked up; the tag keeps the key spaces apart. */
enum index_tag {
    INDEX_OBJECT,           /* kind+name in a namespace */
    INDEX_HOST_NAME,        /* any name of a service */
    INDEX_DIAL,             /* address+service port -> service */
    INDEX_LISTEN,           /* address+target port -> service */
    INDEX_ADDRESS,          /* address -> service */
    INDEX_WORKLOAD_ADDRESS, /* address -> workload */
    INDEX_POLICY_TARGET,    /* service in a namespace -> Policy */
    INDEX_POLICY_NAMESPACE,
    INDEX_PEER_NAMESPACE,
    INDEX_PEER_LABEL,    /* first label of the selector -> PeerAuthentication */
    INDEX_DEST_NAME,     /* exact host */
    INDEX_DEST_WILDCARD, /* what follows the star */
    INDEX_DEST_ADDRESS,  /* prefix+bits */
};
struct index_entry {
    struct index_entry *next;
    uint32_t hash;
    uint32_t len;
    enum index_tag tag;
    const char *ns, *data;
    void *value;
};
struct policy_index {
    struct index_entry **buckets;
    uint32_t mask;
};

/* A host of an answer and what is derived from it. */
struct policy_interned {
    struct policy_interned *next;
    const char *sni;      /* outbound_.PORT_._.HOST */
    const char *names[1]; /* the host itself, as a list of acceptable names */
    uint32_t hash;
    uint16_t port;
    char host[];
};
typedef struct policy_interned *_Atomic policy_intern_bucket;
enum { INTERN_BUCKETS = 512 };

struct policy {
    struct policy_pool pool;
    const char *file;
    const char *directory; /* what relative file names start from; NULL: leave them */
    struct policy_mesh_section mesh;
    struct policy_object *first[KIND_COUNT], *last[KIND_COUNT];
    size_t count[KIND_COUNT];
    size_t lines; /* that said something: sizes the index */
    struct policy_index index;
    struct policy_accept *mesh_policy, *mesh_peer;
    uint64_t wildcard_lengths[4]; /* a bit per length of what follows the star */
    uint64_t prefix_lengths[3];   /* a bit per CIDR prefix length */
    bool any_peer;
    policy_intern_bucket *_Atomic interned; /* INTERN_BUCKETS of them; NULL until the first answer */
};

/* The reading of one table: where we are and what was found. */
struct policy_finding {
    struct policy_finding *next;
    enum policy_severity severity;
    int line;
    const char *message;
};
struct policy_reading {
    struct policy *p;
    const char *text, *end;
    int line;
    struct policy_object *object; /* NULL: outside a section, or in one that was refused */
    bool outside;                 /* before the first section header */
    struct policy_finding *findings;
    size_t errors;
    char key[POLICY_LINE_MAX + 1];
};
void policy_fail(struct policy_reading *r, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void policy_warn(struct policy_reading *r, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* policy_reader.c */
void policy_reader_run(struct policy_reading *r);
/* policy_keys.c */
const char *policy_kind_name(enum policy_kind kind);
void policy_keys_open(struct policy_reading *r, const char *header);
void policy_keys_set(struct policy_reading *r, const char *key, const char *value);
/* policy_suggest.c */
const char *policy_suggest(const char *found, const char *(*candidate)(const void *, size_t),
                           const void *arg);
/* policy_complete.c */
void policy_complete_names(struct policy_reading *r);
void policy_complete_links(struct policy_reading *r);
/* policy_check.c */
void policy_check_all(struct policy_reading *r);
/* policy_index.c */
uint32_t policy_hash(uint32_t seed, const void *data, size_t len);
void policy_index_build(struct policy *p);
const struct index_entry *policy_index_find(const struct policy *p, enum index_tag tag, const char *ns,
                                            const void *data, size_t len);
const struct index_entry *policy_index_next(const struct index_entry *e);
void *policy_index_get(const struct policy *p, enum index_tag tag, const char *ns, const char *name);
size_t policy_index_address_key(const struct policy_address *a, uint16_t port, uint8_t out[19]);
struct policy_service *policy_index_service(const struct policy *p, const char *ns, const char *name);
struct policy_workload *policy_index_workload(const struct policy *p, const char *ns, const char *name);
/* policy_intern.c */
const struct policy_interned *policy_intern(const struct policy *p, const char *host, uint16_t port);
void policy_intern_free(struct policy *p);

/* policy_values.c: each says in *expected what would have been right. */
enum policy_value {
    VALUE_NAME,
    VALUE_NAMESPACE,
    VALUE_DOMAIN,
    VALUE_STRING,
    VALUE_PATH,
    VALUE_BOOL,
    VALUE_DURATION,
    VALUE_MTLS_MODE,
    VALUE_MTLS_MODE_OR_UNSET,
    VALUE_TLS_MODE,
    VALUE_TLS_IN_TLS,
    VALUE_ON_CHANGE,
    VALUE_NAMES,
    VALUE_STRINGS,
    VALUE_SANS,
    VALUE_PRINCIPALS,
    VALUE_HOST,
    VALUE_HOSTS,
    VALUE_EXPORT_TO,
    VALUE_ADDRESSES,
    VALUE_SERVICE_PORTS,
    VALUE_PORTS,
    VALUE_LABEL,
    VALUE_LABELS,
    VALUE_PORT_NUMBER,
    VALUE_ENVIRONMENT,
    VALUE_NO_EFFECT,
    VALUE_REFUSED,
};
/* How many characters stand before the first `stop` or the end. (strcspn is a page of libc and one of its
 * tables, at every start of a wrapped program.) */
size_t policy_value_until(const char *s, char stop);
bool policy_value_name(const char *s, size_t len, bool dots);
bool policy_value_address(const char *s, bool cidr, struct policy_address *out);
bool policy_value_port(const char *s, size_t len, uint16_t *out);
bool policy_value_duration(const char *s, unsigned *ms);
bool policy_value_host(const char *s, bool wildcard);
struct policy_choice {
    const char *name;
    int value;
};
const struct policy_choice *policy_value_choices(enum policy_value type);
bool policy_address_of(const struct sockaddr *sa, struct policy_address *out, uint16_t *port);
bool policy_address_contains(const struct policy_address *net, const struct policy_address *one);
void policy_address_mask(struct policy_address *a, unsigned bits);
void policy_address_text(const struct policy_address *a, char out[POLICY_ADDRESS_TEXT]);
void policy_address_sockaddr(const struct policy_address *a, struct sockaddr_storage *out);
bool policy_address_is_v4(const struct policy_address *a);

/* policy_accept.c: what an accepting side is, once its address or name is understood. */
struct policy_target {
    const char *ns;
    const char *name;                       /* implicit workload and service name, or NULL */
    const struct policy_workload *workload; /* or NULL */
    const struct policy_service *service;   /* or NULL */
    uint16_t port;
};
/* Every accepting rule that had a say, so that explain can tell why each lost. */
struct policy_accepted {
    const struct policy_accept *winner;               /* gave the mode; NULL: nothing did */
    const struct policy_accept *mesh, *ns, *workload; /* PeerAuthentication by scope */
    const struct policy_accept *principals, *tls_in_tls;
    const struct policy_port *port; /* the port-level entry that decided */
    enum mtls_mode mode;
    bool peer; /* the newer API applied */
};
void policy_target_find(const struct policy *p, const struct policy_self *self, const struct sockaddr *local,
                        struct policy_target *out);
void policy_target_of(const struct policy_workload *w, uint16_t port, struct policy_target *out);
void policy_accept_decide(const struct policy *p, const struct policy_target *t, struct policy_accepted *out);
bool policy_selector_matches(const struct policy_accept *a, const struct policy_target *t);
bool policy_targets_match(const struct policy *p, const struct policy_accept *a,
                          const struct policy_target *t);
size_t policy_target_services(const struct policy_target *t, size_t i, const char **name);

/* policy_query.c */
struct policy_query {
    const char *own_ns, *service_ns;
    const struct policy_service *service;
    struct policy_address address;
    bool has_address;
    uint16_t port;
    char raw[POLICY_NAME_MAX + 1];      /* what the program resolved, normalised; empty: none */
    char complete[2 * POLICY_NAME_MAX]; /* raw as a full name; empty: none */
    char name_ns[POLICY_NAME_MAX + 1];  /* the namespace that a full name holds */
};
struct policy_match {
    const struct policy_dest *dest;
    const char *host; /* the name by which it matched; NULL: by address */
};
void policy_query_init(const struct policy *p, const struct policy_self *self, const struct sockaddr *dest,
                       const char *name, struct policy_query *q);
struct policy_match policy_query_match(const struct policy *p, const struct policy_query *q);
const struct policy_tls *policy_query_tls(const struct policy_query *q, const struct policy_dest *d);
bool policy_query_host_matches(const struct policy_query *q, const struct policy_dest *d);
bool policy_dest_visible(const struct policy_dest *d, const char *ns);
void policy_query_normalise(const char *name, char out[POLICY_NAME_MAX + 1]);
const struct policy_service *policy_query_complete(const struct policy *p, const char *ns, const char *raw,
                                                   char *out, size_t size);
const struct policy_service *policy_query_service(const struct policy *p, const struct policy_query *q);
/* policy_outbound.c */
void policy_outbound_fill(const struct policy *p, const struct policy_query *q, const struct policy_match *m,
                          struct policy_outbound *out);
bool policy_query_automatic(const struct policy *p, const struct policy_query *q);
/* policy_names.c */
uint16_t policy_service_target(const struct policy_service *s, uint16_t port);

static inline struct policy_rule policy_rule_of(const struct policy *p, const struct policy_object *o,
                                                const char *otherwise) {
    return (struct policy_rule){p->file, o ? o->line : 0, o ? o->section : otherwise};
}

#endif
