/* core.c - start-up: environment, table, proof of loading; later the reload of the table and the loading of
 * the engine. Makes no decision about any connection. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "calm.h"
#include "confine.h"
#include "keep.h"
#include "log.h"
#include "moving.h"
#include "real.h"
#include "reload.h"

enum { LOOK_MS = 250, QUIET_MS = 300, CUT_QUIET_MS = 2000 };

struct core core;
const struct mtlswrap_engine *core_loaded;

static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static _Atomic pid_t reloading;   /* the process that is at it; a forked child inherits a stale one */
static const char *table_path;    /* absolute: daemons change their directory */
static struct stat table_stat;    /* of who is reloading */
static _Atomic int64_t looked_at; /* when, in milliseconds */

/* Warnings wait until it is known that the table has no error: beside one they are only its echoes. */
struct warnings {
    char *line[32];
    size_t count;
};

static void report(void *arg, enum policy_severity severity, const char *file, int line,
                   const char *message) {
    struct warnings *later = arg;
    char place[16] = "", *text = NULL;
    if (line)
        snprintf(place, sizeof place, ":%d", line);
    if (severity == POLICY_ERROR)
        log_error("%s%s: %s", file, place, message);
    else if (later->count < sizeof later->line / sizeof *later->line &&
             asprintf(&text, "%s%s: %s", file, place, message) >= 0)
        later->line[later->count++] = text;
}

static struct policy *load(const char *path) {
    struct warnings later = {.count = 0};
    struct policy *p = policy_load(path, report, &later);
    for (size_t i = 0; i < later.count; i++) {
        if (p)
            log_warn("%s", later.line[i]);
        free(later.line[i]);
    }
    return p;
}

/* `mtlswrap run` waits for this byte to know that the object was really loaded. */
static void prove(void) {
    const char *name = getenv("MTLSWRAP_PROOF");
    if (!name)
        return;
    char *end;
    long fd = strtol(name, &end, 10);
    if (end != name && !*end && fd > 2) {
        (void)!real.write((int)fd, "+", 1);
        real.close((int)fd);
    }
    unsetenv("MTLSWRAP_PROOF");
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_dev == b->st_dev;
}

/* Links are not followed: they may be what is changed. */
static const char *absolute(const char *path) {
    char *out, *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    if (path[0] == '/')
        return path;
    if (!here)
        return keep(path);
    if (asprintf(&out, "%s/%s", here, path) < 0)
        out = NULL;
    free(here);
    return out;
}

static void load_table(void) {
    core.config = keep(core.config);
    table_path = core.config ? absolute(core.config) : NULL;
    if (core.workload)
        core.workload = keep(core.workload);
    if (table_path)
        stat(table_path, &table_stat); /* before: what is written from here on is a change */
    struct policy *p = load(core.config);
    if (p && !policy_self_named(core.workload)) {
        log_error("MTLSWRAP_WORKLOAD=%s: expected NAMESPACE/NAME", core.workload);
        p = NULL;
    }
    if (!table_path)
        log_error("%s: its absolute path cannot be found", core.config);
    if (!p || !table_path) /* every reason has been said */
        _exit(EX_CONFIG);
    atomic_store(&core.policy, p);
    core.active = true;
}

static void init(void) {
    real_init();
    log_init();
    prove();
    core.config = getenv("MTLSWRAP_CONFIG");
    core.workload = getenv("MTLSWRAP_WORKLOAD");
    if (core.config && *core.config)
        load_table();
    if (core.active)
        moving_adopt();
}

void core_init(void) {
    pthread_once(&init_once, init);
}

__attribute__((constructor)) static void start(void) {
    core_init();
}

/* False also for an empty file. */
static bool ends_its_last_line(const struct stat *now) {
    char last = 0;
    int fd = open(table_path, O_RDONLY | O_CLOEXEC);
    bool read_it = fd >= 0 && now->st_size && pread(fd, &last, 1, now->st_size - 1) == 1;
    if (fd >= 0)
        real.close(fd);
    return read_it && last == '\n';
}

/* Changed and quiet: who writes a table in several steps is not done while the time of the last one is fresh,
 * or a line is cut. The clock may also have been set back. */
