/* inv_between.c - stands between what is tested and the kernel: after a receive that took something, and
 * before its caller sees that, the tested program may make more arrive. So what else is a race has one
 * outcome.
 *
 * By the kernel's Syscall User Dispatch (Linux 5.11, x86-64): while something is planned every system call of
 * this thread that does not come from the section below raises SIGSYS, whose handler makes the call in its
 * place. */
#include "inv_ready.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif
enum { ALLOW, BLOCK };

static void (*planned)(void);
static volatile char selector = ALLOW;
extern char __start_between_text[], __stop_between_text[]; /* the linker's names for the section */

__attribute__((section("between_text"), noinline)) static long in_kernel(long number, const greg_t *a) {
    long result;
    register long r10 __asm__("r10") = a[REG_R10];
    register long r8 __asm__("r8") = a[REG_R8];
    register long r9 __asm__("r9") = a[REG_R9];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[REG_RDI]), "S"(a[REG_RSI]), "d"(a[REG_RDX]), "r"(r10), "r"(r8),
                       "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* The way out of the handler is a system call too. */
void between_restore(void);
__asm__(".pushsection between_text,\"ax\",@progbits\n"
        "between_restore: mov $15, %eax\n" /* rt_sigreturn */
        "syscall\n"
        ".popsection");

static void in_its_place(int signo, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    greg_t *regs = u->uc_mcontext.gregs;
    long got = in_kernel(info->si_syscall, regs);
    (void)signo;
    if (info->si_syscall == SYS_rt_sigprocmask) { /* else the way out would undo it */
        greg_t ask[NGREG] = {0};
        ask[REG_RDI] = SIG_BLOCK;
        ask[REG_RDX] = (greg_t)(intptr_t)&u->uc_sigmask;
        ask[REG_R10] = 8;
        in_kernel(SYS_rt_sigprocmask, ask);
    }
    if (info->si_syscall == SYS_recvfrom && got > 0 && !(regs[REG_R10] & MSG_PEEK)) {
        selector = ALLOW;
        planned();
    }
    regs[REG_RAX] = got;
}

static void begin_between(void) {
    struct {
        void (*handler)(int, siginfo_t *, void *);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = {in_its_place, SA_SIGINFO | SA_NODEFER | 0x04000000 /* SA_RESTORER */, between_restore, 0};
    greg_t set[NGREG] = {0};
    set[REG_RDI] = SIGSYS;
    set[REG_RSI] = (greg_t)(intptr_t)&action;
    set[REG_R10] = 8;
    if (in_kernel(SYS_rt_sigaction, set) ||
        prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, __start_between_text,
              __stop_between_text - __start_between_text, &selector))
        die("a system call cannot be caught");
}

void between_once(void (*what)(void)) {
    static bool begun;
    if (!begun)
        begin_between();
    begun = true;
    planned = what;
    selector = BLOCK;
}

int between_queued(int fd) {
    int queued = 0;
    greg_t ask[NGREG] = {0};
    ask[REG_RDI] = fd;
    ask[REG_RSI] = FIONREAD;
    ask[REG_RDX] = (greg_t)(intptr_t)&queued;
    return in_kernel(SYS_ioctl, ask) ? -1 : queued;
}
