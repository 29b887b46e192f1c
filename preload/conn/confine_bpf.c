/* confine_bpf.c - an interpreter for the classic BPF of seccomp filters (seccomp(2), linux/filter.h). Every
 * access is checked, whatever the program says. */
#include "confine_bpf.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct machine {
    const struct seccomp_data *call;
    uint32_t a, x, memory[BPF_MEMWORDS];
    unsigned at;
    bool bad;
};

/* The only data there is: aligned words of struct seccomp_data. */
static uint32_t word(struct machine *m, uint32_t offset) {
    uint32_t value = 0;
    if (offset > sizeof *m->call - sizeof value || offset % sizeof value)
        m->bad = true;
    else
        memcpy(&value, (const char *)m->call + offset, sizeof value);
    return value;
}

static uint32_t cell(struct machine *m, uint32_t k) {
    if (k < BPF_MEMWORDS)
        return m->memory[k];
    m->bad = true;
    return 0;
}

static void store(struct machine *m, uint32_t k, uint32_t value) {
    if (k < BPF_MEMWORDS)
        m->memory[k] = value;
    else
        m->bad = true;
}

static uint32_t loaded(struct machine *m, const struct sock_filter *f) {
    switch (BPF_MODE(f->code)) {
    case BPF_IMM:
        return f->k;
    case BPF_MEM:
        return cell(m, f->k);
    case BPF_LEN:
        return sizeof *m->call;
    case BPF_ABS:
        return word(m, f->k);
    default:
        m->bad = true;
        return 0;
    }
}

static uint32_t divided(struct machine *m, uint32_t a, uint32_t b, bool rest) {
    if (!b) {
        m->bad = true;
        return 0;
    }
    return rest ? a % b : a / b;
}

static uint32_t computed(struct machine *m, const struct sock_filter *f) {
    uint32_t a = m->a, b = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
    switch (BPF_OP(f->code)) {
    case BPF_ADD:
        return a + b;
    case BPF_SUB:
        return a - b;
    case BPF_MUL:
        return a * b;
    case BPF_DIV:
        return divided(m, a, b, false);
    case BPF_MOD:
        return divided(m, a, b, true);
    case BPF_AND:
        return a & b;
    case BPF_OR:
        return a | b;
    case BPF_XOR:
        return a ^ b;
    case BPF_LSH:
        return b < 32 ? a << b : 0;
    case BPF_RSH:
        return b < 32 ? a >> b : 0;
    case BPF_NEG:
        return 0u - a;
    default:
        m->bad = true;
        return 0;
    }
}

static uint32_t jump(struct machine *m, const struct sock_filter *f) {
    uint32_t b = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
    switch (BPF_OP(f->code)) {
    case BPF_JA:
        return f->k;
    case BPF_JEQ:
        return m->a == b ? f->jt : f->jf;
    case BPF_JGT:
        return m->a > b ? f->jt : f->jf;
    case BPF_JGE:
        return m->a >= b ? f->jt : f->jf;
    case BPF_JSET:
        return m->a & b ? f->jt : f->jf;
    default:
        m->bad = true;
        return 0;
    }
}

/* True when the program has returned, with its verdict in *verdict. */
static bool step(struct machine *m, const struct sock_filter *f, uint32_t *verdict) {
    switch (BPF_CLASS(f->code)) {
    case BPF_LD:
        m->a = loaded(m, f);
        return false;
    case BPF_LDX:
        m->x = loaded(m, f);
        return false;
    case BPF_ST:
        store(m, f->k, m->a);
        return false;
    case BPF_STX:
        store(m, f->k, m->x);
        return false;
    case BPF_ALU:
        m->a = computed(m, f);
        return false;
    case BPF_JMP: {
        uint32_t by = jump(m, f);
        m->at = by > UINT16_MAX ? UINT16_MAX : m->at + by;
        return false;
    }
    case BPF_RET:
        *verdict = BPF_RVAL(f->code) == BPF_A ? m->a : f->k;
        return true;
    default: /* BPF_MISC */
        if (BPF_MISCOP(f->code) == BPF_TAX)
            m->x = m->a;
        else
            m->a = m->x;
        return false;
    }
}

uint32_t confine_bpf(const struct sock_filter *program, unsigned n, const struct seccomp_data *call) {
    struct machine m = {.call = call};
    uint32_t verdict;
    if (n > BPF_MAXINSNS)
        return SECCOMP_RET_KILL_PROCESS;
    while (m.at < n && !m.bad)
        if (step(&m, &program[m.at++], &verdict))
            return verdict;
    return SECCOMP_RET_KILL_PROCESS;
}
