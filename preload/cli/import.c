/* import.c - `mtlswrap import`: documents to kinds. What a kind means is in import_*.c. */
#include "cli.h"

#include <errno.h>
#include <string.h>

#include "filemap.h"
#include "importer.h"

enum { LIST_DEPTH = 4 }; /* a List of Lists is allowed, one without end is not */

static const struct {
    const char *kind;
    void (*convert)(struct importer *im, const char *kind, const yaml_node_t *document);
} kinds[] = {
    {"MeshPolicy", import_auth_policy},
    {"Policy", import_auth_policy},
    {"PeerAuthentication", import_auth_peer},
    {"DestinationRule", import_dest_rule},
    {"Service", import_service},
    {"ServiceEntry", import_service_entry},
};

static void convert(struct importer *im, const yaml_node_t *document, int depth) {
    const yaml_node_t *kind_node = importer_get(im, document, "kind");
    const char *kind = importer_text(kind_node);
    yaml_node_t *item;
    if (!kind) {
        importer_lose(im, document, "document", "it has no kind");
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].kind, kind) == 0) {
            kinds[i].convert(im, kind, document);
            return;
        }
    if (strcmp(kind, "List") == 0 && depth < LIST_DEPTH) {
        const yaml_node_t *items = importer_get(im, document, "items");
        for (size_t i = 0; (item = importer_item(im, items, i)); i++)
            convert(im, item, depth + 1);
        return;
    }
    fputc('\n', im->out);
    importer_lose(im, kind_node, kind, "this kind says nothing about mutual TLS");
}

static void complain(struct importer *im, const yaml_parser_t *parser) {
    im->errors++;
    fprintf(im->log, "%s:%zu: error: %s%s%s\n", im->file, parser->problem_mark.line + 1,
            parser->problem ? parser->problem : "not readable as YAML", parser->context ? ", " : "",
            parser->context ? parser->context : "");
}

bool importer_read(struct importer *im, const char *text, size_t size) {
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    bool ok = true;
    for (;;) {
        yaml_document_t document;
        if (!yaml_parser_load(&parser, &document)) {
            complain(im, &parser);
            ok = false;
            break;
        }
        im->doc = &document;
        const yaml_node_t *root = yaml_document_get_root_node(&document);
        if (root && (root->type != YAML_SCALAR_NODE || importer_text(root)))
            convert(im, root, 0);
        im->doc = NULL;
        yaml_document_delete(&document);
        if (!root)
            break;
    }
    yaml_parser_delete(&parser);
    return ok;
}

static bool import_file(struct importer *im, const char *path) {
    struct filemap m;
    if (!filemap_open(&m, path)) {
        cli_error("%s: %s", path, strerror(errno));
        return false;
    }
    im->file = path;
    bool ok = importer_read(im, m.data ? m.data : "", m.size);
    filemap_close(&m);
    return ok;
}

int import_main(const struct cli_command *self, int argc, char **argv) {
    bool strict = false, ok = true;
    const struct cli_option opts[] = {
        {"strict", NULL, "exit with 1 when something is not carried over", NULL, &strict},
        {NULL, NULL, NULL, NULL, NULL}};
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (i == argc)
        return cli_usage(self, "import: a FILE is needed");
    struct importer im = {.out = stdout, .log = stderr};
    puts("; Made by `mtlswrap import`. Add a [Mesh] section with trustDomain and certificates.");
    for (; i < argc; i++)
        ok = import_file(&im, argv[i]) && ok;
    if (!ok)
        return cli_finish(CLI_CONFIG);
    return cli_finish(strict && im.lost ? CLI_WARNINGS : CLI_OK);
}
