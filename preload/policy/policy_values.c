/* policy_values.c - single values: names, durations, ports, the words of an enumeration.
 *
 * Pure functions over text; no locale, no allocation. Addresses live in policy_address.c.
 */
#include "policy_table.h"

#include <string.h>

size_t policy_value_until(const char *s, char stop) {
    size_t n = 0;
    while (s[n] && s[n] != stop)
        n++;
    return n;
}

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_edge_char(char c) {
    return is_name_char(c) && c != '-';
}

/* Kubernetes' rule for names, with the underscore that files on a laptop like to have. */
bool policy_value_name(const char *s, size_t len, bool dots) {
    if (len == 0 || len > POLICY_NAME_MAX || !is_edge_char(s[0]) || !is_edge_char(s[len - 1]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_name_char(s[i]) && !(dots && s[i] == '.' && s[i - 1] != '.'))
            return false;
    return true;
}

bool policy_value_host(const char *s, bool wildcard) {
    if (wildcard && s[0] == '*') {
        if (s[1] == '\0')
            return true;
        s += s[1] == '.' || s[1] == '-' ? 2 : 1;
    }
    return policy_value_name(s, strlen(s), true);
}

bool policy_value_port(const char *s, size_t len, uint16_t *out) {
    unsigned v = 0;
    if (len == 0 || len > 5 || s[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    *out = (uint16_t)v;
    return v <= 65535;
}

/* Milliseconds per unit; 0 for an unknown one. */
static unsigned long unit_of(const char *s) {
    static const struct {
        const char *name;
        unsigned long ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(s, units[i].name) == 0)
            return units[i].ms;
    return 0;
}

/* DIGITS[.DIGITS][UNIT], at most one day. */
bool policy_value_duration(const char *s, unsigned *ms) {
    enum { DAY = 86400000 };
    unsigned long thousandths = 0, scale = 1000;
    size_t digits = 0;
    bool fraction = false;
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !fraction); s++) {
        if (*s == '.') {
            fraction = true;
            continue;
        }
        digits++;
        if (fraction)
            scale /= 10;
        if (thousandths > (unsigned long)DAY * 1000)
            return false;
        if (fraction)
            thousandths += (unsigned long)(*s - '0') * scale;
        else
            thousandths = thousandths * 10 + (unsigned long)(*s - '0') * 1000;
    }
    while (*s == ' ')
        s++;
    unsigned long unit = unit_of(s);
    if (!digits || !unit || thousandths > (unsigned long)DAY * 1000 / unit)
        return false;
    *ms = (unsigned)(thousandths * unit / 1000);
    return true;
}

static const struct policy_choice bools[] = {{"true", 1}, {"false", 0}, {NULL, 0}};
static const struct policy_choice mtls_modes[] = {
    {"STRICT", MTLS_STRICT}, {"PERMISSIVE", MTLS_PERMISSIVE}, {"DISABLE", MTLS_DISABLE}, {NULL, 0}};
static const struct policy_choice mtls_modes_or_unset[] = {{"STRICT", MTLS_STRICT},
                                                           {"PERMISSIVE", MTLS_PERMISSIVE},
                                                           {"DISABLE", MTLS_DISABLE},
                                                           {"UNSET", MTLS_UNSET},
                                                           {NULL, 0}};
static const struct policy_choice tls_modes[] = {
    {"DISABLE", TLS_DISABLE},           {"SIMPLE", TLS_SIMPLE},         {"MUTUAL", TLS_MUTUAL},
    {"ISTIO_MUTUAL", TLS_ISTIO_MUTUAL}, {"PERMISSIVE", TLS_PERMISSIVE}, {NULL, 0}};
static const struct policy_choice in_tls[] = {
    {"wrap", TLS_IN_TLS_WRAP}, {"skip", TLS_IN_TLS_SKIP}, {NULL, 0}};
static const struct policy_choice on_change[] = {{"keep", 0}, {"close", 1}, {NULL, 0}};

const struct policy_choice *policy_value_choices(enum policy_value type) {
    switch (type) {
    case VALUE_BOOL:
        return bools;
    case VALUE_MTLS_MODE:
        return mtls_modes;
    case VALUE_MTLS_MODE_OR_UNSET:
        return mtls_modes_or_unset;
    case VALUE_TLS_MODE:
        return tls_modes;
    case VALUE_TLS_IN_TLS:
        return in_tls;
    case VALUE_ON_CHANGE:
        return on_change;
    default:
        return NULL;
    }
}
