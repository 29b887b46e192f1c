/* exec_target.c - looks at the file that is about to be run. Works in a child that shares memory with its
 * parent: allocates nothing, leaves no descriptor open. */
#include "exec_parts.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "log.h"
#include "real.h"

enum { DEPTH_MAX = 4, LINE_MAX_KERNEL = 256 }; /* of interpreters of interpreters, as in the kernel */

static bool two_minds(void) {
    return geteuid() != getuid() || getegid() != getgid();
}

/* The loader ignores LD_PRELOAD when the program gets other rights than its starter has. */
static bool gains_rights(int fd, const struct stat *st) {
    char caps[64];
    if (two_minds())
        return true;
    if (((st->st_mode & S_ISUID) && st->st_uid != geteuid()) ||
        ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP) && st->st_gid != getegid()))
        return true;
    return geteuid() && fgetxattr(fd, "security.capability", caps, sizeof caps) > 0;
}

static enum exec_target look_at_elf(int fd, const ElfW(Ehdr) * header) {
    static const unsigned char native = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    if (header->e_ident[EI_CLASS] != native || header->e_phentsize != sizeof(ElfW(Phdr)))
        return EXEC_BARE;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) part;
        off_t at = (off_t)(header->e_phoff + i * sizeof part);
        if (pread(fd, &part, sizeof part, at) != (ssize_t)sizeof part)
            break;
        if (part.p_type == PT_INTERP)
            return EXEC_FINE;
    }
    return EXEC_BARE;
}

static enum exec_target look(int folder, const char *path, int flags, int depth);

/* "#! /path/of/interpreter argument" */
static enum exec_target look_at_script(char *line, size_t n, int depth) {
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    char *name = line + 2 + strspn(line + 2, " \t");
    name[strcspn(name, " \t")] = 0;
    return *name && depth < DEPTH_MAX ? look(AT_FDCWD, name, 0, depth + 1) : EXEC_FINE;
}

static enum exec_target look_inside(int fd, int depth) {
    union {
        ElfW(Ehdr) header;
        char text[LINE_MAX_KERNEL + 1];
    } head;
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return EXEC_FAILS;
    if (gains_rights(fd, &st))
        return EXEC_BARE;
    ssize_t n = pread(fd, &head, sizeof head - 1, 0);
    if (n > 2 && !memcmp(head.text, "#!", 2))
        return look_at_script(head.text, (size_t)n, depth);
    if (n >= (ssize_t)sizeof head.header && !memcmp(head.text, ELFMAG, SELFMAG))
        return look_at_elf(fd, &head.header);
    return EXEC_FINE; /* the kernel's or the shell's business */
}

static enum exec_target look(int folder, const char *path, int flags, int depth) {
    bool itself = (flags & AT_EMPTY_PATH) && !*path;
    if (!itself && faccessat(folder, path, X_OK, AT_EACCESS))
        return EXEC_FAILS;
    int fd = itself ? folder : openat(folder, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return EXEC_FINE; /* may be run, may not be read */
    enum exec_target target = look_inside(fd, depth);
    if (!itself)
        real.close(fd);
    return target;
}

static enum exec_target look_in_path(const char *name) {
    const char *path = getenv("PATH");
    char file[PATH_MAX];
    for (path = path ? path : "/bin:/usr/bin"; *path; path += *path == ':') {
        size_t n = strcspn(path, ":");
        if (n + strlen(name) + 2 <= sizeof file) {
            snprintf(file, sizeof file, "%.*s%s%s", (int)n, path, n ? "/" : "", name);
            enum exec_target target = look(AT_FDCWD, file, 0, 0);
            if (target != EXEC_FAILS)
                return target;
        }
        path += n;
    }
    return EXEC_FAILS;
}

enum exec_target exec_target_of(int folder, const char *path, int flags, bool search) {
    if (!path)
        return EXEC_FAILS;
    int saved = errno;
    enum exec_target target =
        search && !strchr(path, '/') ? look_in_path(path) : look(folder, path, flags, 0);
    errno = saved;
    return target;
}

void exec_mind(int folder, const char *path, int flags, bool search) {
    if (two_minds() && exec_target_of(folder, path, flags, search) != EXEC_FAILS)
        log_warn(
            "%s cannot be preloaded, because its starter's real and effective user or group differ; its own "
            "connections are not protected",
            path);
}

bool exec_bare(const char *path, struct moving_heirs *h, struct moving_heirs *marked) {
    char name[SLOT_NAME_MAX], whom[SLOT_WHOM_MAX];
    for (unsigned i = 0; i < h->count; i++)
        if (h->list[i].fd <= STDERR_FILENO) {
            log_error(
                "%s: %s cannot be preloaded (static, setuid or of another architecture) and would get this "
                "protected connection%s as descriptor %d; not started, rule %s",
                slot_name(h->list[i].slot, name), path, slot_whom(h->list[i].slot, whom), h->list[i].fd,
                h->list[i].slot->rule);
            errno = EPERM;
            return false;
        }
    for (unsigned i = 0; i < h->count; i++) {
        int fd = h->list[i].fd, flags = real.fcntl(fd, F_GETFD);
        log_warn("%s: %s cannot be preloaded; descriptor %d is not handed on to it, connection%s, rule %s",
                 slot_name(h->list[i].slot, name), path, fd, slot_whom(h->list[i].slot, whom),
                 h->list[i].slot->rule);
        if (flags >= 0 && !real.fcntl(fd, F_SETFD, flags | FD_CLOEXEC))
            moving_add(marked, fd, h->list[i].slot);
    }
    h->count = 0;
    return true;
}

void exec_bare_undo(const struct moving_heirs *marked) {
    int saved = errno;
    for (unsigned i = 0; i < marked->count; i++)
        real.fcntl(marked->list[i].fd, F_SETFD, 0);
    errno = saved;
}
