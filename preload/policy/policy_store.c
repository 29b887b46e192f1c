/* policy_store.c - checks one value by its type and puts it into its section's struct.
 *
 * Knows types, not keys. Every refusal says what was found and what was expected.
 */
#include "policy_keys.h"

#include <stdlib.h>
#include <string.h>

static void refuse(struct policy_reading *r, const char *found, const char *expected) {
    policy_fail(r, r->line, "found '%s' for '%s', expected %s", found, r->key, expected);
}

static const char *keep(struct policy_reading *r, const char *s) {
    return policy_pool_copy(&r->p->pool, s, strlen(s));
}

static const char *choice_candidate(const void *arg, size_t i) {
    return ((const struct policy_choice *)arg)[i].name;
}

static void store_choice(struct policy_reading *r, const struct policy_key *k, void *slot,
                         const char *value) {
    const struct policy_choice *choices = policy_value_choices(k->type), *c = choices;
    while (c->name && strcmp(c->name, value) != 0)
        c++;
    if (!c->name) {
        char all[128] = "";
        size_t n = 0;
        for (c = choices; c->name; c++) {
            size_t len = strlen(c->name);
            if (n)
                n = (size_t)(stpcpy(all + n, c[1].name ? ", " : " or ") - all);
            memcpy(all + n, c->name, len + 1);
            n += len;
        }
        const char *near = policy_suggest(value, choice_candidate, choices);
        policy_fail(r, r->line, "found '%s' for '%s', expected %s%s%s%s", value, r->key, all,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return;
    }
    if (k->type == VALUE_BOOL || k->type == VALUE_ON_CHANGE)
        *(bool *)slot = (c->value != 0) != ((k->flags & KEY_NEGATED) != 0);
    else
        memcpy(slot, &c->value, sizeof c->value); /* every enumeration here is as wide as an int */
}

/* Relative names start from the table's directory. */
static const char *path_of(struct policy_reading *r, const char *value) {
    const char *dir = r->p->directory;
    if (value[0] == '/' || !dir)
        return keep(r, value);
    while (value[0] == '.' && value[1] == '/')
        value += 2;
    return policy_pool_join(&r->p->pool,
                            (const char *const[]){dir, dir[strlen(dir) - 1] == '/' ? "" : "/", value, NULL});
}

static void lower_case(char *s) {
    for (; *s; s++)
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s - 'A' + 'a');
}

