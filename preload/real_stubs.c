/* real_stubs.c - what the table of real calls begins with: one tiny entry per call that has the real one
 * found, puts it into the table and goes on to it. Works at any time, also before our constructor and in a
 * signal handler (I6). Assembly, since a stub must hand on arguments that it knows nothing of. */
#include "real.h"

/* The number of a call is its place in hooks.def, and so in struct real_calls. */
__asm__(".set mtlswrap_call, 0");

#if defined(__x86_64__)
#define HOOK(name, result, parameters)                                                                       \
    __asm__(".pushsection .text\n"                                                                           \
            ".hidden real_stub_" #name "\n"                                                                  \
            ".globl real_stub_" #name "\n"                                                                   \
            ".type real_stub_" #name ", @function\n"                                                         \
            "real_stub_" #name ": endbr64\n"                                                                 \
            "movl $mtlswrap_call, %r11d\n"                                                                   \
            "jmp mtlswrap_real_stub\n"                                                                       \
            ".popsection\n"                                                                                  \
            ".set mtlswrap_call, mtlswrap_call + 1");
#elif defined(__aarch64__)
#define HOOK(name, result, parameters)                                                                       \
    __asm__(".pushsection .text\n"                                                                           \
            ".hidden real_stub_" #name "\n"                                                                  \
            ".globl real_stub_" #name "\n"                                                                   \
            ".type real_stub_" #name ", %function\n"                                                         \
            "real_stub_" #name ": hint 34\n"                                                                 \
            "mov w16, #mtlswrap_call\n"                                                                      \
            "b mtlswrap_real_stub\n"                                                                         \
            ".popsection\n"                                                                                  \
            ".set mtlswrap_call, mtlswrap_call + 1");
#else
#error "port the stubs to this architecture"
#endif
#define TWIN(name)
#include "hooks.def"
#undef HOOK
#undef TWIN

/* The argument registers survive (none of the calls takes a floating-point argument), al too: it counts the
 * vector registers of a call with variable arguments. */
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
        "mtlswrap_real_stub:\n"
        "push %rdi\npush %rsi\npush %rdx\npush %rcx\npush %r8\npush %r9\npush %rax\npush %r11\n"
        "sub $8, %rsp\n"
        "mov %r11, %rdi\n"
        "call real_resolve\n"
        "add $8, %rsp\n"
        "pop %r11\n"
        "lea real(%rip), %r10\n"
        "mov %rax, (%r10,%r11,8)\n"
        "pop %rax\npop %r9\npop %r8\npop %rcx\npop %rdx\npop %rsi\npop %rdi\n"
        "jmp *(%r10,%r11,8)\n"
        ".popsection");
#else
__asm__(".pushsection .text\n"
        "mtlswrap_real_stub:\n"
        "stp x29, x30, [sp, #-96]!\n"
        "mov x29, sp\n"
        "stp x0, x1, [sp, #16]\nstp x2, x3, [sp, #32]\nstp x4, x5, [sp, #48]\nstp x6, x7, [sp, #64]\n"
        "stp x8, x16, [sp, #80]\n"
        "mov x0, x16\n"
        "bl real_resolve\n"
        "ldp x8, x16, [sp, #80]\n"
        "adrp x17, real\n"
        "add x17, x17, :lo12:real\n"
        "str x0, [x17, x16, lsl #3]\n"
        "mov x16, x0\n"
        "ldp x6, x7, [sp, #64]\nldp x4, x5, [sp, #48]\nldp x2, x3, [sp, #32]\nldp x0, x1, [sp, #16]\n"
        "ldp x29, x30, [sp], #96\n"
        "br x16\n"
        ".popsection");
#endif
