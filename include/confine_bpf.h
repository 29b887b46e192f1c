/* confine_bpf.h - what a seccomp filter would say of one system call. Pure: reads the program and the call,
 * nothing else. */
#ifndef MTLSWRAP_CONFINE_BPF_H
#define MTLSWRAP_CONFINE_BPF_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>

/* SECCOMP_RET_* with its data; SECCOMP_RET_KILL_PROCESS for a program that is no valid filter (the kernel
 * will refuse to install it). Jumps only go forward, so it ends after at most n instructions. */
uint32_t confine_bpf(const struct sock_filter *program, unsigned n, const struct seccomp_data *call);

#endif
