/* fallback.c - makes the embedded default a real file, so that everything behind `run` reads a table as
 * usual. Overwrites only the table that it wrote itself. */
#include "fallback.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ca.h"
#include "cli.h"
#include "filemap.h"
#include "identity.h"
#include "paths.h"

static const char table[] =
    "; Written by `mtlswrap run`, which uses it when no table is named. Changes to this\n"
    "; file are overwritten: copy it and name the copy with --config.\n"
    "[Mesh]\n"
    "trustDomain = %s\n"
    "certificates = ./certs\n"
    "\n"
    "[MeshPolicy default]\n"
    "mtls.mode = STRICT\n"
    "\n"
    "[DestinationRule istio-system/loopback-ipv4]\n"
    "host = 127.0.0.0/8\n"
    "tls.mode = ISTIO_MUTUAL\n"
    "\n"
    "[DestinationRule istio-system/loopback-ipv6]\n"
    "host = ::1/128\n"
    "tls.mode = ISTIO_MUTUAL\n";

static bool holds(const char *path, const char *text) {
    struct filemap m;
    if (!filemap_open(&m, path))
        return false;
    bool same = m.size == strlen(text) && memcmp(m.data, text, m.size) == 0;
    filemap_close(&m);
    return same;
}

static bool write_all(int fd, const char *text) {
    for (size_t left = strlen(text); left;) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
    return true;
}

/* Whole or not at all, because running programs reread the table. */
static bool replace(const char *dir, const char *path, const char *text) {
    char temporary[PATH_MAX];
    if (holds(path, text))
        return true;
    if (!paths_join(temporary, dir, ".default.ini.XXXXXX"))
        return false;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, text) && fsync(fd) == 0;
    ok = close(fd) == 0 && ok && rename(temporary, path) == 0;
    int saved = errno;
    if (!ok)
        unlink(temporary);
    errno = saved;
    return ok;
}

static bool make_ca(const char *dir) {
    char err[CA_ERROR_MAX];
    int made = ca_init(dir, "cluster.local", err);
    if (made < 0)
        cli_error("%s", err);
    if (made == 0)
        cli_note("made a certificate authority in %s", dir);
    return made >= 0;
}

bool fallback_prepare(char *config) {
    char dir[PATH_MAX], domain[IDENTITY_URI_MAX], text[sizeof table + IDENTITY_URI_MAX];
    if (!paths_state(dir)) {
        cli_error("no state directory: HOME, XDG_STATE_HOME and MTLSWRAP_STATE are all unset");
        return false;
    }
    if (!paths_mkdirs(dir, 0700)) {
        cli_error("%s: %s", dir, strerror(errno));
        return false;
    }
    if (!make_ca(dir) || !identity_trust_domain(dir, domain, sizeof domain))
        return false;
    snprintf(text, sizeof text, table, domain);
    if (!paths_join(config, dir, "default.ini") || !replace(dir, config, text)) {
        cli_error("%s/default.ini: %s", dir, strerror(errno));
        return false;
    }
    return true;
}
