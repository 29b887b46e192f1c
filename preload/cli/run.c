/* run.c - `mtlswrap run`: checks everything that can be checked, sets the environment and becomes the
 * program. Keeps its pid; leaves nothing behind but the watcher of proof.h. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "elfread.h"
#include "fallback.h"
#include "filemap.h"
#include "identity.h"
#include "inspect.h"
#include "loader.h"
#include "paths.h"
#include "policy.h"
#include "proof.h"

extern char **environ;

struct run {
    const char *config_option, *as;
    bool force;
    char library[PATH_MAX], config[PATH_MAX];
    struct inspect program;
};

static int check_program(struct run *r, const char *name) {
    inspect_program(&r->program, name);
    for (size_t i = 0; i < r->program.note_count; i++)
        if (r->program.loud[i])
            cli_warn("%s: %s", name, r->program.notes[i]);
    switch (r->program.verdict) {
    case INSPECT_OK:
    case INSPECT_NOTHING:
        return CLI_OK;
    case INSPECT_NOT_FOUND:
        cli_error("%s", r->program.reason);
        return CLI_NOT_FOUND;
    case INSPECT_CANNOT_EXECUTE:
        cli_error("%s", r->program.reason);
        return CLI_REFUSED;
    case INSPECT_REFUSED:
        break;
    }
    if (r->force) {
        cli_warn("%s; its traffic will be PLAINTEXT (--force)", r->program.reason);
        return CLI_OK;
    }
    cli_error("%s; its traffic would be plaintext (--force runs it all the same)", r->program.reason);
    return CLI_REFUSED;
}

/* LD_PRELOAD separates its entries by blanks and colons and knows no quoting. */
static bool find_library(struct run *r) {
    if (!paths_library(r->library)) {
        const char *told = getenv("MTLSWRAP_LIB");
        cli_error("libmtlswrap.so is not found (%s)",
                  told && *told ? told : "install it, or set MTLSWRAP_LIB");
        return false;
    }
    struct filemap m;
    struct elfread e;
    bool fits = filemap_open(&m, r->library) && elfread_open(&e, m.data, m.size) == ELFREAD_OK &&
                e.header.e_type == ET_DYN;
    filemap_close(&m);
    if (!fits) {
        cli_error("%s: not a shared object for this machine", r->library);
        return false;
    }
    if (strpbrk(r->library, " :\t\n")) {
        cli_error("%s: a path with blanks or colons cannot be preloaded", r->library);
        return false;
    }
    return true;
}

/* ld.so fails open, so it is asked before anything runs. */
static bool loader_agrees(const struct run *r, const char *name) {
    char reason[1024];
    if (!r->program.loader[0] ||
        loader_takes(r->program.loader, r->program.image, r->library, reason, sizeof reason))
        return true;
    if (r->force) {
        cli_warn("%s: %s; its traffic will be PLAINTEXT (--force)", name, reason);
        return true;
    }
    cli_error("%s: %s; its traffic would be plaintext", name, reason);
    return false;
}

static bool choose_config(struct run *r, bool *fallback) {
    *fallback = !config_named(r->config_option, r->config);
    return !*fallback || fallback_prepare(r->config);
}

static bool has_flat(const char *certs) {
    char flat[PATH_MAX];
    return paths_join(flat, certs, "cert-chain.pem") && access(flat, F_OK) == 0;
}

static bool has_old(const char *certs, const char *ns, const char *account) {
    char dir[PATH_MAX], chain[PATH_MAX];
    return paths_join(dir, certs, ns) && paths_join(chain, dir, account) && has_flat(chain);
}

/* A certificate of another trust domain would only make the handshake fail. */
static bool suits_table(const char *ca, const struct policy *p) {
    char domain[IDENTITY_URI_MAX];
    return identity_trust_domain(ca, domain, sizeof domain) &&
           strcmp(domain, policy_mesh(p)->trust_domain) == 0;
}

/* Issues what is missing or past half of its life, where we can. Without a CA key that is somebody else's
 * business, and the program will say itself what it lacks. */
static int issue_missing(const struct policy *p, const char *workload) {
    struct policy_self self;
    const char *certs = policy_mesh(p)->certificates;
    char ca[PATH_MAX], ns[IDENTITY_NAME_MAX], account[IDENTITY_NAME_MAX], pair[2 * IDENTITY_NAME_MAX + 2];
    if (!policy_self(p, workload, &self)) {
        cli_error("%s: a workload is called NAMESPACE/NAME", workload);
        return CLI_CONFIG;
    }
    if (!certs || has_flat(certs) || !identity_find_ca(certs, ca) || !suits_table(ca, p))
        return CLI_OK;
    snprintf(pair, sizeof pair, "%s/%s", self.namespace_, self.account);
    if (!identity_split(pair, "default", ns, account)) {
        cli_error("%s: no certificate can be issued for this name", pair);
        return CLI_CONFIG;
    }
    int issued = identity_issue(ca, certs, ns, account, NULL, 0, true);
    if (issued == 1)
        cli_note("issued a certificate for %s/%s in %s/%s/%s", ns, account, certs, ns, account);
    if (issued >= 0 || !has_old(certs, ns, account))
        return issued < 0 ? CLI_FAILED : CLI_OK;
    cli_warn("the certificate for %s/%s is due and was not renewed", ns, account);
    return CLI_OK;
}

