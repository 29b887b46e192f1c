/* import_auth.c - accepting sides: MeshPolicy, Policy (authentication.istio.io/v1alpha1) and
 * PeerAuthentication (security.istio.io). */
#include "importer.h"

#include <string.h>

static const char jwt[] = "end users' tokens are not ours to check";

static bool is_mode(const char *s) {
    return strcmp(s, "STRICT") == 0 || strcmp(s, "PERMISSIVE") == 0 || strcmp(s, "DISABLE") == 0 ||
           strcmp(s, "UNSET") == 0;
}

/* The first peer with mtls gives the mode; `mtls: {}` and `mtls:` mean STRICT, allowTls is the old word for
 * PERMISSIVE. A policy without it asks for no mutual TLS. */
static const char *peers_mode(struct importer *im, const yaml_node_t *peers) {
    yaml_node_t *peer, *k, *mtls;
    const char *mode = NULL;
    for (size_t i = 0; (peer = importer_item(im, peers, i)); i++)
        for (size_t j = 0; importer_pair(im, peer, j, &k, &mtls); j++) {
            const char *method = importer_text(k);
            if (!method || strcmp(method, "mtls") != 0)
                importer_lose(im, k, "spec.peers",
                              method && strcmp(method, "jwt") == 0 ? jwt : "unknown method");
            else if (mode)
                importer_lose(im, k, "spec.peers.mtls", "given twice; the first one counts");
            else if (importer_is_true(importer_get(im, mtls, "allowTls")))
                mode = "PERMISSIVE";
            else if (!(mode = importer_text(importer_get(im, mtls, "mode"))))
                mode = "STRICT";
        }
    return mode ? mode : "DISABLE";
}

static void put_mode(struct importer *im, const yaml_node_t *node, const char *key, const char *mode) {
    if (is_mode(mode))
        importer_key(im, node, key, mode);
    else
        importer_lose(im, node, key, "unknown mode");
}

static void put_body(struct importer *im, const yaml_node_t *spec) {
    const yaml_node_t *peers = importer_get(im, spec, "peers");
    importer_only(im, spec, "spec", " targets peers ", jwt);
    const char *mode = peers_mode(im, peers);
    if (!importer_item(im, peers, 0))
        importer_comment(im, "no peers: this API then asks for no mutual TLS");
    put_mode(im, peers ? peers : spec, "mtls.mode", mode);
}

/* A target that cannot be named must not widen the rule to the namespace. */
static bool named(struct importer *im, const yaml_node_t *target, bool print) {
    bool ok = importer_is_name(importer_text(importer_get(im, target, "name")), true);
    if (!ok && print)
        importer_lose(im, target, "spec.targets", "it has no name that a table can hold");
    return ok;
}

/* Lists the targets that have no ports. Returns how many there are. */
static unsigned plain_targets(struct importer *im, const yaml_node_t *targets, bool print) {
    yaml_node_t *target;
    unsigned n = 0;
    for (size_t i = 0; (target = importer_item(im, targets, i)); i++) {
        if (importer_get(im, target, "ports") || !named(im, target, !print))
            continue;
        n++;
        if (!print)
            continue;
        importer_only(im, target, "spec.targets", " name ports ", "a target is a service");
        importer_key(im, target, "targets", importer_text(importer_get(im, target, "name")));
    }
    return n;
}

static bool has_number(struct importer *im, const yaml_node_t *ports) {
    yaml_node_t *port;
    for (size_t i = 0; (port = importer_item(im, ports, i)); i++)
        if (importer_port(importer_get(im, port, "number")))
            return true;
    return false;
}

/* targets.ports holds for a whole section, so each target with ports gets its own. A port that has only a
 * name must not widen the rule to all ports: such a target is dropped. */
