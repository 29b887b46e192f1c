/* test_cli_elf.c - the ELF reader and what stands on it: real objects, every truncation of one, and seeded
 * damage. Run it under ASan: the point is that no byte outside the file is ever read. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../preload/cli/elfread.h"
#include "../../preload/cli/filemap.h"
#include "../../preload/cli/inspect.h"
#include "../../preload/cli/sonames.h"

static void look_everywhere(const void *data, size_t size) {
    struct elfread e;
    if (elfread_open(&e, data, size) != ELFREAD_OK)
        return;
    size_t bytes = e.interp ? strlen(e.interp) : 0;
    for (size_t n = 0; n < 64; n++) {
        const char *needed = elfread_string(&e, DT_NEEDED, n);
        bytes += needed ? strlen(needed) : 0;
    }
    for (size_t i = 0; i < e.sym_len && i < 4096; i++) {
        const char *name = elfread_import(&e, i);
        bytes += name ? strlen(name) : 0;
    }
    cr_assert_leq(bytes, size * 4200); /* every string lies inside the file */
}

static bool imports(const struct elfread *e, const char *name) {
    for (size_t i = 0; i < e->sym_len; i++) {
        const char *got = elfread_import(e, i);
        if (got && strcmp(got, name) == 0)
            return true;
    }
    return false;
}

static bool needs(const struct elfread *e, const char *soname) {
    const char *got;
    for (size_t n = 0; (got = elfread_string(e, DT_NEEDED, n)); n++)
        if (strcmp(got, soname) == 0)
            return true;
    return false;
}

Test(cli_elf, reads_itself) {
    struct filemap m;
    struct elfread e;
    cr_assert(filemap_open(&m, "/proc/self/exe"));
    cr_assert_eq(elfread_open(&e, m.data, m.size), ELFREAD_OK);
    cr_assert_not_null(e.interp);
    cr_assert(strstr(e.interp, "ld-"));
    cr_assert(e.has_dynamic);
    cr_assert_not(e.is_go);
    cr_assert(needs(&e, "libc.so.6"));
    cr_assert_not(needs(&e, "libnothing.so.1"));
    cr_assert(imports(&e, "malloc"));
    cr_assert_not(imports(&e, "elfread_open"), "defined here, hence no import");
    filemap_close(&m);
}

/* What strip(1) may take away: neither the kernel nor ld.so needs section headers. */
Test(cli_elf, reads_itself_without_sections) {
    struct filemap m;
    struct elfread e;
    cr_assert(filemap_open(&m, "/proc/self/exe"));
    unsigned char *copy = malloc(m.size);
    cr_assert_not_null(copy);
    memcpy(copy, m.data, m.size);
    memset(copy + offsetof(elfread_ehdr, e_shoff), 0, sizeof(elfread_off));
    cr_assert_eq(elfread_open(&e, copy, m.size), ELFREAD_OK);
    cr_assert(needs(&e, "libc.so.6"));
    cr_assert(imports(&e, "malloc"));
    free(copy);
    filemap_close(&m);
}

Test(cli_elf, libc_is_an_object_without_unknown_imports) {
    struct filemap m, self;
    struct elfread e, own;
    char path[PATH_MAX];
    cr_assert(filemap_open(&self, "/proc/self/exe"));
    cr_assert_eq(elfread_open(&own, self.data, self.size), ELFREAD_OK);
    cr_assert(sonames_find("libc.so.6", &own, "/proc/self/exe", path));
    cr_assert(filemap_open(&m, path));
    cr_assert_eq(elfread_open(&e, m.data, m.size), ELFREAD_OK);
    cr_assert_not(imports(&e, "socket"));
    cr_assert(elfread_exports(&e, "socket"));
    cr_assert_not(elfread_exports(&e, "no_such_call"));
    cr_assert_not(sonames_find("libno-such-thing.so.9", &own, "/proc/self/exe", path));
    filemap_close(&m);
    filemap_close(&self);
}

Test(cli_elf, tells_what_is_no_elf) {
    struct elfread e;
    unsigned char head[64] = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1};
    cr_assert_eq(elfread_open(&e, "", 0), ELFREAD_NOT_ELF);
    cr_assert_eq(elfread_open(&e, "#!/bin/sh\n", 10), ELFREAD_NOT_ELF);
    head[18] = EM_386;
    cr_assert_eq(elfread_open(&e, head, sizeof head), ELFREAD_FOREIGN);
    cr_assert_str_eq(elfread_machine(e.header.e_machine), "i386");
    head[4] = ELFCLASS64;
    head[18] = EM_S390;
    cr_assert_eq(elfread_open(&e, head, sizeof head), ELFREAD_FOREIGN);
    cr_assert_str_eq(elfread_machine(e.header.e_machine), "s390");
    cr_assert_eq(elfread_open(&e, head, 20), ELFREAD_BROKEN);
}