static bool table_changed(struct stat *now) {
    if (stat(table_path, now) || same_file(now, &table_stat))
        return false;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t age = (t.tv_sec - now->st_mtim.tv_sec) * 1000 + (t.tv_nsec - now->st_mtim.tv_nsec) / 1000000;
    return age < 0 || age >= CUT_QUIET_MS || (age >= QUIET_MS && ends_its_last_line(now));
}

/* NULL: it cannot be used, which was said. */
static struct policy *load_changed(const struct stat *now, struct policy_self *self) {
    if (!now->st_size) { /* valid, but nobody means to protect nothing; an interrupted write leaves this */
        log_warn("%s: the changed policy table is empty", table_path);
        return NULL;
    }
    struct policy *p = load(table_path);
    if (p && !policy_self(p, core.workload, self)) {
        policy_free(p);
        p = NULL;
    }
    return p;
}

static void reload(void) {
    struct stat now, then;
    struct policy_self self;
    if (!table_changed(&now))
        return;
    struct policy *p = load_changed(&now, &self);
    if (stat(table_path, &then) || !same_file(&now, &then)) { /* written meanwhile: look again */
        policy_free(p);
        return;
    }
    table_stat = now;
    if (!p) {
        log_warn("%s: the changed policy table cannot be used; the old one stays in force", table_path);
        return;
    }
    atomic_store(&core.policy, p);
    log_info("%s: the changed policy table is in force", table_path);
    reload_apply(p, &self);
}

void core_look(void) {
    struct timespec t;
    if (confine_lost(CONFINE_FILES | CONFINE_STAT))
        return;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    int64_t now = t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000, seen = atomic_load(&looked_at);
    if (now - seen < LOOK_MS || !atomic_compare_exchange_strong(&looked_at, &seen, now))
        return;
    pid_t self = getpid(), other = atomic_load(&reloading);
    if (other == self || !atomic_compare_exchange_strong(&reloading, &other, self))
        return;
    int saved = errno;
    calm_begin();
    reload();
    calm_end();
    errno = saved;
    atomic_store(&reloading, 0);
}

const struct policy *core_policy(struct policy_self *self) {
    core_look();
    const struct policy *p = atomic_load(&core.policy);
    if (!policy_self(p, core.workload, self))
        *self = (struct policy_self){.namespace_ = "default", .account = "default"};
    return p;
}

static void engine_log(int level, const char *line) {
    log_write((enum log_level)level, "%s", line);
}

static void load_engine(void) {
    char *path = NULL;
    const char *own = real_object(), *slash = strrchr(own, '/');
    if (asprintf(&path, "%.*s/libmtlswrap-engine.so", slash ? (int)(slash - own) : 1, slash ? own : ".") < 0)
        return;
    const char *error = "it belongs to another version";
    struct mtlswrap_engine *engine = real_load(path, "mtlswrap_engine", &error);
    if (!engine || engine->abi != MTLSWRAP_ENGINE_ABI) {
        log_error("%s cannot be loaded: %s; protected connections will fail", path, error);
    } else {
        engine->log = engine_log;
        core_loaded = engine;
    }
    free(path);
}

const struct mtlswrap_engine *core_engine(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_engine);
    return core_loaded;
}

void core_settle(void) {
    struct policy_self self;
    const struct policy *p = core_policy(&self);
    const struct policy_mesh *mesh = policy_mesh(p);
    const struct mtlswrap_engine *engine = core_engine();
    if (!engine || !mesh->certificates)
        return;
    char error[HANDSHAKE_ERROR_MAX] = "";
    struct handshake_config cfg = {.server = true,
                                   .spiffe = true,
                                   .client_auth = CLIENT_AUTH_REQUIRED,
                                   .trust_domain = mesh->trust_domain,
                                   .identity_dir = mesh->certificates,
                                   .namespace_ = self.namespace_,
                                   .account = self.account,
                                   .alpn_istio = true};
    bool found = engine->handshake->prepare(&cfg, error) >= 0;
    cfg.server = false; /* whoever accepts may connect too: an FTP server in active mode, a proxy */
    if (!found || engine->handshake->prepare(&cfg, error) < 0)
        log_warn("%s; looked for at every connection", error);
}