static void put_port_target(struct importer *im, const yaml_node_t *document, const yaml_node_t *spec,
                            const yaml_node_t *target, const char *suffix) {
    const yaml_node_t *ports = importer_get(im, target, "ports");
    yaml_node_t *port;
    if (!has_number(im, ports)) {
        importer_lose(im, ports, "spec.targets", "its ports have names only; write their numbers");
        return;
    }
    if (!named(im, target, true) || !importer_section(im, "Policy", document, suffix))
        return;
    importer_only(im, target, "spec.targets", " name ports ", "a target is a service");
    importer_key(im, target, "targets", importer_text(importer_get(im, target, "name")));
    for (size_t i = 0; (port = importer_item(im, ports, i)); i++) {
        char number[8];
        snprintf(number, sizeof number, "%u", importer_port(importer_get(im, port, "number")) & 0xffff);
        if (strcmp(number, "0") == 0)
            importer_lose(im, port, "spec.targets.ports", "a port is known by its number here");
        else
            importer_key(im, port, "targets.ports", number);
    }
    put_body(im, spec);
}

void import_auth_policy(struct importer *im, const char *kind, const yaml_node_t *document) {
    const yaml_node_t *spec = importer_get(im, document, "spec"),
                      *targets = importer_get(im, spec, "targets");
    yaml_node_t *target;
    bool any = importer_item(im, targets, 0) != NULL;
    if (any && strcmp(kind, "MeshPolicy") == 0) {
        importer_lose(im, targets, "spec.targets", "a MeshPolicy has none");
        any = false;
    }
    bool plain = !any || plain_targets(im, targets, false) > 0;
    if (plain) {
        if (!importer_section(im, kind, document, ""))
            return;
        if (any)
            plain_targets(im, targets, true);
        put_body(im, spec);
    }
    for (size_t i = 0; any && (target = importer_item(im, targets, i)); i++) {
        char suffix[24] = "";
        if (!importer_get(im, target, "ports"))
            continue;
        if (plain || i > 0)
            snprintf(suffix, sizeof suffix, "-target-%zu", i + 1);
        put_port_target(im, document, spec, target, suffix);
    }
}

/* A label of the selector as one line, or as a list of one when that would make the key too long. A label
 * that cannot be carried over must not widen the rule: false then. */
static bool label_line(const char *label, const char *value, char *key, char *text, size_t size) {
    if (!label || !value || !*label || !*value || strpbrk(label, "=:;, ") || strpbrk(value, ";, "))
        return false;
    bool fits = strlen("selector.matchLabels.") + strlen(label) <= 49;
    snprintf(key, size, "selector.matchLabels%s%s", fits ? "." : "", fits ? label : "");
    int n = snprintf(text, size, "%s%s%s", fits ? "" : label, fits ? "" : "=", value);
    return strlen(key) + (size_t)n + 3 <= 199;
}

static bool put_labels(struct importer *im, const yaml_node_t *labels, bool print) {
    yaml_node_t *k, *v;
    char key[256], text[256];
    for (size_t i = 0; importer_pair(im, labels, i, &k, &v); i++) {
        if (!label_line(importer_text(k), importer_text(v), key, text, sizeof key)) {
            importer_lose(im, k, "spec.selector.matchLabels", "no line of a table can hold this label");
            return false;
        }
        if (print)
            importer_key(im, k, key, text);
    }
    return true;
}

static void put_port_modes(struct importer *im, const yaml_node_t *ports) {
    yaml_node_t *k, *v;
    for (size_t i = 0; importer_pair(im, ports, i, &k, &v); i++) {
        char key[40];
        const char *word = importer_text(importer_get(im, v, "mode"));
        if (!importer_port(k)) {
            importer_lose(im, k, "spec.portLevelMtls", "not a port number");
            continue;
        }
        snprintf(key, sizeof key, "portLevelMtls.%u.mode", importer_port(k));
        put_mode(im, k, key, word ? word : "UNSET");
    }
}

void import_auth_peer(struct importer *im, const char *kind, const yaml_node_t *document) {
    const yaml_node_t *spec = importer_get(im, document, "spec"), *mtls = importer_get(im, spec, "mtls"),
                      *labels = importer_get(im, importer_get(im, spec, "selector"), "matchLabels");
    const char *mode = importer_text(importer_get(im, mtls, "mode"));
    if (!put_labels(im, labels, false) || !importer_section(im, kind, document, ""))
        return;
    importer_only(im, spec, "spec", " selector mtls portLevelMtls ", "unknown field");
    put_labels(im, labels, true);
    if (mode)
        put_mode(im, mtls, "mtls.mode", mode);
    put_port_modes(im, importer_get(im, spec, "portLevelMtls"));
}
