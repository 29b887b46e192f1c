/* inspect.c - follows a program the way execve(2) and ld.so(8) would and says what stands in the way.
 * Looks only; runs nothing. Refuses when in doubt: ld.so itself ignores LD_PRELOAD silently. */
#include "inspect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "elfread.h"
#include "filemap.h"
#include "linkage.h"
#include "paths.h"

enum { SCRIPT_DEPTH = 5, SHEBANG_MAX = 256 }; /* the kernel's own limits (fs/exec.c, binfmt_script) */

static void inspect_file(struct inspect *in, const char *path, int depth);

__attribute__((format(printf, 3, 4))) static void refuse(struct inspect *in, enum inspect_verdict v,
                                                         const char *fmt, ...) {
    if (in->verdict != INSPECT_OK)
        return; /* the first reason is the one that counts */
    in->verdict = v;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(in->reason, sizeof in->reason, fmt, ap);
    va_end(ap);
}

__attribute__((format(printf, 3, 4))) static void note(struct inspect *in, bool loud, const char *fmt, ...) {
    if (in->note_count == INSPECT_NOTES)
        return;
    in->loud[in->note_count] = loud;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(in->notes[in->note_count++], sizeof in->notes[0], fmt, ap);
    va_end(ap);
}

/* The loader that libmtlswrap.so is made for is this command's own. */
static bool own_loader(char *out, size_t size) {
    struct filemap m;
    struct elfread e;
    if (!filemap_open(&m, "/proc/self/exe"))
        return false;
    bool ok = elfread_open(&e, m.data, m.size) == ELFREAD_OK && e.interp;
    if (ok)
        snprintf(out, size, "%s", e.interp);
    filemap_close(&m);
    return ok;
}

static const char *base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* AT_SECURE (getauxval(3)): ld.so then ignores LD_PRELOAD entries with a slash. The kernel ignores the
 * bits on nosuid mounts and after PR_SET_NO_NEW_PRIVS, and grants root nothing it does not have. */
static void check_privileges(struct inspect *in, const char *path, const struct stat *st) {
    struct statvfs fs;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return;
    if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID))
        return;
    if ((st->st_mode & S_ISUID) && (st->st_uid != getuid() || st->st_uid != geteuid()))
        refuse(in, INSPECT_REFUSED, "%s is setuid; the loader ignores LD_PRELOAD for it", path);
    if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
        (st->st_gid != getgid() || st->st_gid != getegid()))
        refuse(in, INSPECT_REFUSED, "%s is setgid; the loader ignores LD_PRELOAD for it", path);
    if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
        refuse(in, INSPECT_REFUSED, "%s has file capabilities; the loader ignores LD_PRELOAD for it", path);
}

static void check_loader(struct inspect *in, const char *path, const struct elfread *e) {
    char own[PATH_MAX];
    if (!e->interp && e->is_go)
        refuse(in, INSPECT_REFUSED, "%s is a static Go binary; nothing can be preloaded into it", path);
    else if (!e->interp)
        refuse(in, INSPECT_REFUSED, "%s is statically linked; nothing can be preloaded into it", path);
    else if (e->is_go)
        refuse(in, INSPECT_REFUSED,
               "%s is a Go binary; Go makes its own system calls, which no preloaded object sees", path);
    else if (own_loader(own, sizeof own) && strcmp(base(own), base(e->interp)) != 0)
        refuse(in, INSPECT_REFUSED, "%s is started by %s, but libmtlswrap.so is made for %s", path, e->interp,
               base(own));
    else if (access(e->interp, X_OK) != 0)
        refuse(in, INSPECT_CANNOT_EXECUTE, "%s: its loader %s: %s", path, e->interp, strerror(errno));
}

static void judge_imports(struct inspect *in, const char *path) {
    struct linkage im;
    char hooks[PATH_MAX];
    linkage_collect(&im, path, paths_library(hooks) ? hooks : NULL);
    char(*by)[128] = im.by;
    if (by[LINKAGE_MISSING][0])
        note(in, false, "%s is not found; the program may not start", by[LINKAGE_MISSING]);
    if (by[LINKAGE_URING][0])
        note(in, true, "%s uses io_uring, which it does not get (ENOSYS); it must be able to do without",
             by[LINKAGE_URING]);
    if (by[LINKAGE_GO][0])
        note(in, true, "%s is Go code; its own system calls are not protected", by[LINKAGE_GO]);
    if (by[LINKAGE_UNHOOKED][0])
        note(in, false, "%s() is imported and not hooked; it must not be used on a protected connection",
             by[LINKAGE_UNHOOKED]);
    if (by[LINKAGE_SYSCALL][0])
        note(in, false, "%s imports syscall(2); the numbers of hooked calls are handled",
             by[LINKAGE_SYSCALL]);
    if (by[LINKAGE_SOCKET][0])
        return;
    if (by[LINKAGE_DLOPEN][0])
        note(in, false, "no socket call is imported; plugins that it loads may have some");
    else if (by[LINKAGE_EXEC][0])
        note(in, false, "no socket call is imported; programs that it starts are wrapped as well");
    else
        refuse(in, INSPECT_NOTHING, "%s imports no socket call; there is nothing to wrap", path);
}

/* A sanitizer's runtime has to come before the objects that the program was linked with. */
static void find_sanitizer(struct inspect *in, const struct elfread *e) {
    const char *needed;
    for (size_t n = 0; (needed = elfread_string(e, DT_NEEDED, n)); n++)
        if ((strncmp(needed, "libasan.so", 10) == 0 || strncmp(needed, "libtsan.so", 10) == 0) &&
            strlen(needed) < sizeof in->runtime)
            snprintf(in->runtime, sizeof in->runtime, "%s", needed);
}

