/* importer.c - YAML nodes and lines of a table, for all kinds. Knows no kind. */
#include "importer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* What a table's line may hold (mtlswrap.ini(5)). */
enum { SECTION_MAX = 49, KEY_MAX = 49, LINE_MAX_LEN = 199, QUOTED_MAX = 90 };

yaml_node_t *importer_item(const struct importer *im, const yaml_node_t *list, size_t i) {
    if (!list || list->type != YAML_SEQUENCE_NODE)
        return NULL;
    const yaml_node_item_t *start = list->data.sequence.items.start;
    if (i >= (size_t)(list->data.sequence.items.top - start))
        return NULL;
    return yaml_document_get_node(im->doc, start[i]);
}

bool importer_pair(const struct importer *im, const yaml_node_t *map, size_t i, yaml_node_t **key,
                   yaml_node_t **value) {
    if (!map || map->type != YAML_MAPPING_NODE)
        return false;
    const yaml_node_pair_t *start = map->data.mapping.pairs.start;
    if (i >= (size_t)(map->data.mapping.pairs.top - start))
        return false;
    *key = yaml_document_get_node(im->doc, start[i].key);
    *value = yaml_document_get_node(im->doc, start[i].value);
    return true;
}

yaml_node_t *importer_get(const struct importer *im, const yaml_node_t *map, const char *key) {
    yaml_node_t *k, *v;
    for (size_t i = 0; importer_pair(im, map, i, &k, &v); i++) {
        const char *word = importer_text(k);
        if (word && strcmp(word, key) == 0)
            return v;
    }
    return NULL;
}

const char *importer_text(const yaml_node_t *n) {
    if (!n || n->type != YAML_SCALAR_NODE)
        return NULL;
    const char *s = (const char *)n->data.scalar.value;
    if (strlen(s) != n->data.scalar.length) /* "\0" inside */
        return NULL;
    bool plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return plain && (!*s || strcmp(s, "~") == 0 || strcasecmp(s, "null") == 0) ? NULL : s;
}

bool importer_is_true(const yaml_node_t *n) {
    const char *s = importer_text(n);
    return s && (strcasecmp(s, "true") == 0 || strcasecmp(s, "yes") == 0 || strcasecmp(s, "on") == 0);
}

unsigned importer_port(const yaml_node_t *n) {
    const char *s = importer_text(n);
    if (!s || !isdigit((unsigned char)*s) || strspn(s, "0123456789") != strlen(s) || strlen(s) > 5)
        return 0;
    unsigned long port = strtoul(s, NULL, 10);
    return port <= 65535 ? (unsigned)port : 0;
}

static size_t line_of(const yaml_node_t *n) {
    return n ? n->start_mark.line + 1 : 1;
}

/* Text from a document within a line of ours must neither leave it nor make it longer than a table's line
 * may be. */
static void put_safely(FILE *out, const char *s) {
    for (int i = 0; i < QUOTED_MAX && s[i]; i++)
        fputc(s[i] < ' ' || s[i] > '~' ? '?' : s[i], out);
}

void importer_lose(struct importer *im, const yaml_node_t *node, const char *field, const char *because) {
    im->lost++;
    fprintf(im->out, "; line %zu: not carried over: ", line_of(node));
    put_safely(im->out, field);
    fprintf(im->out, " (%s)\n", because);
    fprintf(im->log, "%s:%zu: warning: not carried over: ", im->file, line_of(node));
    put_safely(im->log, field);
    fprintf(im->log, " (%s)\n", because);
}

void importer_comment(struct importer *im, const char *words) {
    fputs("; ", im->out);
    put_safely(im->out, words);
    fputc('\n', im->out);
}

void importer_only(struct importer *im, const yaml_node_t *map, const char *path, const char *known,
                   const char *because) {
    yaml_node_t *k, *v;
    for (size_t i = 0; importer_pair(im, map, i, &k, &v); i++) {
        const char *word = importer_text(k);
        char padded[64], field[160];
        snprintf(padded, sizeof padded, " %s ", word ? word : "?");
        if (word && strlen(word) < sizeof padded - 2 && strstr(known, padded))
            continue;
        snprintf(field, sizeof field, "%s%s%s", path, *path ? "." : "", word ? word : "?");
        importer_lose(im, k, field, because);
    }
}

/* A value that a line can hold and that comes back the same: inih strips blanks at both ends and takes a
 * semicolon behind a blank for a comment. */
static bool fits_line(const char *key, const char *value) {
    if (strlen(key) > KEY_MAX || strlen(key) + strlen(value) + 3 > LINE_MAX_LEN || !*value ||
        strstr(value, "\xEF\xBB\xBF") || isblank((unsigned char)*value) ||
        isblank((unsigned char)value[strlen(value) - 1]) || *value == ';')
        return false;
    for (const char *p = value; *p; p++)
        if (iscntrl((unsigned char)*p) || (*p == ';' && p > value && isblank((unsigned char)p[-1])))
            return false;
    return true;
}

void importer_key(struct importer *im, const yaml_node_t *node, const char *key, const char *value) {
    if (value && fits_line(key, value))
        fprintf(im->out, "%s = %s\n", key, value);
    else
        importer_lose(im, node, key, "no line of a table can hold this value");
}

void importer_list(struct importer *im, const yaml_node_t *list, const char *key) {
    yaml_node_t *item;
    if (importer_text(list))
        importer_lose(im, list, key, "not a list");
    for (size_t i = 0; (item = importer_item(im, list, i)); i++) {
        const char *value = importer_text(item);
        if (value && strchr(value, ','))
            value = NULL; /* a comma separates the items of a list */
        importer_key(im, item, key, value);
    }
}

bool importer_is_name(const char *s, bool dots) {
    if (!s || !*s || strlen(s) > 253)
        return false;
    for (; *s; s++)
        if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '-' && !(dots && *s == '.'))
            return false;
    return true;
}

static void put_header(struct importer *im, const char *kind, const char *ns, const char *name) {
    if (strlen(kind) + (ns ? strlen(ns) + 1 : 0) + strlen(name) + 1 <= SECTION_MAX) {
        fprintf(im->out, "[%s %s%s%s]\n", kind, ns ? ns : "", ns ? "/" : "", name);
        return;
    }
    fprintf(im->out, "[%s]\nmetadata.name = %s\n", kind, name);
    if (ns)
        fprintf(im->out, "metadata.namespace = %s\n", ns);
}

bool importer_section(struct importer *im, const char *kind, const yaml_node_t *document,
                      const char *suffix) {
    const yaml_node_t *metadata = importer_get(im, document, "metadata");
    const yaml_node_t *name_node = importer_get(im, metadata, "name"),
                      *ns_node = importer_get(im, metadata, "namespace");
    const char *name = importer_text(name_node), *ns = importer_text(ns_node);
    char full[512];
    fputs("\n; ", im->out);
    put_safely(im->out, im->file);
    fprintf(im->out, ":%zu\n", line_of(document));
    if (!importer_is_name(name, true) || strlen(name) + strlen(suffix) > 253) {
        importer_lose(im, name_node ? name_node : document, kind, "metadata.name is missing or no name");
        return false;
    }
    if (ns && !importer_is_name(ns, false)) {
        importer_lose(im, ns_node, kind, "metadata.namespace is no name");
        return false;
    }
    snprintf(full, sizeof full, "%s%s", name, suffix);
    put_header(im, kind, strcmp(kind, "MeshPolicy") == 0 ? NULL : ns, full);
    return true;
}