static void store_host(struct policy_reading *r, struct policy_dest *d, const char *value) {
    char text[POLICY_LINE_MAX + 1];
    strncpy(text, value, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lower_case(text);
    d->host_line = r->line;
    size_t len = strlen(text);
    if (len > 1 && text[len - 1] == '.')
        text[len - 1] = '\0';
    if (policy_value_address(text, true, &d->address)) {
        char canonical[POLICY_ADDRESS_TEXT];
        policy_address_text(&d->address, canonical);
        d->form = HOST_ADDRESS;
        d->host = keep(r, canonical);
        return;
    }
    if (strchr(text, '/')) {
        refuse(r, value, "an address prefix such as 127.0.0.0/8, with no bits set behind the mask");
        return;
    }
    if (!policy_value_host(text, true)) {
        refuse(r, value, "a host name, a wildcard such as *.local, an address or an address prefix");
        return;
    }
    d->form = text[0] == '*' ? HOST_WILDCARD : HOST_NAME;
    d->host = keep(r, text);
}

static void store_text(struct policy_reading *r, const struct policy_key *k, const char **slot,
                       const char *value) {
    size_t len = strlen(value);
    bool header = r->object->kind != KIND_MESH && k->base == BASE_OBJECT &&
                  (slot == &r->object->name || slot == &r->object->ns);
    if (header && *slot)
        policy_fail(r, r->line, "found '%s' in [%s], which already names it, expected only one of the two",
                    r->key, r->object->section);
    else if (k->type == VALUE_NAME && !policy_value_name(value, len, true))
        refuse(r, value, "a name of lower-case letters, digits, '-' and '.'");
    else if (k->type == VALUE_NAMESPACE && !policy_value_name(value, len, false))
        refuse(r, value, "a namespace of lower-case letters, digits and '-'");
    else if (k->type == VALUE_DOMAIN && !policy_value_name(value, len, true))
        refuse(r, value, "a domain name such as cluster.local");
    else
        *slot = k->type == VALUE_PATH ? path_of(r, value) : keep(r, value);
}

static bool principal_ok(const char *s) {
    const char *star = strchr(s, '*');
    size_t len = strlen(s);
    if (strpbrk(s, " \t") || (star && star != s && star[1] != '\0') || (star == s && strchr(s + 1, '*')))
        return false;
    return star || (strstr(s, "/ns/") && strstr(s, "/sa/") && s[len - 1] != '/');
}

static void add_label(struct policy_reading *r, struct policy_label **head, const char *key,
                      const char *value) {
    for (const struct policy_label *l = *head; l; l = l->next)
        if (strcmp(l->key, key) == 0) {
            policy_fail(r, r->line, "found label '%s' a second time in [%s], expected it once", key,
                        r->object->section);
            return;
        }
    struct policy_label *l = policy_pool_alloc(&r->p->pool, sizeof *l);
    if (!l)
        return;
    *l = (struct policy_label){*head, keep(r, key), keep(r, value)};
    *head = l;
}

static void store_label_pair(struct policy_reading *r, struct policy_label **head, char *item) {
    char *eq = strchr(item, '=');
    if (!eq || eq == item || eq[1] == '\0') {
        refuse(r, item, "LABEL=VALUE");
        return;
    }
    *eq = '\0';
    add_label(r, head, item, eq + 1);
}

/* Room for one more; doubles at each power of two, so that the count alone tells the room. */
static void *grow(struct policy_reading *r, void *old, size_t count, size_t size) {
    if (count & (count - 1) || (count == 0 && old))
        return old;
    void *bigger = policy_pool_alloc(&r->p->pool, (count ? 2 * count : 1) * size);
    if (bigger && count)
        memcpy(bigger, old, count * size);
    return bigger;
}

static void store_address(struct policy_reading *r, struct policy_address **list, size_t *count,
                          const char *item) {
    struct policy_address a;
    if (!policy_value_address(item, false, &a)) {
        refuse(r, item, "an IPv4 or IPv6 address");
        return;
    }
    if (*count == POLICY_ADDRESSES_MAX) {
        policy_fail(r, r->line, "found more than %d addresses in [%s]", POLICY_ADDRESSES_MAX,
                    r->object->section);
        return;
    }
    for (size_t i = 0; i < *count; i++)
        if (memcmp(&(*list)[i], &a, sizeof a) == 0) {
            policy_fail(r, r->line, "found address %s a second time in [%s], expected it once", item,
                        r->object->section);
            return;
        }
    *list = grow(r, *list, *count, sizeof a);
    if (*list)
        (*list)[(*count)++] = a;
}

/* PORT or PORT:TARGETPORT. */
static void store_port(struct policy_reading *r, struct policy_service_port **list, size_t *count,
                       bool target, const char *item) {
    struct policy_service_port port;
    size_t len = target ? policy_value_until(item, ':') : strlen(item);
    bool ok = policy_value_port(item, len, &port.port);
    port.target = port.port;
    if (ok && item[len] == ':')
        ok = policy_value_port(item + len + 1, strlen(item + len + 1), &port.target);
    if (!ok) {
        refuse(r, item, target ? "PORT or PORT:TARGETPORT, each from 1 to 65535" : "a port from 1 to 65535");
        return;
    }
    for (size_t i = 0; i < *count; i++)
        if ((*list)[i].port == port.port) {
            policy_fail(r, r->line, "found port %u a second time in [%s], expected it once", port.port,
                        r->object->section);
            return;
        }
    if (*count == POLICY_PORTS_MAX) {
        policy_fail(r, r->line, "found more than %d ports in [%s]", POLICY_PORTS_MAX, r->object->section);
        return;
    }
    *list = grow(r, *list, *count, sizeof port);
    if (*list)
        (*list)[(*count)++] = port;
}

static void store_item(struct policy_reading *r, const struct policy_key *k, void *slot, char *item) {
    struct policy_object *o = r->object;
    const char *expected = NULL;
    switch (k->type) {
    case VALUE_NAMES:
        expected = policy_value_name(item, strlen(item), true)
                       ? NULL
                       : "names of the same namespace, without namespace";
        break;
    case VALUE_HOSTS:
        lower_case(item);
        expected = policy_value_host(item, false) ? NULL : "host names";
        break;
    case VALUE_PRINCIPALS:
        expected =
            principal_ok(item) ? NULL : "DOMAIN/ns/NAMESPACE/sa/ACCOUNT, or one '*' at the start or the end";
        break;
    case VALUE_EXPORT_TO:
        expected =
            strcmp(item, "*") == 0 || strcmp(item, ".") == 0 || policy_value_name(item, strlen(item), false)
                ? NULL
                : "'*', '.' or a namespace";
        break;
    case VALUE_ENVIRONMENT:
        expected = strchr(item, '=') && item[0] != '=' ? NULL : "VARIABLE=VALUE";
        break;
    case VALUE_ADDRESSES:
        if (o->kind == KIND_SERVICE)
            store_address(r, slot, &((struct policy_service *)o)->address_count, item);
        else
            store_address(r, slot, &((struct policy_workload *)o)->address_count, item);
        return;
    case VALUE_SERVICE_PORTS:
        store_port(r, slot, &((struct policy_service *)o)->port_count, true, item);
        return;
    case VALUE_PORTS:
        store_port(r, slot, &((struct policy_accept *)o)->target_port_count, false, item);
        return;
    case VALUE_LABELS:
        store_label_pair(r, slot, item);
        return;
    default:
        break;
    }
    if (expected)
        refuse(r, item, expected);
    else
        policy_list_add(&r->p->pool, slot, keep(r, item));
}

/* Comma-separated; blanks around an item do not count. */
static void store_list(struct policy_reading *r, const struct policy_key *k, void *slot, const char *value) {
    char item[POLICY_LINE_MAX + 1];
    for (const char *s = value;; s++) {
        while (*s == ' ' || *s == '\t')
            s++;
        size_t len = policy_value_until(s, ','), cut = len;
        while (cut && (s[cut - 1] == ' ' || s[cut - 1] == '\t'))
            cut--;
        if (cut == 0) {
            refuse(r, value, "a comma-separated list without empty items");
            return;
        }
        memcpy(item, s, cut);
        item[cut] = '\0';
        store_item(r, k, slot, item);
        s += len;
        if (!*s)
            return;
    }
}

static void store_special(struct policy_reading *r, const struct policy_key *k,
                          const struct policy_port *port, void *slot, const char *rest, const char *value) {
    uint16_t number;
    switch (k->type) {
    case VALUE_DURATION:
        if (!policy_value_duration(value, slot))
            refuse(r, value, "a time such as 5s, 100ms or 2 (seconds), at most a day");
        break;
    case VALUE_LABEL:
        add_label(r, slot, rest, value);
        break;
    case VALUE_PORT_NUMBER:
        if (port && (!policy_value_port(value, strlen(value), &number) || number != port->port))
            refuse(r, value, "the same port number as in the key");
        break;
    case VALUE_NO_EFFECT:
        policy_warn(r, r->line, "'%s' is understood but has no effect: connections are protected, not routed",
                    r->key);
        break;
    default:
        refuse(r, value,
               "files instead: clientCertificate, privateKey and caCertificates (there is no secret store)");
        break;
    }
}

static void *base_of(struct policy_reading *r, const struct policy_key *k, struct policy_port *port) {
    struct policy_tls *tls;
    switch (k->base) {
    case BASE_PORT:
        return port;
    case BASE_TLS:
        tls = &((struct policy_dest *)r->object)->tls;
        break;
    case BASE_PORT_TLS:
        tls = &port->tls;
        break;
    default:
        return r->object;
    }
    tls->present = true;
    static const size_t offset[TLS_FIELD_COUNT] = {
        [TLS_FIELD_MODE] = offsetof(struct policy_tls, mode),
        [TLS_FIELD_SANS] = offsetof(struct policy_tls, sans),
        [TLS_FIELD_SNI] = offsetof(struct policy_tls, sni),
        [TLS_FIELD_CA] = offsetof(struct policy_tls, ca),
        [TLS_FIELD_CERTIFICATE] = offsetof(struct policy_tls, certificate),
        [TLS_FIELD_KEY] = offsetof(struct policy_tls, key),
        [TLS_FIELD_SKIP_VERIFY] = offsetof(struct policy_tls, skip_verify),
        [TLS_FIELD_TLS_IN_TLS] = offsetof(struct policy_tls, tls_in_tls),
    };
    for (size_t i = 0; i < TLS_FIELD_COUNT; i++)
        if (offset[i] == k->offset)
            tls->line[i] = r->line;
    return tls;
}

void policy_store(struct policy_reading *r, const struct policy_key *k, struct policy_port *port,
                  const char *rest, const char *value) {
    void *slot = (char *)base_of(r, k, port) + k->offset;
    switch (k->type) {
    case VALUE_NAME:
    case VALUE_NAMESPACE:
    case VALUE_DOMAIN:
    case VALUE_STRING:
    case VALUE_PATH:
        store_text(r, k, slot, value);
        break;
    case VALUE_BOOL:
    case VALUE_MTLS_MODE:
    case VALUE_MTLS_MODE_OR_UNSET:
    case VALUE_TLS_MODE:
    case VALUE_TLS_IN_TLS:
    case VALUE_ON_CHANGE:
        store_choice(r, k, slot, value);
        break;
    case VALUE_HOST:
        store_host(r, (struct policy_dest *)r->object, value);
        break;
    case VALUE_DURATION:
    case VALUE_LABEL:
    case VALUE_PORT_NUMBER:
    case VALUE_NO_EFFECT:
    case VALUE_REFUSED:
        store_special(r, k, port, slot, rest, value);
        break;
    default:
        store_list(r, k, slot, value);
        break;
    }
    if (k->type == VALUE_TLS_IN_TLS && r->object->kind != KIND_DESTINATION_RULE)
        ((struct policy_accept *)r->object)->tls_in_tls_set = true;
    if ((k->type == VALUE_MTLS_MODE || k->type == VALUE_MTLS_MODE_OR_UNSET) && k->base == BASE_OBJECT)
        ((struct policy_accept *)r->object)->mode_line = r->line;
}