/* Our own object may be built with one. */
static void find_own_sanitizer(struct inspect *in) {
    char library[PATH_MAX];
    struct filemap m;
    struct elfread e;
    if (!paths_library(library) || !filemap_open(&m, library))
        return;
    if (elfread_open(&e, m.data, m.size) == ELFREAD_OK)
        find_sanitizer(in, &e);
    filemap_close(&m);
}

static void inspect_elf(struct inspect *in, const char *path, const struct filemap *m) {
    struct elfread e;
    enum elfread_status status = elfread_open(&e, m->data, m->size);
    snprintf(in->image, sizeof in->image, "%s", path);
    if (status == ELFREAD_FOREIGN)
        refuse(in, INSPECT_REFUSED, "%s is built for %s, not for this machine's native programs", path,
               elfread_machine(e.header.e_machine));
    if (status == ELFREAD_BROKEN)
        refuse(in, INSPECT_CANNOT_EXECUTE, "%s: its ELF headers are broken", path);
    if (status != ELFREAD_OK)
        return;
    check_privileges(in, path, &m->st);
    check_loader(in, path, &e);
    if (in->verdict != INSPECT_OK)
        return;
    snprintf(in->loader, sizeof in->loader, "%s", e.interp);
    find_sanitizer(in, &e);
    find_own_sanitizer(in);
    judge_imports(in, path);
}

bool inspect_shebang(const char *data, size_t size, char *interp, char *arg) {
    if (size < 2 || memcmp(data, "#!", 2) != 0)
        return false;
    char line[SHEBANG_MAX];
    size_t n = size - 2 < sizeof line - 1 ? size - 2 : sizeof line - 1;
    memcpy(line, data + 2, n);
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    char *word = line + strspn(line, " \t"), *rest = word + strcspn(word, " \t");
    if (*rest)
        *rest++ = 0;
    rest += strspn(rest, " \t");
    for (size_t len = strlen(rest); len && strchr(" \t", rest[len - 1]); len--)
        rest[len - 1] = 0;
    snprintf(interp, PATH_MAX, "%s", word);
    snprintf(arg, PATH_MAX, "%s", rest);
    return *word;
}

/* `#!/usr/bin/env [-S] PROGRAM …`: env only passes on; PROGRAM matters just as much. */
static void follow_env(struct inspect *in, const char *arg, int depth) {
    char word[PATH_MAX], found[PATH_MAX];
    if (strncmp(arg, "-S", 2) == 0)
        arg += 2 + strspn(arg + 2, " \t");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(arg, " \t"), arg);
    if (*word && *word != '-' && !strchr(word, '=') && paths_program(word, found) == 0)
        inspect_file(in, found, depth + 1);
}

static void inspect_script(struct inspect *in, const char *path, const struct filemap *m, int depth) {
    char interp[PATH_MAX], arg[PATH_MAX];
    size_t head = m->size < SHEBANG_MAX ? m->size : SHEBANG_MAX;
    if (!inspect_shebang(m->data, m->size, interp, arg)) {
        if (m->size && memchr(m->data, 0, head)) {
            refuse(in, INSPECT_CANNOT_EXECUTE, "%s is neither an ELF program nor a script", path);
            return;
        }
        snprintf(interp, sizeof interp, "/bin/sh"); /* what execvp(3) does after ENOEXEC */
        arg[0] = 0;
    }
    if (access(interp, X_OK) != 0) {
        refuse(in, errno == ENOENT ? INSPECT_NOT_FOUND : INSPECT_CANNOT_EXECUTE, "%s: its interpreter %s: %s",
               path, interp, strerror(errno));
        return;
    }
    if (strcmp(base(interp), "env") == 0 && *arg)
        follow_env(in, arg, depth);
    if (in->verdict == INSPECT_OK && !in->image[0])
        inspect_file(in, interp, depth + 1);
}

static void inspect_file(struct inspect *in, const char *path, int depth) {
    struct filemap m;
    if (depth > SCRIPT_DEPTH) {
        refuse(in, INSPECT_CANNOT_EXECUTE, "%s: too many interpreters of interpreters", path);
        return;
    }
    if (!filemap_open(&m, path)) {
        refuse(in, INSPECT_REFUSED, "%s cannot be read (%s), so nothing is known about it", path,
               strerror(errno));
        return;
    }
    if (m.size >= SELFMAG && memcmp(m.data, ELFMAG, SELFMAG) == 0)
        inspect_elf(in, path, &m);
    else
        inspect_script(in, path, &m, depth);
    filemap_close(&m);
}

void inspect_program(struct inspect *in, const char *program) {
    *in = (struct inspect){.verdict = INSPECT_OK};
    int e = paths_program(program, in->path);
    if (e == 0)
        inspect_file(in, in->path, 0);
    else if (e == ENOENT || e == ENOTDIR)
        refuse(in, INSPECT_NOT_FOUND, "%s: not found", program);
    else
        refuse(in, INSPECT_CANNOT_EXECUTE, "%s: %s", program, strerror(e));
}

const char *inspect_verdict_name(enum inspect_verdict v) {
    static const char *const names[] = {
        [INSPECT_OK] = "ok",
        [INSPECT_NOTHING] = "nothing to wrap",
        [INSPECT_REFUSED] = "cannot be wrapped",
        [INSPECT_CANNOT_EXECUTE] = "cannot be executed",
        [INSPECT_NOT_FOUND] = "not found",
    };
    return names[v];
}
