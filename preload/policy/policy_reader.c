/* policy_reader.c - lines of text to sections, keys and values, with inih.
 *
 * inih cuts what is too long, takes an indented line for a continuation and forgets empty sections.
 * So every line is judged here before inih sees it: inih gets only lines that it can read whole, and
 * an empty line in place of each that it cannot. What a key means is not decided here.
 */
#include "policy_table.h"

#include <ini.h>
#include <string.h>

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* NUL, BOM, control characters and length: what no line of a table may have. */
static bool bytes_ok(struct policy_reading *r, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == 0xEF && len - i >= 3 && memcmp(s + i, "\xEF\xBB\xBF", 3) == 0) {
            policy_fail(r, r->line, "found a byte order mark at column %zu, expected plain UTF-8 without one",
                        i + 1);
            return false;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            policy_fail(r, r->line, "found %s (0x%02x) at column %zu, expected text",
                        c == 0 ? "a NUL byte" : "a control character", c, i + 1);
            return false;
        }
    }
    if (len > POLICY_LINE_MAX) {
        policy_fail(r, r->line,
                    "found a line of %zu characters, expected at most %d; repeat the key to split a list",
                    len, POLICY_LINE_MAX);
        return false;
    }
    return true;
}

static bool header_ok(struct policy_reading *r, const char *s, size_t len) {
    const char *close = memchr(s, ']', len);
    r->object = NULL;
    r->outside = false;
    if (!close) {
        policy_fail(r, r->line, "found '%.*s', expected a ']' at the end of the section header", (int)len, s);
        return false;
    }
    size_t inner = (size_t)(close - s) - 1;
    const char *rest = close + 1;
    while (rest < s + len && is_blank(*rest))
        rest++;
    if (rest < s + len && *rest != ';' && *rest != '#') {
        policy_fail(r, r->line, "found '%.*s' behind the section header, expected nothing or a comment",
                    (int)(s + len - rest), rest);
        return false;
    }
    if (inner > POLICY_SECTION_MAX) {
        policy_fail(r, r->line,
                    "found a section header of %zu characters, expected at most %d; give a long name as "
                    "metadata.name "
                    "and metadata.namespace",
                    inner, POLICY_SECTION_MAX);
        return false;
    }
    char header[POLICY_SECTION_MAX + 1];
    memcpy(header, s + 1, inner);
    header[inner] = '\0';
    policy_keys_open(r, header);
    return r->object != NULL;
}

static bool pair_ok(struct policy_reading *r, const char *s, size_t len) {
    size_t at = 0;
    while (at < len && s[at] != '=' && s[at] != ':' && !(s[at] == ';' && at && is_blank(s[at - 1])))
        at++;
    if (at == len || s[at] != '=') {
        policy_fail(r, r->line, "found '%.*s', expected KEY = VALUE", (int)len, s);
        return false;
    }
    size_t key = at;
    while (key && is_blank(s[key - 1]))
        key--;
    if (key == 0) {
        policy_fail(r, r->line, "found '%.*s', expected a key before '='", (int)len, s);
        return false;
    }
    if (key > POLICY_SECTION_MAX) {
        policy_fail(r, r->line, "found a key of %zu characters ('%.*s'), expected at most %d", key, (int)key,
                    s, POLICY_SECTION_MAX);
        return false;
    }
    if (r->outside)
        policy_fail(r, r->line,
                    "found key '%.*s' before any section, expected a section header such as [Mesh]", (int)key,
                    s);
    return r->object != NULL;
}

/* True when inih shall see the line. */
static bool line_ok(struct policy_reading *r, const char *s, size_t len) {
    if (!bytes_ok(r, s, len)) {
        if (len && s[0] == '[') { /* do not count its keys to the section before */
            r->object = NULL;
            r->outside = false;
        }
        return false;
    }
    if (len == 0 || s[0] == ';' || s[0] == '#')
        return false;
    r->p->lines++;
    return s[0] == '[' ? header_ok(r, s, len) : pair_ok(r, s, len);
}

static char *read_line(char *out, int size, void *stream) {
    struct policy_reading *r = stream;
    if (r->text == r->end)
        return NULL;
    const char *s = r->text;
    const char *nl = memchr(s, '\n', (size_t)(r->end - s));
    const char *stop = nl ? nl : r->end;
    r->text = nl ? nl + 1 : r->end;
    r->line++;
    if (stop > s && stop[-1] == '\r')
        stop--;
    while (stop > s && is_blank(stop[-1]))
        stop--;
    while (s < stop && is_blank(*s))
        s++;
    size_t len = (size_t)(stop - s);
    if (!line_ok(r, s, len) || len >= (size_t)size)
        len = 0;
    memcpy(out, s, len);
    out[len] = '\0';
    return out;
}

static int take_pair(void *user, const char *section, const char *key, const char *value) {
    struct policy_reading *r = user;
    (void)section;
    if (r->object)
        policy_keys_set(r, key, value);
    return 1;
}

void policy_reader_run(struct policy_reading *r) {
    int bad = ini_parse_stream(read_line, r, take_pair, r);
    if (bad && !r->errors)
        policy_fail(r, bad > 0 ? bad : 0,
                    "found a line that cannot be read, expected [SECTION] or KEY = VALUE");
}
