/* reload.c - `[Mesh] onPolicyChange = close`: judges running connections by an edited table. Looks only at
 * what is known of the peer; sends nothing but an alert. Plaintext connections are unmanaged, so nobody here
 * knows of them. */
#include "reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "fdtable.h"
#include "log.h"
#include "names.h"
#include "send.h"
#include "wire.h"

enum { ACCESS_DENIED = 49, WHY_MAX = 2 * SLOT_PEER_MAX + SLOT_RULE_MAX };

/* Why the connection would not come about today, or NULL. DISABLE asks for less than there is. */
static const char *against_inbound(const struct policy *p, const struct policy_self *self,
                                   const struct slot *s, struct policy_rule *rule) {
    struct policy_inbound in;
    policy_inbound(p, self, &s->local.any, &in);
    *rule = in.rule;
    if (in.mode == MTLS_DISABLE)
        return NULL;
    if (in.mode == MTLS_STRICT && !s->peer_name[0])
        return "mutual TLS is demanded now";
    if (in.principal_count && !policy_principal_allowed(&in, s->peer_name))
        return "it is not on the list of principals now";
    return NULL;
}

static bool of_trust_domain(const struct policy *p, const char *uri) {
    static const char scheme[] = "spiffe://";
    const char *domain = policy_mesh(p)->trust_domain;
    size_t n = strlen(domain), at = sizeof scheme - 1;
    return strncmp(uri, scheme, at) == 0 && strncmp(uri + at, domain, n) == 0 && uri[at + n] == '/';
}

static const char *against_outbound(const struct policy *p, const struct policy_self *self,
                                    const struct slot *s, struct policy_rule *rule) {
    struct policy_outbound out;
    policy_outbound(p, self, &s->peer.any, names_last(&s->peer.any), &out);
    *rule = out.rule;
    if (out.mode != TLS_ISTIO_MUTUAL && out.mode != TLS_PERMISSIVE)
        return NULL;
    if (out.any_of_trust_domain)
        return of_trust_domain(p, s->peer_name) ? NULL : "it is of another trust domain now";
    for (size_t i = 0; i < out.subject_alt_name_count; i++)
        if (strcmp(out.subject_alt_names[i], s->peer_name) == 0)
            return NULL;
    return "the server's name is another one now";
}

static void describe(char *out, size_t size, const struct slot *s, const char *why,
                     const struct policy_rule *rule) {
    const char *slash = rule->file ? strrchr(rule->file, '/') : NULL;
    snprintf(out, size, "the changed table ends it: peer \"%s\", %s (%s:%d [%s])", s->peer_name, why,
             slash        ? slash + 1
             : rule->file ? rule->file
                          : "-",
             rule->line, rule->section);
}

static void end(int fd, struct slot *s, const char *why) {
    char name[SLOT_NAME_MAX];
    if (!slot_trylock(&s->tx_lock)) { /* a writer blocks in the kernel: that is where it hears of it */
        log_warn("%s: %s", slot_name(s, name), why);
        wire_shutdown(fd, SHUT_RDWR);
        return;
    }
    if (atomic_load(&s->state) == SLOT_OPEN) {
        send_alert(fd, s, ACCESS_DENIED);
        conn_fail(fd, s, ECONNRESET, why);
    }
    slot_unlock(&s->tx_lock);
}

static void judge(const struct policy *p, const struct policy_self *self, int fd, struct slot *s) {
    struct policy_rule rule;
    char text[WHY_MAX];
    const char *why = s->server ? against_inbound(p, self, s, &rule) : against_outbound(p, self, s, &rule);
    if (!why)
        return;
    describe(text, sizeof text, s, why, &rule);
    end(fd, s, text);
}

void reload_apply(const struct policy *p, const struct policy_self *self) {
    if (!policy_mesh(p)->close_on_change || !fdtable_mine())
        return;
    for (int fd = fdtable_next(0); fd >= 0; fd = fdtable_next(fd + 1)) {
        struct slot *s = fdtable_slot(fd);
        if (s && atomic_load(&s->state) == SLOT_OPEN)
            judge(p, self, fd, s);
    }
}
