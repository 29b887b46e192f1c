/* import_service.c - where services live: Service (Kubernetes v1) and ServiceEntry (networking.istio.io). */
#include "importer.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_address(const char *s) {
    unsigned char buffer[16];
    return s && (inet_pton(AF_INET, s, buffer) == 1 || inet_pton(AF_INET6, s, buffer) == 1);
}

static void put_address(struct importer *im, const yaml_node_t *node, const char *field) {
    const char *value = importer_text(node);
    if (is_address(value))
        importer_key(im, node, "address", value);
    else if (value && *value)
        importer_lose(im, node, field, "not one address");
}

/* PORT or PORT:TARGETPORT. number is what the kind calls the port. */
static void put_port(struct importer *im, const yaml_node_t *entry, const char *number) {
    const yaml_node_t *target = importer_get(im, entry, "targetPort");
    const char *protocol = importer_text(importer_get(im, entry, "protocol"));
    unsigned port = importer_port(importer_get(im, entry, number)), to = importer_port(target);
    char value[16];
    if (protocol && (strcmp(protocol, "UDP") == 0 || strcmp(protocol, "SCTP") == 0)) {
        importer_lose(im, entry, "spec.ports", "not TCP");
        return;
    }
    if (!port) {
        importer_lose(im, entry, "spec.ports", "a port is known by its number here");
        return;
    }
    if (importer_text(target) && !to)
        importer_lose(im, target, "spec.ports.targetPort", "a port is known by its number here");
    if (to && to != port)
        snprintf(value, sizeof value, "%u:%u", port & 0xffff, to & 0xffff);
    else
        snprintf(value, sizeof value, "%u", port & 0xffff);
    importer_key(im, entry, "ports", value);
}

static void put_ports(struct importer *im, const yaml_node_t *ports, const char *number) {
    yaml_node_t *entry;
    for (size_t i = 0; (entry = importer_item(im, ports, i)); i++)
        put_port(im, entry, number);
}

void import_service(struct importer *im, const char *kind, const yaml_node_t *document) {
    static const char headless[] = "a service without an address; give it one, such as 127.1.0.1";
    const yaml_node_t *spec = importer_get(im, document, "spec"), *ip = importer_get(im, spec, "clusterIP"),
                      *ips = importer_get(im, spec, "clusterIPs"),
                      *other = importer_get(im, spec, "externalName");
    const char *one = importer_text(ip);
    yaml_node_t *node;
    if (!importer_section(im, kind, document, ""))
        return;
    if (other)
        importer_lose(im, other, "spec.externalName", "names are not redirected");
    if (importer_item(im, ips, 0)) {
        for (size_t i = 0; (node = importer_item(im, ips, i)); i++)
            put_address(im, node, "spec.clusterIPs");
    } else if (is_address(one)) {
        put_address(im, ip, "spec.clusterIP");
    } else {
        importer_lose(im, ip ? ip : spec, "spec.clusterIP", headless);
    }
    put_ports(im, importer_get(im, spec, "ports"), "port");
    if (importer_get(im, spec, "selector"))
        importer_comment(im, "the selector picks pods: write a [Workload] for each, with its serviceAccount");
}

void import_service_entry(struct importer *im, const char *kind, const yaml_node_t *document) {
    const yaml_node_t *spec = importer_get(im, document, "spec"), *hosts = importer_get(im, spec, "hosts"),
                      *addresses = importer_get(im, spec, "addresses"),
                      *endpoints = importer_get(im, spec, "endpoints");
    const char *location = importer_text(importer_get(im, spec, "location"));
    yaml_node_t *node;
    (void)kind;
    if (!importer_section(im, "Service", document, ""))
        return;
    importer_only(im, spec, "spec", " hosts addresses ports location resolution endpoints ",
                  "a [Service] has no such thing");
    for (size_t i = 0; (node = importer_item(im, hosts, i)); i++) {
        const char *host = importer_text(node);
        if (host && strchr(host, '*'))
            importer_lose(im, node, "spec.hosts", "a service has no wildcard names");
        else
            importer_key(im, node, "hosts", host);
    }
    for (size_t i = 0; (node = importer_item(im, addresses, i)); i++)
        put_address(im, node, "spec.addresses");
    for (size_t i = 0; (node = importer_item(im, endpoints, i)); i++)
        put_address(im, importer_get(im, node, "address"), "spec.endpoints.address");
    put_ports(im, importer_get(im, spec, "ports"), "number");
    if (!location || strcmp(location, "MESH_EXTERNAL") == 0)
        importer_key(im, spec, "external", "true");
}
