/* confine_bpf.c - unit tests of the interpreter of seccomp filters: what the kernel's would say. */
#include <criterion/criterion.h>
#include <linux/audit.h>
#include <stddef.h>

#include "../../preload/conn/confine_bpf.c"

enum { ALLOW = SECCOMP_RET_ALLOW, NR = offsetof(struct seccomp_data, nr) };
#define KILL SECCOMP_RET_KILL_PROCESS
#define SAYS(program, call) confine_bpf(program, sizeof(program) / sizeof *(program), call)

static const struct seccomp_data call_7 = {
    .nr = 7, .arch = AUDIT_ARCH_X86_64, .args = {0x1122334455667788, 40}};

Test(confine_bpf, allows_by_number) {
    const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
    };
    struct seccomp_data other = call_7;
    other.nr = 8;
    cr_assert_eq(SAYS(program, &call_7), ALLOW);
    cr_assert_eq(SAYS(program, &other), SECCOMP_RET_ERRNO | 1);
}

Test(confine_bpf, reads_both_halves_of_an_argument) {
    const uint32_t first = offsetof(struct seccomp_data, args);
    const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x55667788, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x11223344, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, ALLOW),
        BPF_STMT(BPF_RET | BPF_K, KILL),
    };
    cr_assert_eq(SAYS(program, &call_7), ALLOW);
}

Test(confine_bpf, computes_and_keeps) {
    const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8), /* 40 */
        BPF_STMT(BPF_ST, 3),
        BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 6),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), /* 46 */
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 2), /* 92 */
        BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
        BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0), /* 52 */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x3c),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    cr_assert_eq(SAYS(program, &call_7), 52);
}

Test(confine_bpf, refuses_what_is_no_filter) {
    const struct sock_filter no_end[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR)};
    const struct sock_filter outside[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64),
                                          BPF_STMT(BPF_RET | BPF_K, ALLOW)};
    const struct sock_filter crooked[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2),
                                          BPF_STMT(BPF_RET | BPF_K, ALLOW)};
    const struct sock_filter by_zero[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
                                          BPF_STMT(BPF_RET | BPF_K, ALLOW)};
    const struct sock_filter far_cell[] = {BPF_STMT(BPF_ST, BPF_MEMWORDS), BPF_STMT(BPF_RET | BPF_K, ALLOW)};
    const struct sock_filter far_jump[] = {BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX),
                                           BPF_STMT(BPF_RET | BPF_K, ALLOW)};
    cr_assert_eq(SAYS(no_end, &call_7), KILL);
    cr_assert_eq(SAYS(outside, &call_7), KILL);
    cr_assert_eq(SAYS(crooked, &call_7), KILL);
    cr_assert_eq(SAYS(by_zero, &call_7), KILL);
    cr_assert_eq(SAYS(far_cell, &call_7), KILL);
    cr_assert_eq(SAYS(far_jump, &call_7), KILL);
}
