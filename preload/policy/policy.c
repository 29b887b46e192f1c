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
    struct policy_pool pool = {.head = NULL};
    policy_pool_reserve(&pool, 4096 + text_len * 6);
    struct policy *p = policy_pool_alloc(&pool, sizeof *p);
    if (!p) {
        policy_pool_free(&pool);
        return NULL;
    }
    p->pool = pool;
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

/* A name's length up to the slash of its last part. */
static size_t directory_len(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + (slash == path) : 0;
}

struct policy *policy_parse(const char *name, const char *text, size_t len, policy_report_fn *report,
                            void *arg) {
    struct policy *p = new_table(name, name, directory_len(name), len);
    if (!p) {
        if (report)
            report(arg, POLICY_ERROR, name, 0, "out of memory while reading the table");
        return NULL;
    }
    return read_table(p, text, len, report, arg);
}

/* What a table of usual size is read into. */
struct page {
    char text[4096];
};

static void release(char *text, const struct page *small) {
    if (text != small->text)
        free(text);
}

/* Reads until the end or an error; returns the bytes, or -1 with errno. *text grows as needed. */
static ssize_t read_all(int fd, struct page *small, char **text) {
    size_t room = sizeof small->text, n = 0;
    for (*text = small->text; *text;) {
        ssize_t got = read(fd, *text + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : (ssize_t)n;
        n += (size_t)got;
        if (n < room)
            continue;
        room *= 4;
        char *more = room > TABLE_BYTES_MAX ? NULL
                     : *text == small->text ? malloc(room)
                                            : realloc(*text, room);
        if (more && *text == small->text)
            memcpy(more, small->text, n);
        if (!more)
            errno = EFBIG;
        if (!more)
            release(*text, small);
        *text = more;
    }
    return -1;
}

/* The whole of a file; NULL with errno when it cannot be read. Without stdio, because every start of a
 * wrapped program comes through here, and most have no other use for it so early. */
static char *slurp(const char *path, struct page *small, size_t *len) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    ssize_t n = read_all(fd, small, &text);
    int saved = errno;
    close(fd);
    errno = saved;
    if (n < 0) {
        release(text, small);
        return NULL;
    }
    *len = (size_t)n;
    return text;
}

/* The table's directory has to be absolute where the working directory is known: daemons change it later.
 * Only at the start is the name a relative one, so no thread with a small stack comes here. */
__attribute__((noinline)) static struct policy *table_here(const char *path, size_t len) {
    char dir[4096];
    size_t n = getcwd(dir, sizeof dir) ? strlen(dir) : 0, more = directory_len(path);
    if (n + more + 2 > sizeof dir)
        return new_table(path, dir, 0, len);
    if (n && more)
        dir[n++] = '/';
    memcpy(dir + n, path, more);
    return new_table(path, dir, n + more, len);
}

static void unreadable(const char *path, int error, policy_report_fn *report, void *arg) {
    char message[256];
    const char *reason = strerrordesc_np(error);
    snprintf(message, sizeof message, "cannot read the policy table: %s", reason ? reason : "unknown error");
    report(arg, POLICY_ERROR, path, 0, message);
}

struct policy *policy_load(const char *path, policy_report_fn *report, void *arg) {
    size_t len = 0;
    errno = 0;
    struct page small;
    char *text = slurp(path, &small, &len);
    struct policy *p = !text            ? NULL
                       : path[0] == '/' ? new_table(path, path, directory_len(path), len)
                                        : table_here(path, len);
    if (p)
        p = read_table(p, text, len, report, arg);
    else if (report)
        unreadable(path, text ? ENOMEM : errno, report, arg);
    release(text, &small);
    return p;
}

void policy_free(struct policy *p) {
    if (!p)
        return;
    struct policy_pool pool = p->pool; /* which p is in */
    policy_intern_free(p);
    policy_pool_free(&pool);
}

const struct policy_mesh *policy_mesh(const struct policy *p) {
    return &p->mesh.mesh;
}
