/* policy_keys.c - which sections and keys there are, and where a key's value goes.
 *
 * Tables first: a new key is one line in them. What a value may look like is policy_values.c, how it
 * is stored policy_store.c, whether keys fit together policy_check.c.
 */
#include "policy_keys.h"

#include <stdlib.h>
#include <string.h>

#define AT(type, field) offsetof(struct type, field)

static const struct policy_key mesh_keys[] = {
    {"trustDomain", VALUE_DOMAIN, AT(policy_mesh_section, mesh.trust_domain), 0, BASE_OBJECT},
    {"certificates", VALUE_PATH, AT(policy_mesh_section, mesh.certificates), 0, BASE_OBJECT},
    {"namespace", VALUE_NAMESPACE, AT(policy_mesh_section, mesh.namespace_), 0, BASE_OBJECT},
    {"rootNamespace", VALUE_NAMESPACE, AT(policy_mesh_section, root_namespace), 0, BASE_OBJECT},
    {"clusterDomain", VALUE_DOMAIN, AT(policy_mesh_section, cluster_domain), 0, BASE_OBJECT},
    {"linger", VALUE_DURATION, AT(policy_mesh_section, mesh.linger_ms), 0, BASE_OBJECT},
    {"handshake_timeout", VALUE_DURATION, AT(policy_mesh_section, mesh.handshake_timeout_ms), 0, BASE_OBJECT},
    {"permissive_wait", VALUE_DURATION, AT(policy_mesh_section, mesh.permissive_wait_ms), 0, BASE_OBJECT},
    {"onPolicyChange", VALUE_ON_CHANGE, AT(policy_mesh_section, mesh.close_on_change), 0, BASE_OBJECT},
    {"", VALUE_STRING, 0, 0, BASE_OBJECT},
};

