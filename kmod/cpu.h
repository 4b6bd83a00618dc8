/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_CPU_H
#define LLX_CPU_H

#include <linux/types.h>

struct llx_kernels;

/**
 * llx_cpu_features() - which vector instruction sets can be used
 *
 * Two questions each: does the CPU have it, and did the kernel enable its
 * registers (XCR0)? Context: any.
 * Return: LLX_CPU_* of simd/kernels.h.
 */
u32 llx_cpu_features(void);

/**
 * llx_cpu_kernels_init() - choose the vector kernels, once
 * @name: of a table, or "" or NULL for the best that this CPU can run
 *
 * Return: 0; -EINVAL (logged): no such table, or not on this CPU.
 */
int llx_cpu_kernels_init(const char *name);

/* What was chosen; never NULL after llx_cpu_kernels_init(). Any context. */
const struct llx_kernels *llx_cpu_kernels(void);

#endif
