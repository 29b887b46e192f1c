/* ca_file.c - how the CA's files come to be: temporary name, fsync, rename, fsync of the directory.
 * Knows nothing of certificates. */
#include "ca_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int one_directory(const char *path) {
    if (mkdir(path, 0700) == 0)
        return 0;
    struct stat st;
    if (stat(path, &st) != 0) /* EEXIST, but also EROFS or EACCES above something that exists */
        return -1;
    if (S_ISDIR(st.st_mode))
        return 0;
    errno = ENOTDIR;
    return -1;
}

int ca_file_mkdirs(const char *dir) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s", dir);
    if (n <= 0 || (size_t)n >= sizeof path) {
        errno = n <= 0 ? EINVAL : ENAMETOOLONG;
        return -1;
    }
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (one_directory(path) != 0)
            return -1;
        *p = '/';
    }
    return one_directory(path);
}

int ca_file_lock(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc;
    do
        rc = flock(fd, LOCK_EX);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int write_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Best effort: some file systems cannot sync a directory, the rename itself has happened. */
static void sync_directory(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

int ca_file_write(const char *dir, const char *name, const void *bytes, size_t len, mode_t mode) {
    char temp[PATH_MAX], path[PATH_MAX];
    int a = snprintf(temp, sizeof temp, "%s/.%s.%ld.tmp", dir, name, (long)getpid());
    int b = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (a < 0 || b < 0 || (size_t)a >= sizeof temp || (size_t)b >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    (void)unlink(temp); /* left by a killed process that had our number; the directory is locked */
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -1;
    int rc = fchmod(fd, mode); /* the umask must not take the group's read from a certificate */
    rc = rc == 0 ? write_all(fd, bytes, len) : rc;
    rc = rc == 0 ? fsync(fd) : rc;
    int saved = errno;
    if (close(fd) != 0 && rc == 0) {
        saved = errno;
        rc = -1;
    }
    if (rc == 0 && rename(temp, path) == 0) {
        sync_directory(dir);
        return 0;
    }
    saved = rc == 0 ? errno : saved;
    (void)unlink(temp);
    errno = saved;
    return -1;
}
