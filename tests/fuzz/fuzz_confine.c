/* fuzz_confine.c - libFuzzer target for the interpreter of seccomp filters: any program, any system call. It
 * must end, read nothing but its two inputs, and say the same twice.
 *
 * Input: a struct seccomp_data (what is missing is zero), then instructions. */
#include <stdlib.h>
#include <string.h>

#include "../../preload/conn/confine_bpf.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct seccomp_data call = {0};
    size_t head = size < sizeof call ? size : sizeof call;
    if (head)
        memcpy(&call, data, head);
    size_t n = (size - head) / sizeof(struct sock_filter);
    struct sock_filter *program = malloc(n * sizeof *program + 1); /* exactly, so that the sanitizer sees */
    if (!program)
        return 0;
    if (n)
        memcpy(program, data + head, n * sizeof *program);
    if (confine_bpf(program, (unsigned)n, &call) != confine_bpf(program, (unsigned)n, &call))
        abort();
    free(program);
    return 0;
}
