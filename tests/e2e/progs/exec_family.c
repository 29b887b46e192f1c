/* exec_family.c - starts a program in one of the ways that libc offers, with an environment of our own making
 * where the call takes one.
 *
 *   exec_family HOW FILE ARGUMENT
 *
 * Connects to nothing; prints what the calls return. A vfork prefix (vfork-execl) makes the call in a vfork
 * child.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const own[] = {"PATH=/usr/bin:/bin", "OWN=yes", "LD_PRELOAD=", NULL};
static const char *how, *file, *argument;
static char **argv_of_child;

static void spawned(int r, pid_t pid) {
    int status = -1;
    if (!r)
        waitpid(pid, &status, 0);
    printf("%d %d\n", r, status);
    exit(0);
}

static void piped(void) {
    char line[4096], command[4096];
    snprintf(command, sizeof command, "exec '%s' '%s'", file, argument);
    FILE *f = popen(command, "r");
    while (f && fgets(line, sizeof line, f))
        fputs(line, stdout);
    printf("%d\n", f ? pclose(f) : -1);
    exit(0);
}

static void by_shell(void) {
    char command[4096];
    snprintf(command, sizeof command, "exec '%s' '%s'", file, argument);
    printf("%d\n", system(command));
    exit(0);
}

static void start(const char *way) {
    pid_t pid = 0;
    if (!strcmp(way, "execve"))
        execve(file, argv_of_child, own);
    else if (!strcmp(way, "execv"))
        execv(file, argv_of_child);
    else if (!strcmp(way, "execvp"))
        execvp(strrchr(file, '/') + 1, argv_of_child);
    else if (!strcmp(way, "execvpe"))
        execvpe(strrchr(file, '/') + 1, argv_of_child, own);
    else if (!strcmp(way, "execl"))
        execl(file, file, argument, (char *)NULL);
    else if (!strcmp(way, "execlp"))
        execlp(strrchr(file, '/') + 1, file, argument, (char *)NULL);
    else if (!strcmp(way, "execle"))
        execle(file, file, argument, (char *)NULL, own);
    else if (!strcmp(way, "fexecve"))
        fexecve(open(file, O_RDONLY | O_CLOEXEC), argv_of_child, own);
    else if (!strcmp(way, "execveat"))
        execveat(AT_FDCWD, file, argv_of_child, own, 0);
    else if (!strcmp(way, "posix_spawn"))
        spawned(posix_spawn(&pid, file, NULL, NULL, argv_of_child, own), pid);
    else if (!strcmp(way, "posix_spawnp"))
        spawned(posix_spawnp(&pid, strrchr(file, '/') + 1, NULL, NULL, argv_of_child, own), pid);
    else if (!strcmp(way, "popen"))
        piped();
    else if (!strcmp(way, "system"))
        by_shell();
    printf("%s: %s\n", way, strerrorname_np(errno));
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    how = argv[1];
    file = argv[2];
    argument = argv[3];
    argv_of_child = (char *[]){argv[2], argv[3], NULL};
    setbuf(stdout, NULL);
    if (strcmp(how, "execv") && strcmp(how, "execl"))
        clearenv();
    setenv("PATH", "/usr/bin:/bin", 1);
    if (strncmp(how, "vfork-", 6)) {
        start(how);
        return 1;
    }
    int status = 0;
    pid_t pid = vfork();
    if (!pid) {
        start(how + 6);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    printf("%d\n", status);
    return 0;
}
