/* certs.c - `mtlswrap certs …`: the words around the embedded CA. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca.h"
#include "certtree.h"
#include "identity.h"
#include "paths.h"

static const char dir_help[] = "directory of the CA (default: the user's state directory)";

static bool ca_directory(const char *told, char *out) {
    if (told ? paths_absolute(told, out) : paths_state(out))
        return true;
    cli_error("%s: %s", told ? told : "no state directory", strerror(errno));
    return false;
}

/* "90s", "30m", "24h", "7d"; at most a hundred years. */
static bool lifetime(const char *word, long *seconds) {
    char *end;
    errno = 0;
    long n = strtol(word, &end, 10);
    long unit = strcmp(end, "s") == 0 || !*end ? 1
                : strcmp(end, "m") == 0        ? 60
                : strcmp(end, "h") == 0        ? 3600
                : strcmp(end, "d") == 0        ? 86400
                                               : 0;
    if (errno || end == word || n <= 0 || unit == 0 || n > 100L * 366 * 86400 / unit)
        return false;
    *seconds = n * unit;
    return true;
}

static int init_main(const struct cli_command *self, int argc, char **argv) {
    const char *told = NULL, *domain = "cluster.local";
    const struct cli_option opts[] = {
        {"dir", "DIR", dir_help, &told, NULL},
        {"trust-domain", "NAME", "trust domain of its identities (default: cluster.local)", &domain, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    char dir[PATH_MAX], err[CA_ERROR_MAX];
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (i < argc)
        return cli_usage(self, "certs init: %s: no operand is expected", argv[i]);
    if (!ca_directory(told, dir))
        return CLI_FAILED;
    int made = ca_init(dir, domain, err);
    if (made < 0) {
        cli_error("%s", err);
        return CLI_FAILED;
    }
    printf(made == 0 ? "made a CA for trust domain %s in %s\n"
                     : "%.0s%s: there is a CA already; left alone\n",
           domain, dir);
    return cli_finish(CLI_OK);
}

static int issue_main(const struct cli_command *self, int argc, char **argv) {
    const char *told = NULL, *as = NULL, *dns = NULL, *life = "24h", *out = NULL;
    const struct cli_option opts[] = {
        {"as", "NAMESPACE/ACCOUNT", "whom the certificate names", &as, NULL},
        {"dns", "NAME", "a further DNS name or address; several separated by commas", &dns, NULL},
        {"lifetime", "TIME", "90s, 30m, 24h (the default) or 7d", &life, NULL},
        {"dir", "DIR", dir_help, &told, NULL},
        {"out", "DIR", "where NAMESPACE/ACCOUNT/ is made (default: certs in the CA's directory)", &out, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (i < argc)
        return cli_usage(self, "certs issue: %s: no operand is expected", argv[i]);
    char dir[PATH_MAX], certs[PATH_MAX], ns[IDENTITY_NAME_MAX], account[IDENTITY_NAME_MAX];
    long seconds;
    if (!as || !identity_split(as, "default", ns, account))
        return cli_usage(self,
                         "certs issue: --as NAMESPACE/ACCOUNT is needed, in lower-case letters, digits, -");
    if (!lifetime(life, &seconds))
        return cli_usage(self, "certs issue: %s is no lifetime", life);
    if (!ca_directory(told, dir))
        return CLI_FAILED;
    if (out ? !paths_absolute(out, certs) : !paths_join(certs, dir, "certs"))
        return cli_error("%s", strerror(errno)), CLI_FAILED;
    if (identity_issue(dir, certs, ns, account, dns, seconds, false) != 1)
        return CLI_FAILED;
    printf("%s/%s/%s: cert-chain.pem key.pem root-cert.pem\n", certs, ns, account);
    return cli_finish(CLI_OK);
}

static int show_main(const struct cli_command *self, int argc, char **argv) {
    const struct cli_option opts[] = {{NULL, NULL, NULL, NULL, NULL}};
    char path[PATH_MAX];
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (argc - i > 1)
        return cli_usage(self, "certs show: one DIR or FILE is expected");
    if (!ca_directory(i < argc ? argv[i] : NULL, path))
        return CLI_FAILED;
    return cli_finish(certtree_show(path) ? CLI_OK : CLI_FAILED);
}

static int renew_main(const struct cli_command *self, int argc, char **argv) {
    const char *told = NULL;
    bool force = false;
    const struct cli_option opts[] = {
        {"dir", "DIR", "directory of the CA (default: DIR, above it, or the user's state directory)", &told,
         NULL},
        {"force", NULL, "renew all, not only those past half of their life", NULL, &force},
        {NULL, NULL, NULL, NULL, NULL}};
    char ca[PATH_MAX], path[PATH_MAX];
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (argc - i > 1)
        return cli_usage(self, "certs renew: one DIR is expected");
    if (!ca_directory(i < argc ? argv[i] : NULL, path) || (told && !ca_directory(told, ca)))
        return CLI_FAILED;
    if (!told && !identity_find_ca(path, ca)) {
        cli_error("%s: no CA with its key there, above it, or in the state directory", path);
        return CLI_FAILED;
    }
    return cli_finish(certtree_renew(ca, path, force) ? CLI_OK : CLI_FAILED);
}

static const struct cli_command commands[] = {
    {"certs init", "[--dir DIR] [--trust-domain NAME]", "make a certificate authority", init_main, false},
    {"certs issue", "--as NAMESPACE/ACCOUNT [--dns NAME] [--lifetime TIME] [--dir DIR] [--out DIR]",
     "issue a certificate for an identity", issue_main, false},
    {"certs show", "[DIR | FILE]", "say in plain words what certificates there are", show_main, false},
    {"certs renew", "[--force] [--dir DIR] [DIR]", "issue again what is past half of its life", renew_main,
     false},
    {NULL, NULL, NULL, NULL, false},
};

int certs_main(const struct cli_command *self, int argc, char **argv) {
    (void)self;
    return cli_dispatch(commands, "mtlswrap certs", argc, argv);
}
