/* policy.c - from a file or a text to a table: read, check, index, report. No rule is judged here. */
#include "policy_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_BYTES_MAX = 64 << 20 };

static void add_finding(struct policy_reading *r, enum policy_severity severity, int line, const char *fmt,
                        va_list ap) {
    char text[512];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    struct policy_finding *f = policy_pool_alloc(&r->p->pool, sizeof *f);
    const char *message = policy_pool_copy(&r->p->pool, text, len < sizeof text ? len : sizeof text - 1);
    if (severity == POLICY_ERROR)
        r->errors++;
    if (!f || !message)
        return;
    *f = (struct policy_finding){r->findings, severity, line, message};
    r->findings = f;
}

void policy_fail(struct policy_reading *r, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_finding(r, POLICY_ERROR, line, fmt, ap);
    va_end(ap);
}

void policy_warn(struct policy_reading *r, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add_finding(r, POLICY_WARNING, line, fmt, ap);
    va_end(ap);
}

struct numbered {
    const struct policy_finding *f;
    size_t order;
};

static int by_line(const void *a, const void *b) {
    const struct numbered *x = a, *y = b;
    if (x->f->line != y->f->line)
        return x->f->line < y->f->line ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Findings in the order of their lines, however many passes found them. */
static void deliver(struct policy_reading *r, policy_report_fn *report, void *arg) {
    size_t n = 0;
    for (const struct policy_finding *f = r->findings; f; f = f->next)
        n++;
    struct numbered *all = n && report ? policy_pool_alloc(&r->p->pool, n * sizeof *all) : NULL;
    if (!all)
        return;
    size_t i = n;
    for (const struct policy_finding *f = r->findings; f; f = f->next) {
        i--;
        all[i] = (struct numbered){f, i};
    }
    qsort(all, n, sizeof *all, by_line);
    for (i = 0; i < n; i++)
        report(arg, all[i].f->severity, r->p->file, all[i].f->line, all[i].f->message);
}

static struct policy *new_table(const char *name, const char *dir, size_t dir_len, size_t text_len) {
    struct policy *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    policy_pool_reserve(&p->pool, 4096 + text_len * 6);
    p->file = policy_pool_copy(&p->pool, name, strlen(name));
    p->directory = dir_len ? policy_pool_copy(&p->pool, dir, dir_len) : NULL;
    p->mesh.mesh = (struct policy_mesh){.trust_domain = "cluster.local",
                                        .namespace_ = "default",
                                        .linger_ms = 5000,
                                        .handshake_timeout_ms = 10000,
                                        .permissive_wait_ms = 100};
    p->mesh.cluster_domain = "cluster.local";
    p->mesh.root_namespace = "istio-system";
    return p;
}

static struct policy *read_table(struct policy *p, const char *text, size_t len, policy_report_fn *report,
                                 void *arg) {
    struct policy_reading r = {.p = p, .text = text, .end = text + len, .outside = true};
    policy_reader_run(&r);
    if (!p->pool.failed) /* later steps rely on what earlier ones allocated */
        policy_complete_names(&r);
    if (!p->pool.failed)
        policy_index_build(p);
    if (!p->pool.failed)
        policy_complete_links(&r);
    if (!p->pool.failed)
        policy_check_all(&r);
    deliver(&r, report, arg);
    if (p->pool.failed && report)
        report(arg, POLICY_ERROR, p->file, 0, "out of memory while reading the table");
    if (!r.errors && !p->pool.failed)
        return p;
    policy_free(p);
    return NULL;
}

struct policy *policy_parse(const char *name, const char *text, size_t len, policy_report_fn *report,
                            void *arg) {
    const char *slash = strrchr(name, '/');
    size_t dir = slash ? (size_t)(slash - name) + (slash == name) : 0;
    struct policy *p = new_table(name, name, dir, len);
    if (!p) {
        if (report)
            report(arg, POLICY_ERROR, name, 0, "out of memory while reading the table");
        return NULL;
    }
    return read_table(p, text, len, report, arg);
}

/* Reads until the end or an error; returns the bytes, or -1 with errno. *text grows as needed. */
static ssize_t read_all(int fd, char **text) {
    size_t room = 4096, n = 0;
    for (*text = malloc(room); *text;) {
        ssize_t got = read(fd, *text + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : (ssize_t)n;
        n += (size_t)got;
        if (n < room)
            continue;
        room *= 4;
        char *more = room <= TABLE_BYTES_MAX ? realloc(*text, room) : NULL;
        if (!more)
            errno = EFBIG;
        if (!more)
            free(*text);
        *text = more;
    }
    return -1;
}

/* The whole of a file; NULL with errno when it cannot be read. Without stdio, because every start of a
 * wrapped program comes through here, and most have no other use for it so early. */
static char *slurp(const char *path, size_t *len) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    ssize_t n = read_all(fd, &text);
    int saved = errno;
    close(fd);
    errno = saved;
    if (n < 0) {
        free(text);
        return NULL;
    }
    *len = (size_t)n;
    return text;
}

/* The table's directory, absolute where the working directory is known: daemons change it later. */
static size_t directory_of(const char *path, char *out, size_t size) {
    const char *slash = strrchr(path, '/');
    size_t dir = slash ? (size_t)(slash - path) + (slash == path) : 0;
    size_t n = 0;
    if (path[0] != '/' && getcwd(out, size))
        n = strlen(out);
    if (n + dir + 2 > size)
        return 0;
    if (n && dir)
        out[n++] = '/';
    memcpy(out + n, path, dir);
    return n + dir;
}

struct policy *policy_load(const char *path, policy_report_fn *report, void *arg) {
    char dir[4096], message[256];
    size_t len = 0;
    errno = 0;
    char *text = slurp(path, &len);
    struct policy *p = text ? new_table(path, dir, directory_of(path, dir, sizeof dir), len) : NULL;
    if (!p) {
        const char *reason = strerrordesc_np(text ? ENOMEM : errno);
        snprintf(message, sizeof message, "cannot read the policy table: %s",
                 reason ? reason : "unknown error");
        if (report)
            report(arg, POLICY_ERROR, path, 0, message);
        free(text);
        return NULL;
    }
    p = read_table(p, text, len, report, arg);
    free(text);
    return p;
}

void policy_free(struct policy *p) {
    if (!p)
        return;
    policy_intern_free(p);
    policy_pool_free(&p->pool);
    free(p);
}

const struct policy_mesh *policy_mesh(const struct policy *p) {
    return &p->mesh.mesh;
}
