/* elfread.c - a bounded reader of ELF files. No allocation, no input or output: bytes in, facts out. */
#include "elfread.h"

#include <string.h>

#ifdef __LP64__
enum { NATIVE_CLASS = ELFCLASS64 };
#else
enum { NATIVE_CLASS = ELFCLASS32 };
#endif
enum { NATIVE_DATA = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB };

#if defined(__x86_64__)
enum { NATIVE_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { NATIVE_MACHINE = EM_AARCH64 };
#elif defined(__riscv)
enum { NATIVE_MACHINE = EM_RISCV };
#elif defined(__powerpc64__)
enum { NATIVE_MACHINE = EM_PPC64 };
#elif defined(__s390x__)
enum { NATIVE_MACHINE = EM_S390 };
#elif defined(__i386__)
enum { NATIVE_MACHINE = EM_386 };
#elif defined(__arm__)
enum { NATIVE_MACHINE = EM_ARM };
#endif

static bool inside(const struct elfread *e, size_t at, size_t len) {
    return at <= e->size && len <= e->size - at;
}

/* Copies, because nothing in a file promises alignment. */
static bool fetch(const struct elfread *e, size_t at, void *out, size_t len) {
    if (!inside(e, at, len))
        return false;
    memcpy(out, e->data + at, len);
    return true;
}

/* A NUL-terminated string within [at, at + len), or NULL. */
static const char *text(const struct elfread *e, size_t at, size_t len) {
    if (!inside(e, at, len) || !memchr(e->data + at, 0, len))
        return NULL;
    return (const char *)e->data + at;
}

static bool segment(const struct elfread *e, size_t i, elfread_phdr *ph) {
    size_t skip = i * sizeof *ph; /* i < 65536 */
    return e->header.e_phoff <= e->size && fetch(e, (size_t)e->header.e_phoff + skip, ph, sizeof *ph);
}

static bool section(const struct elfread *e, size_t i, elfread_shdr *sh) {
    size_t skip = i * sizeof *sh;
    return e->header.e_shoff && e->header.e_shoff <= e->size &&
           fetch(e, (size_t)e->header.e_shoff + skip, sh, sizeof *sh);
}

/* Where an address of the image lies in the file. */
static bool offset_of(const struct elfread *e, elfread_addr addr, size_t *at) {
    for (size_t i = 0; i < e->header.e_phnum; i++) {
        elfread_phdr ph;
        if (!segment(e, i, &ph))
            return false;
        if (ph.p_type != PT_LOAD || addr < ph.p_vaddr || addr - ph.p_vaddr >= ph.p_filesz)
            continue;
        size_t into = (size_t)(addr - ph.p_vaddr);
        if (ph.p_offset > e->size || into > e->size - ph.p_offset)
            return false;
        *at = (size_t)ph.p_offset + into;
        return true;
    }
    return false;
}

static bool note_is_go(const struct elfread *e, size_t at, size_t len) {
    elfread_nhdr n;
    char name[4];
    return len >= sizeof n + 4 && fetch(e, at, &n, sizeof n) && n.n_namesz == 4 &&
           fetch(e, at + sizeof n, name, 4) && memcmp(name, "Go\0", 4) == 0;
}

static enum elfread_status read_segments(struct elfread *e) {
    for (size_t i = 0; i < e->header.e_phnum; i++) {
        elfread_phdr ph;
        if (!segment(e, i, &ph))
            return ELFREAD_BROKEN;
        if (ph.p_type == PT_INTERP && !(e->interp = text(e, (size_t)ph.p_offset, (size_t)ph.p_filesz)))
            return ELFREAD_BROKEN;
        if (ph.p_type == PT_NOTE && note_is_go(e, (size_t)ph.p_offset, (size_t)ph.p_filesz))
            e->is_go = true;
        if (ph.p_type == PT_DYNAMIC) {
            if (!inside(e, (size_t)ph.p_offset, (size_t)ph.p_filesz))
                return ELFREAD_BROKEN;
            e->has_dynamic = true;
            e->dyn_at = (size_t)ph.p_offset;
            e->dyn_len = (size_t)ph.p_filesz / sizeof(elfread_dyn);
        }
    }
    return ELFREAD_OK;
}

/* The i-th dynamic entry; false at the end of the list. */
static bool dynamic(const struct elfread *e, size_t i, elfread_dyn *d) {
    return i < e->dyn_len && fetch(e, e->dyn_at + i * sizeof *d, d, sizeof *d) && d->d_tag != DT_NULL;
}

static bool dynamic_value(const struct elfread *e, elfread_sxword tag, elfread_xword *value) {
    elfread_dyn d;
    for (size_t i = 0; dynamic(e, i, &d); i++)
        if (d.d_tag == tag) {
            *value = d.d_un.d_val;
            return true;
        }
    return false;
}

/* Section headers say it exactly, but may be stripped; DT_HASH counts too; without both the linker's
 * habit of putting the strings right behind the symbols gives the bound. */
static size_t count_symbols(const struct elfread *e, elfread_addr symtab, elfread_addr strtab) {
    elfread_shdr sh;
    for (size_t i = 0; i < e->header.e_shnum && section(e, i, &sh); i++)
        if (sh.sh_type == SHT_DYNSYM && sh.sh_addr == symtab)
            return (size_t)sh.sh_size / sizeof(elfread_sym);
    elfread_xword hash;
    size_t at;
    uint32_t counts[2];
    if (dynamic_value(e, DT_HASH, &hash) && offset_of(e, (elfread_addr)hash, &at) &&
        fetch(e, at, counts, sizeof counts))
        return counts[1];
    return strtab > symtab ? (size_t)(strtab - symtab) / sizeof(elfread_sym) : 0;
}

static void read_tables(struct elfread *e) {
    elfread_xword strtab, strsz, symtab;
    size_t at;
    if (!dynamic_value(e, DT_STRTAB, &strtab) || !dynamic_value(e, DT_STRSZ, &strsz) ||
        !offset_of(e, (elfread_addr)strtab, &at) || !inside(e, at, (size_t)strsz))
        return;
    e->str_at = at;
    e->str_len = (size_t)strsz;
    if (!dynamic_value(e, DT_SYMTAB, &symtab) || !offset_of(e, (elfread_addr)symtab, &at))
        return;
    size_t count = count_symbols(e, (elfread_addr)symtab, (elfread_addr)strtab);
    size_t room = (e->size - at) / sizeof(elfread_sym);
    e->sym_at = at;
    e->sym_len = count < room ? count : room;
}

static void look_for_go(struct elfread *e) {
    elfread_shdr names, sh;
    if (!section(e, e->header.e_shstrndx, &names))
        return;
    for (size_t i = 0; i < e->header.e_shnum && section(e, i, &sh); i++) {
        if (names.sh_offset > e->size || sh.sh_name >= names.sh_size)
            continue;
        const char *name = text(e, (size_t)names.sh_offset + sh.sh_name, (size_t)names.sh_size - sh.sh_name);
        if (name && (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0))
            e->is_go = true;
    }
}

enum elfread_status elfread_open(struct elfread *e, const void *data, size_t size) {
    *e = (struct elfread){.data = data, .size = size};
    unsigned char ident[EI_NIDENT];
    if (!fetch(e, 0, ident, sizeof ident) || memcmp(ident, ELFMAG, SELFMAG) != 0)
        return ELFREAD_NOT_ELF;
    if (ident[EI_CLASS] != NATIVE_CLASS || ident[EI_DATA] != NATIVE_DATA) {
        if (ident[EI_DATA] == NATIVE_DATA) /* e_machine lies at the same place in both classes */
            (void)fetch(e, 18, &e->header.e_machine, sizeof e->header.e_machine);
        return ELFREAD_FOREIGN;
    }
    if (!fetch(e, 0, &e->header, sizeof e->header))
        return ELFREAD_BROKEN;
    if (e->header.e_machine != NATIVE_MACHINE)
        return ELFREAD_FOREIGN;
    if (e->header.e_phnum && e->header.e_phentsize != sizeof(elfread_phdr))
        return ELFREAD_BROKEN;
    if (e->header.e_shentsize != sizeof(elfread_shdr))
        e->header.e_shoff = 0; /* the kernel and ld.so never look at sections; neither must we insist */
    enum elfread_status status = read_segments(e);
    if (status != ELFREAD_OK)
        return status;
    read_tables(e);
    look_for_go(e);
    return ELFREAD_OK;
}

const char *elfread_string(const struct elfread *e, elfread_sxword tag, size_t n) {
    elfread_dyn d;
    for (size_t i = 0; dynamic(e, i, &d); i++) {
        if (d.d_tag != tag || n-- > 0)
            continue;
        if (d.d_un.d_val >= e->str_len)
            return NULL;
        return text(e, e->str_at + (size_t)d.d_un.d_val, e->str_len - (size_t)d.d_un.d_val);
    }
    return NULL;
}

static const char *symbol(const struct elfread *e, size_t i, bool defined) {
    elfread_sym s;
    if (i >= e->sym_len || !fetch(e, e->sym_at + i * sizeof s, &s, sizeof s) ||
        (s.st_shndx != SHN_UNDEF) != defined || s.st_name == 0 || s.st_name >= e->str_len)
        return NULL;
    return text(e, e->str_at + s.st_name, e->str_len - s.st_name);
}

const char *elfread_import(const struct elfread *e, size_t i) {
    return symbol(e, i, false);
}

bool elfread_exports(const struct elfread *e, const char *name) {
    for (size_t i = 0; i < e->sym_len; i++) {
        const char *got = symbol(e, i, true);
        if (got && strcmp(got, name) == 0)
            return true;
    }
    return false;
}

const char *elfread_machine(unsigned machine) {
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {{EM_X86_64, "x86-64"}, {EM_386, "i386"},       {EM_AARCH64, "aarch64"}, {EM_ARM, "arm"},
                 {EM_RISCV, "riscv"},   {EM_PPC64, "ppc64"},    {EM_S390, "s390"},       {EM_MIPS, "mips"},
                 {EM_SPARCV9, "sparc"}, {EM_LOONGARCH, "loong"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].machine == machine)
            return names[i].name;
    return "another machine";
}
