/* core.c - start-up: environment, table, proof of loading; later the reload of the table and the loading of
 * the engine. Makes no decision about any connection. */
#include "core.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "moving.h"
#include "real.h"

struct core core;
const struct mtlswrap_engine *core_loaded;

static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t reload_lock = PTHREAD_MUTEX_INITIALIZER;
static struct stat table_stat;   /* under reload_lock */
static _Atomic time_t looked_at; /* second of the last look at the table */

static void report_fatal(void *arg, enum policy_severity severity, const char *file, int line,
                         const char *message) {
    (void)arg;
    if (severity == POLICY_ERROR)
        log_error("%s:%d: %s", file, line, message);
    else
        log_warn("%s:%d: %s", file, line, message);
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

static void load_table(void) {
    core.config = strdup(core.config);
    if (core.workload)
        core.workload = strdup(core.workload);
    struct policy *p = policy_load(core.config, report_fatal, NULL);
    struct policy_self self;
    if (p && !policy_self(p, core.workload, &self)) {
        log_error("MTLSWRAP_WORKLOAD=%s: expected NAMESPACE/NAME", core.workload);
        p = NULL;
    }
    if (!p) {
        log_error("%s: the policy table cannot be used; refusing to start", core.config);
        _exit(EX_CONFIG);
    }
    stat(core.config, &table_stat);
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

static bool table_changed(struct stat *now) {
    return !stat(core.config, now) &&
           (now->st_mtim.tv_sec != table_stat.st_mtim.tv_sec ||
            now->st_mtim.tv_nsec != table_stat.st_mtim.tv_nsec || now->st_ino != table_stat.st_ino ||
            now->st_size != table_stat.st_size);
}

static void reload(void) {
    struct stat now;
    if (table_changed(&now)) {
        table_stat = now;
        struct policy_self self;
        const struct policy *p = policy_load(core.config, report_fatal, NULL);
        if (p && policy_self(p, core.workload, &self)) {
            atomic_store(&core.policy, p);
            log_info("%s: the changed policy table is in force", core.config);
        } else {
            log_warn("%s: the changed policy table has errors; the old one stays in force", core.config);
        }
    }
}

const struct policy *core_policy(struct policy_self *self) {
    time_t now = time(NULL), seen = atomic_load(&looked_at);
    if (now != seen && atomic_compare_exchange_strong(&looked_at, &seen, now) &&
        !pthread_mutex_trylock(&reload_lock)) {
        reload();
        pthread_mutex_unlock(&reload_lock);
    }
    const struct policy *p = atomic_load(&core.policy);
    if (!policy_self(p, core.workload, self))
        *self = (struct policy_self){.namespace_ = "default", .account = "default"};
    return p;
}

static void engine_log(int level, const char *line) {
    log_write((enum log_level)level, "%s", line);
}

static void load_engine(void) {
    char path[4096 + 32];
    snprintf(path, sizeof path, "%s/libmtlswrap-engine.so", real_home());
    const char *error = "it belongs to another version";
    struct mtlswrap_engine *engine = real_load(path, "mtlswrap_engine", &error);
    if (!engine || engine->abi != MTLSWRAP_ENGINE_ABI) {
        log_error("%s cannot be loaded: %s; protected connections will fail", path, error);
        return;
    }
    engine->log = engine_log;
    core_loaded = engine;
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
    if (engine->handshake->prepare(&cfg, error) < 0)
        log_warn("%s; looked for at every connection", error);
}