static int check_config(struct run *r, bool fallback) {
    struct policy *p = policy_load(r->config, config_print_error, NULL);
    if (!p)
        return CLI_CONFIG;
    const char *workload = r->as ? r->as : getenv("MTLSWRAP_WORKLOAD");
    int status = issue_missing(p, workload && *workload ? workload : NULL);
    policy_free(p);
    if (status == CLI_OK && fallback)
        cli_note("no table named: accepting side STRICT, loopback destinations ISTIO_MUTUAL (%s)", r->config);
    return status;
}

static bool set_environment(const struct run *r) {
    const char *others = getenv("LD_PRELOAD");
    char preload[PATH_MAX * 2];
    const char *runtime = r->program.runtime, *colon = *runtime ? ":" : "";
    /* ASan's ends the program when it is not the first object of all. ThreadSanitizer's does not look inside
     * its own blocking calls, so the hooks must not be called from there. */
    bool behind = strncmp(runtime, "libtsan", 7) == 0;
    int n = snprintf(preload, sizeof preload, "%s%s%s%s%s%s%s", behind ? "" : runtime, behind ? "" : colon,
                     r->library, behind ? colon : "", behind ? runtime : "", others && *others ? ":" : "",
                     others ? others : "");
    if (n >= (int)sizeof preload) {
        cli_error("LD_PRELOAD is too long");
        return false;
    }
    if (setenv("LD_PRELOAD", preload, 1) != 0 || setenv("MTLSWRAP_CONFIG", r->config, 1) != 0 ||
        (r->as && setenv("MTLSWRAP_WORKLOAD", r->as, 1) != 0)) {
        cli_error("%s", strerror(errno));
        return false;
    }
    return true;
}

/* As execvp(3) does for a file without a known format. */
static void exec_as_script(const char *path, int argc, char **argv) {
    char **words = calloc((size_t)argc + 2, sizeof *words);
    char shell[] = "/bin/sh";
    if (!words)
        return;
    words[0] = shell;
    words[1] = strdup(path);
    for (int i = 1; i < argc; i++)
        words[i + 1] = argv[i];
    if (words[1])
        execve(shell, words, environ);
    free(words[1]);
    free(words);
}

static int become(const struct run *r, int argc, char **argv) {
    bool prove = r->program.verdict <= INSPECT_NOTHING; /* else --force: nothing could be proven */
    if (prove && !proof_start(argv[0], r->library, !r->force)) {
        cli_error("cannot watch over the start of %s: %s", argv[0], strerror(errno));
        return CLI_FAILED;
    }
    execve(r->program.path, argv, environ);
    if (errno == ENOEXEC)
        exec_as_script(r->program.path, argc, argv);
    int saved = errno;
    if (prove)
        proof_cancel();
    cli_error("%s: %s", argv[0], strerror(saved));
    return saved == ENOENT ? CLI_NOT_FOUND : CLI_REFUSED;
}

int run_main(const struct cli_command *self, int argc, char **argv) {
    static struct run r; /* large */
    bool fallback;
    const struct cli_option opts[] = {
        {"config", "FILE", "the policy table (default: $MTLSWRAP_CONFIG, else an embedded one)",
         &r.config_option, NULL},
        {"as", "NAMESPACE/NAME", "which workload the program is (default: $MTLSWRAP_WORKLOAD)", &r.as, NULL},
        {"force", NULL, "run the program even if its traffic will be plaintext", NULL, &r.force},
        {NULL, NULL, NULL, NULL, NULL}};
    int status, i = cli_parse(self, opts, argc, argv, &status);
    if (i < 0)
        return status;
    if (i == argc)
        return cli_usage(self, "run: a PROGRAM is needed");
    if ((status = check_program(&r, argv[i])) != CLI_OK)
        return status;
    if (!find_library(&r))
        return CLI_FAILED;
    if (!loader_agrees(&r, argv[i]))
        return CLI_REFUSED;
    if (!choose_config(&r, &fallback))
        return CLI_FAILED;
    if ((status = check_config(&r, fallback)) != CLI_OK)
        return status;
    return set_environment(&r) ? become(&r, argc - i, argv + i) : CLI_FAILED;
}