static const struct policy_key mesh_policy_keys[] = {
    {"mtls.mode", VALUE_MTLS_MODE, AT(policy_accept, mode), 0, BASE_OBJECT},
    {"mtls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_accept, tls_in_tls), 0, BASE_OBJECT},
    {"tls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_accept, tls_in_tls), 0, BASE_OBJECT},
    {"principals", VALUE_PRINCIPALS, AT(policy_accept, principals), KEY_REPEATS, BASE_OBJECT},
    {"portLevelMtls.#.mode", VALUE_MTLS_MODE, AT(policy_port, mode), 0, BASE_PORT},
    {"metadata.name", VALUE_NAME, AT(policy_object, name), 0, BASE_OBJECT},
    {"", VALUE_STRING, 0, 0, BASE_OBJECT},
};

static const struct policy_key policy_keys[] = {
    {"mtls.mode", VALUE_MTLS_MODE, AT(policy_accept, mode), 0, BASE_OBJECT},
    {"targets", VALUE_NAMES, AT(policy_accept, targets), KEY_REPEATS, BASE_OBJECT},
    {"targets.ports", VALUE_PORTS, AT(policy_accept, target_ports), KEY_REPEATS, BASE_OBJECT},
    {"mtls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_accept, tls_in_tls), 0, BASE_OBJECT},
    {"tls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_accept, tls_in_tls), 0, BASE_OBJECT},
    {"principals", VALUE_PRINCIPALS, AT(policy_accept, principals), KEY_REPEATS, BASE_OBJECT},
    {"portLevelMtls.#.mode", VALUE_MTLS_MODE, AT(policy_port, mode), 0, BASE_PORT},
    {"metadata.name", VALUE_NAME, AT(policy_object, name), 0, BASE_OBJECT},
    {"metadata.namespace", VALUE_NAMESPACE, AT(policy_object, ns), 0, BASE_OBJECT},
    {"", VALUE_STRING, 0, 0, BASE_OBJECT},
};

static const struct policy_key peer_keys[] = {
    {"mtls.mode", VALUE_MTLS_MODE_OR_UNSET, AT(policy_accept, mode), 0, BASE_OBJECT},
    {"selector.matchLabels", VALUE_LABELS, AT(policy_object, labels), KEY_REPEATS, BASE_OBJECT},
    {"selector.matchLabels.*", VALUE_LABEL, AT(policy_object, labels), KEY_REPEATS, BASE_OBJECT},
    {"mtls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_accept, tls_in_tls), 0, BASE_OBJECT},
    {"tls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_accept, tls_in_tls), 0, BASE_OBJECT},
    {"principals", VALUE_PRINCIPALS, AT(policy_accept, principals), KEY_REPEATS, BASE_OBJECT},
    {"portLevelMtls.#.mode", VALUE_MTLS_MODE_OR_UNSET, AT(policy_port, mode), 0, BASE_PORT},
    {"metadata.name", VALUE_NAME, AT(policy_object, name), 0, BASE_OBJECT},
    {"metadata.namespace", VALUE_NAMESPACE, AT(policy_object, ns), 0, BASE_OBJECT},
    {"", VALUE_STRING, 0, 0, BASE_OBJECT},
};

static const struct policy_key dest_keys[] = {
    {"host", VALUE_HOST, AT(policy_dest, host), 0, BASE_OBJECT},
    {"tls.mode", VALUE_TLS_MODE, AT(policy_tls, mode), 0, BASE_TLS},
    {"tls.subjectAltNames", VALUE_SANS, AT(policy_tls, sans), KEY_REPEATS, BASE_TLS},
    {"tls.sni", VALUE_DOMAIN, AT(policy_tls, sni), 0, BASE_TLS},
    {"tls.caCertificates", VALUE_PATH, AT(policy_tls, ca), 0, BASE_TLS},
    {"tls.clientCertificate", VALUE_PATH, AT(policy_tls, certificate), 0, BASE_TLS},
    {"tls.privateKey", VALUE_PATH, AT(policy_tls, key), 0, BASE_TLS},
    {"tls.insecureSkipVerify", VALUE_BOOL, AT(policy_tls, skip_verify), 0, BASE_TLS},
    {"tls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_tls, tls_in_tls), 0, BASE_TLS},
    {"tls.credentialName", VALUE_REFUSED, 0, 0, BASE_OBJECT},
    {"portLevelSettings.#.tls.mode", VALUE_TLS_MODE, AT(policy_tls, mode), 0, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.subjectAltNames", VALUE_SANS, AT(policy_tls, sans), KEY_REPEATS, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.sni", VALUE_DOMAIN, AT(policy_tls, sni), 0, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.caCertificates", VALUE_PATH, AT(policy_tls, ca), 0, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.clientCertificate", VALUE_PATH, AT(policy_tls, certificate), 0, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.privateKey", VALUE_PATH, AT(policy_tls, key), 0, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.insecureSkipVerify", VALUE_BOOL, AT(policy_tls, skip_verify), 0, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.tlsInTls", VALUE_TLS_IN_TLS, AT(policy_tls, tls_in_tls), 0, BASE_PORT_TLS},
    {"portLevelSettings.#.tls.credentialName", VALUE_REFUSED, 0, 0, BASE_PORT},
    {"portLevelSettings.#.port.number", VALUE_PORT_NUMBER, 0, 0, BASE_PORT},
    {"exportTo", VALUE_EXPORT_TO, AT(policy_dest, export_to), KEY_REPEATS, BASE_OBJECT},
    {"subsets", VALUE_NO_EFFECT, 0, KEY_REPEATS, BASE_OBJECT},
    {"subsets.*", VALUE_NO_EFFECT, 0, KEY_REPEATS, BASE_OBJECT},
    {"loadBalancer.*", VALUE_NO_EFFECT, 0, KEY_REPEATS, BASE_OBJECT},
    {"connectionPool.*", VALUE_NO_EFFECT, 0, KEY_REPEATS, BASE_OBJECT},
    {"outlierDetection.*", VALUE_NO_EFFECT, 0, KEY_REPEATS, BASE_OBJECT},
    {"metadata.name", VALUE_NAME, AT(policy_object, name), 0, BASE_OBJECT},
    {"metadata.namespace", VALUE_NAMESPACE, AT(policy_object, ns), 0, BASE_OBJECT},
    {"", VALUE_STRING, 0, 0, BASE_OBJECT},
};

static const struct policy_key service_keys[] = {
    {"address", VALUE_ADDRESSES, AT(policy_service, addresses), KEY_REPEATS, BASE_OBJECT},
    {"addresses", VALUE_ADDRESSES, AT(policy_service, addresses), KEY_REPEATS, BASE_OBJECT},
    {"ports", VALUE_SERVICE_PORTS, AT(policy_service, ports), KEY_REPEATS, BASE_OBJECT},
    {"serviceAccount", VALUE_NAME, AT(policy_service, account), 0, BASE_OBJECT},
    {"external", VALUE_BOOL, AT(policy_service, external), 0, BASE_OBJECT},
    {"hosts", VALUE_HOSTS, AT(policy_service, hosts), KEY_REPEATS, BASE_OBJECT},
    {"metadata.name", VALUE_NAME, AT(policy_object, name), 0, BASE_OBJECT},
    {"metadata.namespace", VALUE_NAMESPACE, AT(policy_object, ns), 0, BASE_OBJECT},
    {"", VALUE_STRING, 0, 0, BASE_OBJECT},
};

static const struct policy_key workload_keys[] = {
    {"services", VALUE_NAMES, AT(policy_workload, services), KEY_REPEATS, BASE_OBJECT},
    {"serviceAccount", VALUE_NAME, AT(policy_workload, account), 0, BASE_OBJECT},
    {"labels", VALUE_LABELS, AT(policy_object, labels), KEY_REPEATS, BASE_OBJECT},
    {"labels.*", VALUE_LABEL, AT(policy_object, labels), KEY_REPEATS, BASE_OBJECT},
    {"address", VALUE_ADDRESSES, AT(policy_workload, addresses), KEY_REPEATS, BASE_OBJECT},
    {"addresses", VALUE_ADDRESSES, AT(policy_workload, addresses), KEY_REPEATS, BASE_OBJECT},
    {"mesh", VALUE_BOOL, AT(policy_workload, outside), KEY_NEGATED, BASE_OBJECT},
    {"command", VALUE_STRING, AT(policy_workload, command), 0, BASE_OBJECT},
    {"directory", VALUE_PATH, AT(policy_workload, directory), 0, BASE_OBJECT},
    {"environment", VALUE_ENVIRONMENT, AT(policy_workload, environment), KEY_REPEATS, BASE_OBJECT},
    {"metadata.name", VALUE_NAME, AT(policy_object, name), 0, BASE_OBJECT},
    {"metadata.namespace", VALUE_NAMESPACE, AT(policy_object, ns), 0, BASE_OBJECT},
    {"", VALUE_STRING, 0, 0, BASE_OBJECT},
};

static const struct {
    const char *name;
    const struct policy_key *keys;
    size_t size;
} kinds[KIND_COUNT] = {
    [KIND_MESH] = {"Mesh", mesh_keys, 0},
    [KIND_MESH_POLICY] = {"MeshPolicy", mesh_policy_keys, sizeof(struct policy_accept)},
    [KIND_POLICY] = {"Policy", policy_keys, sizeof(struct policy_accept)},
    [KIND_PEER_AUTHENTICATION] = {"PeerAuthentication", peer_keys, sizeof(struct policy_accept)},
    [KIND_DESTINATION_RULE] = {"DestinationRule", dest_keys, sizeof(struct policy_dest)},
    [KIND_SERVICE] = {"Service", service_keys, sizeof(struct policy_service)},
    [KIND_WORKLOAD] = {"Workload", workload_keys, sizeof(struct policy_workload)},
};

const char *policy_kind_name(enum policy_kind kind) {
    return kinds[kind].name;
}

static const char *kind_candidate(const void *arg, size_t i) {
    (void)arg;
    return i < KIND_COUNT ? kinds[i].name : NULL;
}

static const char *key_candidate(const void *arg, size_t i) {
    const struct policy_key *keys = arg;
    return keys[i].pattern[0] ? keys[i].pattern : NULL;
}

static enum policy_kind find_kind(struct policy_reading *r, const char *word) {
    int i = 0;
    while (i < KIND_COUNT && strcmp(kinds[i].name, word) != 0)
        i++;
    if (i == KIND_COUNT) {
        const char *near = policy_suggest(word, kind_candidate, NULL);
        policy_fail(r, r->line,
                    "unknown section kind '%s', expected Mesh, MeshPolicy, Policy, PeerAuthentication, "
                    "DestinationRule, "
                    "Service or Workload%s%s%s",
                    word, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return (enum policy_kind)i;
}

/* "NAMESPACE/NAME" or "NAME" behind the kind. */
static bool take_name(struct policy_reading *r, struct policy_object *o, char *text) {
    char *slash = strchr(text, '/');
    const char *name = slash ? slash + 1 : text;
    if (slash)
        *slash = '\0';
    bool ns_ok = !slash || policy_value_name(text, strlen(text), false);
    if (o->kind == KIND_MESH || (o->kind == KIND_MESH_POLICY && slash)) {
        policy_fail(r, r->line, "found a %s in [%s], expected [%s]", slash ? "namespace" : "name", o->section,
                    o->kind == KIND_MESH ? "Mesh" : "MeshPolicy default");
        return false;
    }
    if (!ns_ok || !policy_value_name(name, strlen(name), true)) {
        policy_fail(
            r, r->line,
            "found '%s' in [%s], expected NAMESPACE/NAME or NAME of lower-case letters, digits, '-' and '.'",
            ns_ok ? name : text, o->section);
        return false;
    }
    o->ns = slash ? policy_pool_copy(&r->p->pool, text, strlen(text)) : NULL;
    o->name = policy_pool_copy(&r->p->pool, name, strlen(name));
    return true;
}

static struct policy_object *new_object(struct policy_reading *r, enum policy_kind kind) {
    struct policy *p = r->p;
    struct policy_object *o;
    if (kind == KIND_MESH) {
        o = &p->mesh.o;
        if (o->line) {
            policy_fail(r, r->line, "found a second [Mesh], expected one only (the first is on line %d)",
                        o->line);
            return NULL;
        }
    } else {
        o = policy_pool_alloc(&p->pool, kinds[kind].size);
        if (!o)
            return NULL;
    }
    o->kind = kind;
    o->line = r->line;
    o->order = (unsigned)r->line;
    return o;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

void policy_keys_open(struct policy_reading *r, const char *header) {
    char text[POLICY_SECTION_MAX + 1];
    while (is_blank(*header))
        header++;
    size_t len = strlen(header), word = 0;
    memcpy(text, header, len + 1);
    while (len && is_blank(text[len - 1]))
        text[--len] = '\0';
    while (text[word] && !is_blank(text[word]))
        word++;
    char *rest = text + word;
    while (is_blank(*rest))
        rest++;
    const char *section = policy_pool_copy(&r->p->pool, text, len);
    text[word] = '\0';
    enum policy_kind kind = find_kind(r, text);
    struct policy_object *o = kind < KIND_COUNT ? new_object(r, kind) : NULL;
    if (!o || !section)
        return;
    o->section = section;
    if (*rest && !take_name(r, o, rest))
        return;
    r->object = o;
    if (r->p->last[kind])
        r->p->last[kind]->next = o;
    else
        r->p->first[kind] = o;
    r->p->last[kind] = o;
    r->p->count[kind]++;
}

/* "#" stands for a port number, a "*" at the end for anything. */
static bool pattern_fits(const char *pattern, const char *key, const char **port, const char **rest) {
    while (*pattern && *pattern != '*') {
        if (*pattern == '#') {
            *port = key;
            size_t digits = policy_value_until(key, '.');
            if (digits == 0)
                return false;
            key += digits;
            pattern++;
        } else if (*pattern++ != *key++) {
            return false;
        }
    }
    *rest = key;
    return *pattern == '*' ? *key != '\0' : *key == '\0';
}

/* The suggestion carries the user's own port number instead of the table's "#". */
static void unknown_key(struct policy_reading *r, const char *key) {
    const struct policy_key *keys = kinds[r->object->kind].keys;
    char folded[POLICY_LINE_MAX + 1], number[8] = "PORT";
    size_t n = 0;
    for (const char *s = key; *s && n + 1 < sizeof folded;) {
        size_t digits = strspn(s, "0123456789");
        if (digits && digits < sizeof number && s > key && s[-1] == '.' && (s[digits] == '.' || !s[digits])) {
            memcpy(number, s, digits);
            number[digits] = '\0';
            folded[n++] = '#';
            s += digits;
        } else {
            folded[n++] = *s++;
        }
    }
    folded[n] = '\0';
    const char *near = policy_suggest(folded, key_candidate, keys);
    if (!near) {
        policy_fail(r, r->line, "unknown key '%s' in [%s]; see mtlswrap.ini(5) for the keys of a %s", key,
                    r->object->section, kinds[r->object->kind].name);
        return;
    }
    const char *hash = strchr(near, '#');
    int head = hash ? (int)(hash - near) : (int)strlen(near);
    policy_fail(r, r->line, "unknown key '%s' in [%s]; did you mean '%.*s%s%s'?", key, r->object->section,
                head, near, hash ? number : "", hash ? hash + 1 : "");
}

static bool port_of(struct policy_reading *r, const char *text, struct policy_port **out) {
    uint16_t number;
    size_t len = policy_value_until(text, '.');
    if (!policy_value_port(text, len, &number)) {
        policy_fail(r, r->line, "found port '%.*s', expected a number from 1 to 65535", (int)len, text);
        return false;
    }
    struct policy_port *at = r->object->ports;
    while (at && at->port != number)
        at = at->next;
    if (!at && (at = policy_pool_alloc(&r->p->pool, sizeof *at))) {
        *at = (struct policy_port){.next = r->object->ports, .line = r->line, .port = number};
        r->object->ports = at;
    }
    *out = at;
    return at != NULL;
}

static void take_key(struct policy_reading *r, const struct policy_key *k, struct policy_port *port,
                     const char *rest, const char *value) {
    uint64_t *seen = port ? &port->seen : &r->object->seen;
    uint64_t bit = UINT64_C(1) << (k - kinds[r->object->kind].keys);
    if ((*seen & bit) && !(k->flags & KEY_REPEATS)) {
        policy_fail(r, r->line, "found '%s' a second time in [%s], expected it once", r->key,
                    r->object->section);
        return;
    }
    *seen |= bit;
    if (*value == '\0') {
        policy_fail(r, r->line, "found no value for '%s', expected one behind '='", r->key);
        return;
    }
    policy_store(r, k, port, rest, value);
}

/* Istio's path is spec.trafficPolicy.tls.mode; both the short and the long form are read. */
void policy_keys_set(struct policy_reading *r, const char *key, const char *value) {
    static const char prefix[] = "trafficPolicy.";
    strncpy(r->key, key, sizeof r->key - 1);
    if (r->object->kind == KIND_DESTINATION_RULE && strncmp(key, prefix, sizeof prefix - 1) == 0)
        key += sizeof prefix - 1;
    for (const struct policy_key *k = kinds[r->object->kind].keys; k->pattern[0]; k++) {
        const char *digits = NULL, *rest = NULL;
        struct policy_port *port = NULL;
        if (k->pattern[0] != key[0] || !pattern_fits(k->pattern, key, &digits, &rest))
            continue;
        if (!digits || port_of(r, digits, &port))
            take_key(r, k, port, rest, value);
        return;
    }
    unknown_key(r, key);
}