/* A copy that ends where the heap block ends, so that ASan sees a read behind it. */
static void look_at_copy(const unsigned char *data, size_t size) {
    unsigned char *copy = malloc(size ? size : 1);
    cr_assert_not_null(copy);
    memcpy(copy, data, size);
    look_everywhere(copy, size);
    free(copy);
}

Test(cli_elf, survives_every_truncation) {
    struct filemap m;
    cr_assert(filemap_open(&m, "/bin/true"));
    for (size_t n = 0; n < m.size; n += n < 4096 ? 1 : 61)
        look_at_copy(m.data, n);
    look_at_copy(m.data, m.size);
    filemap_close(&m);
}

Test(cli_elf, survives_damage) {
    struct filemap m;
    cr_assert(filemap_open(&m, "/bin/true"));
    unsigned seed = 1;
    for (int round = 0; round < 3000; round++) {
        unsigned char *copy = malloc(m.size);
        cr_assert_not_null(copy);
        memcpy(copy, m.data, m.size);
        for (int hit = 0; hit < 6; hit++) {
            seed = seed * 1103515245u + 12345u;
            size_t room = hit < 4 ? 1024 : m.size; /* mostly the headers */
            copy[(seed >> 8) % room] = (unsigned char)(seed >> 24);
        }
        memcpy(copy, m.data, 20); /* still an ELF of this machine */
        look_everywhere(copy, m.size);
        free(copy);
    }
    filemap_close(&m);
}

Test(cli_elf, cache_of_libraries) {
    unsigned char cache[128] = "glibc-ld.so.cache1.1";
    memcpy(cache + 20, &(unsigned){1}, 4);
    memcpy(cache + 52, &(unsigned){80}, 4); /* key */
    memcpy(cache + 56, &(unsigned){96}, 4); /* value */
    memcpy(cache + 80, "libx.so.1", 10);
    memcpy(cache + 96, "/opt/libx.so.1", 15);
    cr_assert_str_eq(sonames_cached(cache, sizeof cache, "libx.so.1", 0), "/opt/libx.so.1");
    cr_assert_null(sonames_cached(cache, sizeof cache, "libx.so.1", 1));
    cr_assert_null(sonames_cached(cache, sizeof cache, "libx.so", 0));
    cr_assert_null(sonames_cached(cache, 60, "libx.so.1", 0), "the entry is cut");
    cr_assert_null(sonames_cached(cache, 100, "libx.so.1", 0), "the value has no end");
    memcpy(cache + 20, &(unsigned){0xffffffff}, 4);
    cr_assert_null(sonames_cached(cache, sizeof cache, "liby.so.1", 0), "a count that cannot be");
    cr_assert_null(sonames_cached(NULL, 0, "libx.so.1", 0));
}

static void shebang(const char *line, const char *interp, const char *arg) {
    char i[PATH_MAX], a[PATH_MAX];
    cr_assert(inspect_shebang(line, strlen(line), i, a), "%s", line);
    cr_assert_str_eq(i, interp);
    cr_assert_str_eq(a, arg);
}

Test(cli_elf, first_lines_of_scripts) {
    char i[PATH_MAX], a[PATH_MAX], big[5000];
    shebang("#!/bin/sh\nexit", "/bin/sh", "");
    shebang("#!  /bin/sh  -eu  \n", "/bin/sh", "-eu");
    shebang("#!/usr/bin/env -S python3 -u\n", "/usr/bin/env", "-S python3 -u");
    shebang("#!/bin/sh", "/bin/sh", "");
    cr_assert_not(inspect_shebang("#!\n", 3, i, a));
    cr_assert_not(inspect_shebang("#", 1, i, a));
    cr_assert_not(inspect_shebang("", 0, i, a));
    memset(big, 'x', sizeof big);
    memcpy(big, "#!/", 3);
    cr_assert(inspect_shebang(big, sizeof big, i, a));
    cr_assert_lt(strlen(i), 256, "the kernel reads no more either");
}
