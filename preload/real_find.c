/* real_find.c - the next definition of an interposed call, read from the hash tables of the loaded objects.
 * Looks at nothing but memory that the loader has mapped: no lock, no allocation, no system call.
 *
 * dlsym finds the same, but takes the loader's lock, so it has to be asked before a signal or a fork can come
 * in between: a hundred times at every start. What is out of the ordinary (a resolver function in the place
 * of a definition, an object without a GNU hash table) is left to it. */
#include "real_find.h"

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

typedef ElfW(Addr) address;
typedef ElfW(Sym) symbol;
typedef ElfW(Half) version;
typedef ElfW(Dyn) dynamic;

enum { WORD_BITS = 8 * sizeof(address), HIDDEN_VERSION = 0x8000 };

struct object {
    const symbol *symbols;
    const char *strings;
    const version *versions; /* NULL: it has none */
    const uint32_t *hash, *old_hash;
};

/* The loader adds the base to the addresses of a dynamic section unless it is read-only. */
REAL_EARLY static const void *table(const struct link_map *map, address at) {
    return (const void *)(at < map->l_addr ? at + map->l_addr : at);
}

REAL_EARLY static struct object read_object(const struct link_map *map) {
    struct object o = {.symbols = NULL};
    for (const dynamic *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        const void *at = table(map, d->d_un.d_ptr);
        if (d->d_tag == DT_SYMTAB)
            o.symbols = at;
        else if (d->d_tag == DT_STRTAB)
            o.strings = at;
        else if (d->d_tag == DT_VERSYM)
            o.versions = at;
        else if (d->d_tag == DT_GNU_HASH)
            o.hash = at;
        else if (d->d_tag == DT_HASH)
            o.old_hash = at;
    }
    return o;
}

REAL_EARLY static uint32_t hash_of(const char *name) {
    uint32_t h = 5381;
    for (; *name; name++)
        h = h * 33 + (unsigned char)*name;
    return h;
}

/* strcmp may be the sanitizer's. */
REAL_EARLY static bool same(const char *a, const char *b) {
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* The default version of the name, which is what a caller without a version gets. */
REAL_EARLY static bool is_called(const struct object *o, uint32_t i, const char *name) {
    return o->symbols[i].st_shndx != SHN_UNDEF && !(o->versions && o->versions[i] & HIDDEN_VERSION) &&
           same(o->strings + o->symbols[i].st_name, name);
}

/* A filter of two bits for each name, then buckets of chains; the lowest bit of a chain's word ends it. */
REAL_EARLY static const symbol *look_up(const struct object *o, const char *name, uint32_t hash) {
    uint32_t buckets = o->hash[0], first = o->hash[1], words = o->hash[2], shift = o->hash[3];
    const address *filter = (const address *)(o->hash + 4);
    const uint32_t *bucket = (const uint32_t *)(filter + words), *chain = bucket + buckets;
    if (!buckets || !words)
        return NULL;
    address word = filter[hash / WORD_BITS % words];
    if (!(word >> hash % WORD_BITS & word >> (hash >> shift) % WORD_BITS & 1))
        return NULL;
    for (uint32_t i = bucket[hash % buckets]; i >= first; i++) {
        if ((chain[i - first] | 1) == (hash | 1) && is_called(o, i, name))
            return &o->symbols[i];
        if (chain[i - first] & 1)
            return NULL;
    }
    return NULL;
}

REAL_EARLY static bool is_plain_function(const symbol *s) {
    unsigned type = s->st_info & 0xf, bind = s->st_info >> 4;
    return type == STT_FUNC && (bind == STB_GLOBAL || bind == STB_WEAK) && s->st_shndx != SHN_ABS &&
           s->st_value;
}

const struct link_map *real_find_self(void) {
    const struct link_map *map = _r_debug.r_map;
    while (map && map->l_ld != _DYNAMIC)
        map = map->l_next;
    return map;
}

bool real_find(const char *name, void **found) {
    const struct link_map *map = real_find_self();
    uint32_t hash = hash_of(name);
    *found = NULL;
    if (!map)
        return false;
    while ((map = map->l_next)) {
        struct object o = read_object(map);
        const symbol *s = o.hash ? look_up(&o, name, hash) : NULL;
        if (o.hash ? s && !is_plain_function(s) : o.old_hash != NULL)
            return false;
        if (s) {
            *found = (void *)(map->l_addr + s->st_value);
            return true;
        }
    }
    return true;
}
