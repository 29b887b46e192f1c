/* importer.h - between the rooms of `mtlswrap import`: one YAML document in, sections of a table out.
 *
 * Nodes belong to the document. A node may be reached by many ways and even contain itself (aliases), so
 * nobody walks further than the fields of the API go.
 */
#ifndef MTLSWRAP_IMPORTER_H
#define MTLSWRAP_IMPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <yaml.h>

struct importer {
    FILE *out, *log; /* the table; warnings */
    const char *file;
    yaml_document_t *doc;
    unsigned lost;   /* warnings so far */
    unsigned errors; /* documents that could not be understood at all */
};

/* Reads all documents of a file. False when it is no YAML; the reason went to log. */
bool importer_read(struct importer *im, const char *text, size_t size);

/* importer.c: nodes. Each takes NULL for "not there" and gives NULL (0, false) then. */
yaml_node_t *importer_get(const struct importer *im, const yaml_node_t *map, const char *key);
const char *importer_text(const yaml_node_t *scalar); /* NULL for null, ~ and anything that is no scalar */
bool importer_is_true(const yaml_node_t *scalar);
/* A port number, or 0. */
unsigned importer_port(const yaml_node_t *scalar);
/* A name as Kubernetes allows it. */
bool importer_is_name(const char *s, bool dots);
/* The i-th item of a list, or NULL behind the end. */
yaml_node_t *importer_item(const struct importer *im, const yaml_node_t *list, size_t i);
/* The i-th pair of a mapping; false behind the end. */
bool importer_pair(const struct importer *im, const yaml_node_t *map, size_t i, yaml_node_t **key,
                   yaml_node_t **value);

/* importer.c: the table. */
/* Starts "[Kind NAMESPACE/NAME]" from metadata; suffix is appended to the name. False, with a warning,
 * when the name cannot be carried over. */
bool importer_section(struct importer *im, const char *kind, const yaml_node_t *document, const char *suffix);
/* "key = value". What a table's line cannot hold becomes a warning. node gives the line. */
void importer_key(struct importer *im, const yaml_node_t *node, const char *key, const char *value);
/* One line for each item of a list of scalars. */
void importer_list(struct importer *im, const yaml_node_t *list, const char *key);
/* A comment in the table and a warning with the line: field is not carried over, because. */
void importer_lose(struct importer *im, const yaml_node_t *node, const char *field, const char *because);
void importer_comment(struct importer *im, const char *words);
/* Loses every key of map that is not in known (separated by blanks, with a blank at both ends). */
void importer_only(struct importer *im, const yaml_node_t *map, const char *path, const char *known,
                   const char *because);

/* The kinds. Each gets the document's root mapping. */
void import_auth_policy(struct importer *im, const char *kind, const yaml_node_t *document);
void import_auth_peer(struct importer *im, const char *kind, const yaml_node_t *document);
void import_dest_rule(struct importer *im, const char *kind, const yaml_node_t *document);
void import_service(struct importer *im, const char *kind, const yaml_node_t *document);
void import_service_entry(struct importer *im, const char *kind, const yaml_node_t *document);

#endif
