/* import_dest.c - connecting sides: DestinationRule (networking.istio.io). */
#include "importer.h"

#include <string.h>

static const char not_tls[] = "routing and load balancing, not mutual TLS";

static void put_field(struct importer *im, const yaml_node_t *tls, const char *prefix, const char *field) {
    const yaml_node_t *node = importer_get(im, tls, field);
    char key[80];
    snprintf(key, sizeof key, "%stls.%s", prefix, field);
    if (node && node->type == YAML_SEQUENCE_NODE)
        importer_list(im, node, key);
    else if (importer_text(node))
        importer_key(im, node, key, importer_text(node));
}

/* Fields that Istio ignores in a mode must not change what the table says. */
static void lose_field(struct importer *im, const yaml_node_t *tls, const char *field, const char *because) {
    const yaml_node_t *node = importer_get(im, tls, field);
    if (node)
        importer_lose(im, node, field, because);
}

static void put_tls(struct importer *im, const yaml_node_t *tls, const char *prefix) {
    static const char *const files[] = {"clientCertificate", "privateKey", "caCertificates"};
    char key[48];
    const char *mode = importer_text(importer_get(im, tls, "mode"));
    if (!mode)
        importer_comment(im, "tls without mode is DISABLE");
    mode = mode ? mode : "DISABLE";
    bool istio = strcmp(mode, "ISTIO_MUTUAL") == 0, known = istio || strcmp(mode, "DISABLE") == 0 ||
                                                            strcmp(mode, "SIMPLE") == 0 ||
                                                            strcmp(mode, "MUTUAL") == 0;
    snprintf(key, sizeof key, "%stls.mode", prefix);
    if (!known) {
        importer_lose(im, tls, key, "unknown mode");
        return;
    }
    importer_key(im, tls, key, mode);
    importer_only(im, tls, "tls",
                  " mode clientCertificate privateKey caCertificates credentialName subjectAltNames sni "
                  "insecureSkipVerify ",
                  "unknown field");
    lose_field(im, tls, "credentialName", "there is no secret store; name the files");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (istio)
            lose_field(im, tls, files[i], "Istio ignores it in mode ISTIO_MUTUAL");
        else
            put_field(im, tls, prefix, files[i]);
    put_field(im, tls, prefix, "subjectAltNames");
    put_field(im, tls, prefix, "sni");
    if (istio)
        lose_field(im, tls, "insecureSkipVerify", "Istio ignores it in mode ISTIO_MUTUAL");
    else
        put_field(im, tls, prefix, "insecureSkipVerify");
}

static void put_port(struct importer *im, const yaml_node_t *setting) {
    const yaml_node_t *port = importer_get(im, setting, "port"), *tls = importer_get(im, setting, "tls");
    unsigned number = importer_port(importer_get(im, port, "number"));
    char prefix[32], key[48], value[8];
    if (!number) {
        importer_lose(im, setting, "trafficPolicy.portLevelSettings", "a port is known by its number here");
        return;
    }
    importer_only(im, setting, "trafficPolicy.portLevelSettings", " port tls ", not_tls);
    snprintf(prefix, sizeof prefix, "portLevelSettings.%u.", number);
    if (tls) {
        put_tls(im, tls, prefix);
        return;
    }
    importer_comment(im,
                     "a port's settings replace the whole rule: without tls nothing is said for this port");
    snprintf(key, sizeof key, "%sport.number", prefix);
    snprintf(value, sizeof value, "%u", number & 0xffff);
    importer_key(im, port, key, value);
}

void import_dest_rule(struct importer *im, const char *kind, const yaml_node_t *document) {
    const yaml_node_t *spec = importer_get(im, document, "spec"), *host = importer_get(im, spec, "host"),
                      *traffic = importer_get(im, spec, "trafficPolicy"),
                      *ports = importer_get(im, traffic, "portLevelSettings"),
                      *tls = importer_get(im, traffic, "tls");
    yaml_node_t *setting;
    if (!importer_section(im, kind, document, ""))
        return;
    importer_key(im, host ? host : document, "host", importer_text(host));
    importer_only(im, spec, "spec", " host trafficPolicy subsets exportTo ", not_tls);
    importer_only(im, traffic, "trafficPolicy", " tls portLevelSettings ", not_tls);
    importer_list(im, importer_get(im, spec, "exportTo"), "exportTo");
    if (importer_item(im, importer_get(im, spec, "subsets"), 0))
        importer_lose(im, importer_get(im, spec, "subsets"), "spec.subsets", not_tls);
    if (tls)
        put_tls(im, tls, "");
    for (size_t i = 0; (setting = importer_item(im, ports, i)); i++)
        put_port(im, setting);
}
