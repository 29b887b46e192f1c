/* credentials_find.c - which files hold a configuration's credentials, and whether they were touched.
 * Only looks (stat), never opens. Paths are kept off the stack: a program's thread may have little of it. */
#include "credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(char *error, const char *what) {
    (void)snprintf(error, HANDSHAKE_ERROR_MAX, "%s", what);
    return -1;
}

static bool copy(char *out, const char *from) {
    size_t n = strlen(from);
    if (n >= PATH_MAX)
        return false;
    memcpy(out, from, n + 1);
    return true;
}

static bool join(char *out, const char *dir, const char *name) {
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX;
}

/* Where names are put together. */
struct room {
    char dir[PATH_MAX], space[PATH_MAX], file[PATH_MAX];
};

static bool exists(struct room *r, const char *dir, const char *name) {
    struct stat st;
    return join(r->file, dir, name) && stat(r->file, &st) == 0;
}

/* A directory counts when it has a chain or a key: one that is being filled must not fall back to
 * another identity. */
static bool is_identity(struct room *r, const char *dir) {
    return exists(r, dir, "cert-chain.pem") || exists(r, dir, "key.pem");
}

static bool plain_component(const char *s) {
    return s && s[0] && s[0] != '.' && !strchr(s, '/');
}

/* DIR/NAMESPACE/ACCOUNT, else DIR/NAMESPACE, else DIR. */
static bool deepest(const struct handshake_config *cfg, struct room *r) {
    if (plain_component(cfg->namespace_) && join(r->space, cfg->identity_dir, cfg->namespace_)) {
        const char *account = cfg->account ? cfg->account : "default";
        if (plain_component(account) && join(r->dir, r->space, account) && is_identity(r, r->dir))
            return true;
        if (is_identity(r, r->space))
            return copy(r->dir, r->space);
    }
    return copy(r->dir, cfg->identity_dir);
}

static bool from_directory(const char *dir, struct credentials_files *out) {
    out->own_must_verify = true;
    return join(out->chain, dir, "cert-chain.pem") && join(out->key, dir, "key.pem") &&
           join(out->roots, dir, "root-cert.pem") && join(out->crl, dir, "crl.pem");
}

/* < 0: reason in error. */
static int look_in_directory(const struct handshake_config *cfg, struct credentials_files *out, char *error) {
    if (!cfg->identity_dir)
        return fail(error, "no directory of certificates is configured ([Mesh] certificates)");
    struct room *r = malloc(sizeof *r);
    if (!r)
        return fail(error, "out of memory");
    bool found = deepest(cfg, r) && from_directory(r->dir, out);
    free(r);
    return found ? 0 : fail(error, "the directory of certificates has too long a name");
}

static bool explicit_files(const struct handshake_config *cfg, struct credentials_files *out) {
    if (!cfg->certificate)
        return true;
    return copy(out->chain, cfg->certificate) && copy(out->key, cfg->private_key ? cfg->private_key : "");
}

int credentials_files(const struct handshake_config *cfg, struct credentials_files *out, char *error) {
    memset(out, 0, sizeof *out);
    bool directory = cfg->spiffe || (cfg->server && !cfg->certificate);
    if (directory && look_in_directory(cfg, out, error) < 0)
        return -1;
    if (cfg->certificate && !cfg->private_key)
        return fail(error, "a certificate is configured without its private key");
    if (!directory && !explicit_files(cfg, out))
        return fail(error, "a certificate's file name is too long");
    if (cfg->spiffe)
        return 0;
    out->own_must_verify = out->own_must_verify && !cfg->ca_file;
    out->system_roots = !cfg->ca_file && !out->roots[0];
    if (cfg->ca_file && !copy(out->roots, cfg->ca_file))
        return fail(error, "the CA file's name is too long");
    return 0;
}

static uint64_t nanoseconds(struct timespec t) {
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void credentials_stamp(const struct credentials_files *files, struct credentials_stamp *out) {
    const char *name[4] = {files->chain, files->key, files->roots, files->crl};
    memset(out, 0, sizeof *out); /* an absent file is all zero */
    for (int i = 0; i < 4; i++) {
        struct stat st;
        if (!name[i][0] || stat(name[i], &st) != 0)
            continue;
        out->file[i].dev = st.st_dev;
        out->file[i].ino = st.st_ino;
        out->file[i].size = (uint64_t)st.st_size;
        out->file[i].mtime = nanoseconds(st.st_mtim);
        out->file[i].ctime = nanoseconds(st.st_ctim);
    }
}
