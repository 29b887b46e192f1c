/* elfread.h - looks into an ELF file that may be broken or hostile. Every read is bounded; nothing is
 * mapped, executed or followed. Only this machine's word size and byte order are understood in full. */
#ifndef MTLSWRAP_ELFREAD_H
#define MTLSWRAP_ELFREAD_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __LP64__
typedef Elf64_Ehdr elfread_ehdr;
typedef Elf64_Phdr elfread_phdr;
typedef Elf64_Shdr elfread_shdr;
typedef Elf64_Dyn elfread_dyn;
typedef Elf64_Sym elfread_sym;
typedef Elf64_Addr elfread_addr;
typedef Elf64_Xword elfread_xword;
typedef Elf64_Sxword elfread_sxword;
typedef Elf64_Nhdr elfread_nhdr;
typedef Elf64_Off elfread_off;
#else
typedef Elf32_Ehdr elfread_ehdr;
typedef Elf32_Phdr elfread_phdr;
typedef Elf32_Shdr elfread_shdr;
typedef Elf32_Dyn elfread_dyn;
typedef Elf32_Sym elfread_sym;
typedef Elf32_Addr elfread_addr;
typedef Elf32_Word elfread_xword;
typedef Elf32_Sword elfread_sxword;
typedef Elf32_Nhdr elfread_nhdr;
typedef Elf32_Off elfread_off;
#endif

enum elfread_status {
    ELFREAD_OK,
    ELFREAD_NOT_ELF, /* no magic */
    ELFREAD_FOREIGN, /* another word size, byte order or machine than this command's */
    ELFREAD_BROKEN,  /* the headers contradict the file's size or each other */
};

/* Points into data, which must outlive it. */
struct elfread {
    const uint8_t *data;
    size_t size;
    elfread_ehdr header;
    const char *interp; /* PT_INTERP, or NULL */
    bool has_dynamic;
    bool is_go;             /* made by the Go toolchain */
    size_t dyn_at, dyn_len; /* the dynamic section: file offset, entries */
    size_t str_at, str_len; /* its string table */
    size_t sym_at, sym_len; /* its symbols: file offset, entries */
};

enum elfread_status elfread_open(struct elfread *e, const void *data, size_t size);
/* The n-th (from 0) string of that dynamic tag (DT_NEEDED, DT_RUNPATH, DT_RPATH), or NULL. */
const char *elfread_string(const struct elfread *e, elfread_sxword tag, size_t n);
/* The name of symbol i < e->sym_len when it is an undefined (imported) one, else NULL. */
const char *elfread_import(const struct elfread *e, size_t i);
/* True when the object defines that dynamic symbol. */
bool elfread_exports(const struct elfread *e, const char *name);
/* "x86-64" and the like, for messages. */
const char *elfread_machine(unsigned machine);

#endif
