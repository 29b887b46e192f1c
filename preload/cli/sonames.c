/* sonames.c - ld.so's search order (ld.so(8)), as far as a bystander can follow it. Reads, never loads. */
#include "sonames.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filemap.h"

/* glibc's cache file, format 1.1: this header, the entries, then the strings. Offsets count from the
 * header. */
static const char cache_magic[] = "glibc-ld.so.cache1.1";
enum { CACHE_COUNT_AT = 20, CACHE_ENTRIES_AT = 48, CACHE_ENTRY = 24, CACHE_KEY_AT = 4, CACHE_VALUE_AT = 8 };

static uint32_t number(const unsigned char *p) {
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return n;
}

static const char *string_at(const unsigned char *base, size_t size, uint32_t at) {
    return at < size && memchr(base + at, 0, size - at) ? (const char *)base + at : NULL;
}

const char *sonames_cached(const void *cache, size_t size, const char *soname, size_t n) {
    const unsigned char *base = size ? memmem(cache, size, cache_magic, sizeof cache_magic - 1) : NULL;
    if (!base)
        return NULL;
    size -= (size_t)(base - (const unsigned char *)cache);
    if (size < CACHE_ENTRIES_AT)
        return NULL;
    size_t room = (size - CACHE_ENTRIES_AT) / CACHE_ENTRY, count = number(base + CACHE_COUNT_AT);
    for (size_t i = 0; i < (count < room ? count : room); i++) {
        const unsigned char *entry = base + CACHE_ENTRIES_AT + i * CACHE_ENTRY;
        const char *key = string_at(base, size, number(entry + CACHE_KEY_AT));
        const char *value = string_at(base, size, number(entry + CACHE_VALUE_AT));
        if (key && value && strcmp(key, soname) == 0 && n-- == 0)
            return value;
    }
    return NULL;
}

/* True when that file is an object that this machine's ld.so would take. */
static bool suits(const char *path) {
    struct filemap m;
    struct elfread e;
    if (!filemap_open(&m, path))
        return false;
    bool ok = elfread_open(&e, m.data, m.size) == ELFREAD_OK && e.has_dynamic;
    filemap_close(&m);
    return ok;
}

static bool try_in(const char *dir, size_t len, const char *soname, char *out) {
    return snprintf(out, PATH_MAX, "%.*s/%s", (int)len, dir, soname) < PATH_MAX && suits(out);
}

/* One element of a search path, with $ORIGIN replaced by the importer's directory. */
static bool try_element(const char *dir, size_t len, const char *soname, const char *importer, char *out) {
    static const char *const tokens[] = {"$ORIGIN", "${ORIGIN}"};
    for (size_t i = 0; i < 2; i++) {
        size_t t = strlen(tokens[i]);
        if (len < t || strncmp(dir, tokens[i], t) != 0)
            continue;
        const char *slash = strrchr(importer, '/');
        char full[PATH_MAX];
        int n = snprintf(full, sizeof full, "%.*s%.*s", slash ? (int)(slash - importer) : 1,
                         slash ? importer : ".", (int)(len - t), dir + t);
        return n < PATH_MAX && try_in(full, (size_t)n, soname, out);
    }
    return len > 0 && try_in(dir, len, soname, out);
}

static bool try_path(const char *path, const char *soname, const char *importer, char *out) {
    while (path) {
        size_t len = strcspn(path, ":");
        if (try_element(path, len, soname, importer, out))
            return true;
        path = path[len] ? path + len + 1 : NULL;
    }
    return false;
}

static bool try_cache(const char *soname, char *out) {
    struct filemap m;
    if (!filemap_open(&m, "/etc/ld.so.cache"))
        return false;
    bool ok = false;
    const char *path;
    for (size_t n = 0; !ok && (path = sonames_cached(m.data, m.size, soname, n)); n++)
        ok = snprintf(out, PATH_MAX, "%s", path) < PATH_MAX && suits(out);
    filemap_close(&m);
    return ok;
}

bool sonames_find(const char *soname, const struct elfread *importer, const char *importer_path, char *out) {
    if (strchr(soname, '/'))
        return snprintf(out, PATH_MAX, "%s", soname) < PATH_MAX && suits(out);
    const char *runpath = elfread_string(importer, DT_RUNPATH, 0);
    if (!runpath && try_path(elfread_string(importer, DT_RPATH, 0), soname, importer_path, out))
        return true;
    return try_path(getenv("LD_LIBRARY_PATH"), soname, importer_path, out) ||
           try_path(runpath, soname, importer_path, out) || try_cache(soname, out) ||
           try_path("/lib64:/usr/lib64:/lib:/usr/lib", soname, importer_path, out);
}
