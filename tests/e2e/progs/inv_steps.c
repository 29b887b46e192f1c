/* inv_steps.c - counts what a program does between two marks, by single steps: instructions, and which system
 * calls.
 *
 *   inv_steps [-w] PROGRAM ARGUMENT…
 *
 * A mark is a SIGTRAP that the program sends itself; every second one ends a section. Between sections the
 * program runs freely. What it prints is its own; one line per section goes to descriptor 3: instructions,
 * then the numbers of the system calls. -w: the whole program is one section. */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS_MAX = 4096 };

static pid_t child;
static unsigned long steps, calls[CALLS_MAX];
static size_t call_count;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "inv_steps: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The instruction that comes next: a system call? Which? */
static void look(void) {
    struct user_regs_struct regs;
    struct iovec iov = {&regs, sizeof regs};
    if (ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &iov))
        die("PTRACE_GETREGSET");
#if defined __x86_64__
    unsigned long at = regs.rip, number = regs.rax, mask = 0xffff, code = 0x050f;
#elif defined __aarch64__
    unsigned long at = regs.pc, number = regs.regs[8], mask = 0xffffffff, code = 0xd4000001;
#endif
    errno = 0;
    unsigned long word = (unsigned long)ptrace(PTRACE_PEEKTEXT, child, at, NULL);
    if (!errno && (word & mask) == code && call_count < CALLS_MAX)
        calls[call_count++] = number;
}

static void report(void) {
    dprintf(3, "%lu", steps);
    for (size_t i = 0; i < call_count; i++)
        dprintf(3, " %lu", calls[i]);
    dprintf(3, "\n");
    steps = call_count = 0;
}

static bool is_mark(void) {
    siginfo_t info;
    return !ptrace(PTRACE_GETSIGINFO, child, NULL, &info) &&
           (info.si_code == SI_TKILL || info.si_code == SI_USER);
}

/* Runs the child to its next stop. False when it has ended. */
static bool go(bool stepping, int signal, int *stop) {
    int status;
    if (stepping)
        look();
    if (ptrace(stepping ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL, (void *)(intptr_t)signal) ||
        waitpid(child, &status, __WALL) != child)
        die("the program");
    steps += stepping;
    *stop = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
    if (!WIFSTOPPED(status) && (!WIFEXITED(status) || WEXITSTATUS(status)))
        die("the program failed");
    return WIFSTOPPED(status);
}

int main(int argc, char **argv) {
    int status, stop = 0;
    bool whole = argc > 2 && strcmp(argv[1], "-w") == 0, stepping = whole;
    char **command = argv + (whole ? 2 : 1);
    child = fork();
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execvp(*command, command);
        _exit(127);
    }
    if (argc < 2 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        die(*command);
    ptrace(PTRACE_SETOPTIONS, child, NULL,
           (void *)(PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)); /* else an exec looks like a mark */
    while (go(stepping, stop == SIGTRAP ? 0 : stop, &stop)) {
        if (stop != SIGTRAP || !is_mark())
            continue;
        if (stepping)
            report();
        stepping = !stepping;
    }
    if (whole)
        report();
    return 0;
}
