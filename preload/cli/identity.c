/* identity.c - names, directories and locks around the embedded CA. No certificate is made here. */
#include "identity.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ca.h"
#include "cli.h"
#include "paths.h"

enum { NAMES_MAX = 32 };

static bool is_edge(char c) {
    return islower((unsigned char)c) || isdigit((unsigned char)c) || c == '_';
}

/* The names that a table may hold; such a word is safe in a path and in a SPIFFE URI. */
static bool is_name(const char *s, size_t len, bool dots) {
    if (len == 0 || len >= IDENTITY_NAME_MAX || !is_edge(s[0]) || !is_edge(s[len - 1]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_edge(s[i]) && s[i] != '-' && !(dots && s[i] == '.' && s[i - 1] != '.'))
            return false;
    return true;
}

bool identity_split(const char *word, const char *fallback, char *ns, char *name) {
    const char *slash = strchr(word, '/');
    const char *from = slash ? word : fallback, *rest = slash ? slash + 1 : word;
    size_t len = slash ? (size_t)(slash - word) : strlen(fallback);
    if (!is_name(from, len, false) || !is_name(rest, strlen(rest), true))
        return false;
    snprintf(ns, IDENTITY_NAME_MAX, "%.*s", (int)len, from);
    snprintf(name, IDENTITY_NAME_MAX, "%s", rest);
    return true;
}

bool identity_issued_by(const char *ca_dir, const char *dir) {
    struct ca_description ca, own;
    char root[PATH_MAX], theirs[PATH_MAX], err[CA_ERROR_MAX];
    return paths_join(root, dir, "root-cert.pem") && paths_join(theirs, ca_dir, "root-cert.pem") &&
           ca_describe(root, &own, err) == 0 && ca_describe(theirs, &ca, err) == 0 &&
           strcmp(own.sha256, ca.sha256) == 0;
}

/* Files that came from somewhere else are not ours to replace, however old. */
static bool is_foreign(const char *ca_dir, const char *dir) {
    char chain[PATH_MAX];
    return paths_join(chain, dir, "cert-chain.pem") && access(chain, F_OK) == 0 &&
           !identity_issued_by(ca_dir, dir);
}

bool identity_is_ca(const char *dir) {
    char key[PATH_MAX], root[PATH_MAX];
    return paths_join(key, dir, "ca-key.pem") && paths_join(root, dir, "root-cert.pem") &&
           access(key, R_OK) == 0 && access(root, R_OK) == 0;
}

bool identity_find_ca(const char *certs, char *out) {
    char up[PATH_MAX];
    if (identity_is_ca(certs))
        return snprintf(out, PATH_MAX, "%s", certs) < PATH_MAX;
    if (paths_join(up, certs, "..") && identity_is_ca(up))
        return snprintf(out, PATH_MAX, "%s", up) < PATH_MAX;
    return paths_state(out) && identity_is_ca(out);
}

bool identity_trust_domain(const char *ca_dir, char *out, size_t size) {
    struct ca_description d;
    char err[CA_ERROR_MAX], root[PATH_MAX];
    static const char scheme[] = "spiffe://";
    if (!paths_join(root, ca_dir, "root-cert.pem") || ca_describe(root, &d, err) != 0) {
        cli_error("%s", err);
        return false;
    }
    if (strncmp(d.spiffe_id, scheme, sizeof scheme - 1) != 0) {
        cli_error("%s: this CA names no trust domain (no spiffe:// URI)", root);
        return false;
    }
    const char *domain = d.spiffe_id + sizeof scheme - 1;
    snprintf(out, size, "%.*s", (int)strcspn(domain, "/"), domain);
    return true;
}

/* The lock lies beside the files, because ca.h locks the directory itself. */
static int lock_directory(const char *dir) {
    char path[PATH_MAX];
    if (!paths_mkdirs(dir, 0700) || !paths_join(path, dir, ".lock"))
        return -1;
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(fd);
            return -1;
        }
    return fd;
}

/* Cuts "a, b" in place. Returns how many names there are. */
static size_t cut_names(char *list, const char **names) {
    size_t n = 0;
    for (char *save, *w = strtok_r(list, ", ", &save); w && n < NAMES_MAX; w = strtok_r(NULL, ", ", &save))
        names[n++] = w;
    return n;
}

static int issue_locked(const char *ca_dir, const char *dir, const char *ns, const char *account,
                        const char *list, long lifetime) {
    char domain[IDENTITY_URI_MAX], uri[IDENTITY_URI_MAX * 2], err[CA_ERROR_MAX], copy[CA_NAMES_MAX];
    const char *names[NAMES_MAX];
    if (snprintf(copy, sizeof copy, "%s", list ? list : "") >= (int)sizeof copy) {
        cli_error("%s: too many names", dir);
        return -1;
    }
    size_t n = cut_names(copy, names);
    if (!identity_trust_domain(ca_dir, domain, sizeof domain))
        return -1;
    snprintf(uri, sizeof uri, "spiffe://%s/ns/%s/sa/%s", domain, ns, account);
    if (ca_issue(ca_dir, dir, uri, names, n, lifetime, err) == 0)
        return 1;
    cli_error("%s", err);
    return -1;
}

int identity_issue(const char *ca_dir, const char *certs, const char *ns, const char *account,
                   const char *names, long lifetime, bool only_if_due) {
    char parent[PATH_MAX], dir[PATH_MAX];
    if (!paths_join(parent, certs, ns) || !paths_join(dir, parent, account)) {
        cli_error("%s: %s", certs, strerror(errno));
        return -1;
    }
    if (only_if_due && (!ca_needs_renewal(dir) || is_foreign(ca_dir, dir)))
        return 0;
    int lock = lock_directory(dir);
    if (lock < 0) {
        cli_error("%s: %s", dir, strerror(errno));
        return -1;
    }
    int result = 0;
    if (!only_if_due || ca_needs_renewal(dir)) /* another process may have been quicker */
        result = issue_locked(ca_dir, dir, ns, account, names, lifetime);
    close(lock);
    return result;
}
