/* certtree.c - walks directories of certificates: shows or renews what it meets. */
#include "certtree.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ca.h"
#include "cli.h"
#include "identity.h"
#include "paths.h"

enum { DEPTH_MAX = 4 }; /* state directory / certs / NAMESPACE / ACCOUNT */
/* The CA dates certificates back by this, for peers whose clock is slow; a renewal must not add it up. */
enum { BACKDATED = 60 };

struct walk {
    bool (*visit)(struct walk *w, const char *path); /* a file, or the directory that holds one */
    const char *ca_dir, *domain;
    bool force, ok;
    size_t seen, done;
};

static void print_time(const char *what, int64_t seconds) {
    time_t t = (time_t)seconds;
    struct tm tm;
    char words[64];
    if (gmtime_r(&t, &tm) && strftime(words, sizeof words, "%Y-%m-%d %H:%M:%S UTC", &tm))
        printf("  %-11s %s\n", what, words);
}

static void print_validity(const struct ca_description *d) {
    int64_t now = time(NULL), left = d->not_after - now;
    print_time("from", d->not_before);
    print_time("until", d->not_after);
    if (now < d->not_before)
        printf("  %-11s not yet valid\n", "state");
    else if (left <= 0)
        printf("  %-11s EXPIRED\n", "state");
    else if (left >= 48 * 3600)
        printf("  %-11s valid for %lld more days\n", "state", (long long)(left / 86400));
    else
        printf("  %-11s valid for %lld h %lld min more%s\n", "state", (long long)(left / 3600),
               (long long)(left / 60 % 60),
               left < (d->not_after - d->not_before) / 2 ? ", past half of its life" : "");
}

static bool show_one(struct walk *w, const char *path) {
    struct ca_description d;
    char err[CA_ERROR_MAX];
    if (ca_describe(path, &d, err) != 0) {
        cli_error("%s", err);
        return false;
    }
    printf("%s%s\n", w->seen > 1 ? "\n" : "", path);
    printf("  %-11s %s\n", "kind", d.is_ca ? "certificate authority" : "identity");
    if (d.spiffe_id[0])
        printf("  %-11s %s\n", "name", d.spiffe_id);
    if (d.subject[0])
        printf("  %-11s %s\n", "subject", d.subject);
    if (d.names[0])
        printf("  %-11s %s\n", "also", d.names);
    printf("  %-11s %s\n", "issuer", d.issuer[0] ? d.issuer : "(none)");
    printf("  %-11s %s, private key %s\n", "key", d.key, d.has_key ? "present and fitting" : "not here");
    print_validity(&d);
    printf("  %-11s %s\n  %-11s %s\n", "serial", d.serial, "sha256", d.sha256);
    return true;
}

/* Cuts "spiffe://DOMAIN/ns/NS/sa/ACCOUNT". */
static bool cut_uri(const char *uri, const char *domain, char *ns, char *account) {
    size_t n = strlen("spiffe://"), d = strlen(domain);
    char pair[2 * IDENTITY_NAME_MAX + 2];
    if (strncmp(uri, "spiffe://", n) != 0 || strncmp(uri + n, domain, d) != 0)
        return false;
    uri += n + d;
    const char *sa = strstr(uri, "/sa/");
    if (strncmp(uri, "/ns/", 4) != 0 || !sa)
        return false;
    int len = snprintf(pair, sizeof pair, "%.*s/%s", (int)(sa - uri - 4), uri + 4, sa + 4);
    return len < (int)sizeof pair && identity_split(pair, "default", ns, account);
}

/* The directory above NAMESPACE/ACCOUNT, where certs issue would put this identity. */
static bool certs_above(const char *dir, const char *ns, const char *account, char *out) {
    char tail[2 * IDENTITY_NAME_MAX + 3];
    size_t t = (size_t)snprintf(tail, sizeof tail, "/%s/%s", ns, account), n = strlen(dir);
    if (n <= t || strcmp(dir + n - t, tail) != 0)
        return false;
    snprintf(out, PATH_MAX, "%.*s", (int)(n - t), dir);
    return true;
}

static bool renew_one(struct walk *w, const char *path) {
    struct ca_description d;
    char err[CA_ERROR_MAX], ns[IDENTITY_NAME_MAX], account[IDENTITY_NAME_MAX], certs[PATH_MAX];
    if (ca_describe(path, &d, err) != 0) {
        cli_error("%s", err);
        return false;
    }
    if (d.is_ca)
        return true;
    if (!identity_issued_by(w->ca_dir, path)) {
        cli_warn("%s: not issued by the CA in %s; left alone", path, w->ca_dir);
        return true;
    }
    if (!cut_uri(d.spiffe_id, w->domain, ns, account) || !certs_above(path, ns, account, certs)) {
        cli_warn("%s: not an identity of %s in NAMESPACE/ACCOUNT/; left alone", path, w->domain);
        return true;
    }
    long lifetime = (long)(d.not_after - d.not_before);
    if (lifetime > BACKDATED)
        lifetime -= BACKDATED;
    int issued = identity_issue(w->ca_dir, certs, ns, account, d.names, lifetime, !w->force);
    if (issued > 0)
        printf("%s: renewed\n", path);
    w->done += issued > 0;
    return issued >= 0;
}

static void visit(struct walk *w, const char *path) {
    w->seen++;
    w->ok = w->visit(w, path) && w->ok;
}

/* A directory that holds certificates by itself, of an identity or of a CA. */
static bool holds_certificates(const char *dir) {
    char chain[PATH_MAX], root[PATH_MAX];
    return (paths_join(chain, dir, "cert-chain.pem") && access(chain, F_OK) == 0) ||
           (paths_join(root, dir, "root-cert.pem") && access(root, F_OK) == 0);
}

static void walk_directory(struct walk *w, const char *dir, int depth);

static void walk_names(struct walk *w, const char *dir, struct dirent **list, int n, int depth) {
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        struct stat st;
        if (list[i]->d_name[0] != '.' && paths_join(path, dir, list[i]->d_name) && lstat(path, &st) == 0 &&
            S_ISDIR(st.st_mode))
            walk_directory(w, path, depth + 1);
        free(list[i]);
    }
    free(list);
}

static void walk_directory(struct walk *w, const char *dir, int depth) {
    if (holds_certificates(dir))
        visit(w, dir);
    struct dirent **list;
    int n = depth < DEPTH_MAX ? scandir(dir, &list, NULL, alphasort) : 0;
    if (n < 0) {
        cli_error("%s: %s", dir, strerror(errno));
        w->ok = false;
    } else if (n > 0) {
        walk_names(w, dir, list, n, depth);
    }
}

static bool walk(struct walk *w, const char *path) {
    struct stat st;
    w->ok = true;
    if (stat(path, &st) != 0) {
        cli_error("%s: %s", path, strerror(errno));
        return false;
    }
    if (S_ISDIR(st.st_mode))
        walk_directory(w, path, 0);
    else
        visit(w, path);
    if (w->seen == 0)
        cli_error("%s: no certificates there", path);
    return w->ok && w->seen > 0;
}

bool certtree_show(const char *path) {
    struct walk w = {.visit = show_one};
    return walk(&w, path);
}

bool certtree_renew(const char *ca_dir, const char *path, bool force) {
    char domain[IDENTITY_URI_MAX];
    if (!identity_trust_domain(ca_dir, domain, sizeof domain))
        return false;
    struct walk w = {.visit = renew_one, .ca_dir = ca_dir, .domain = domain, .force = force};
    bool ok = walk(&w, path);
    if (ok && w.done == 0)
        puts("nothing to renew");
    return ok;
}
