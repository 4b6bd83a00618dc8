/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FPU sections: the only place that opens and closes them.
 *
 * Preemption is off inside, so a section's length is what a task that wakes
 * up on this CPU may have to wait. A section must not sleep, allocate, fault
 * or call anything that does. Vector registers do not survive its end.
 * Never include this where floats are compiled.
 */
#ifndef LLX_FPU_H
#define LLX_FPU_H

#include <asm/fpu/api.h>
#include <linux/ktime.h>

/**
 * llx_fpu_begin() - open a section; process context
 *
 * Return: its start, for llx_fpu_end().
 */
static inline u64 llx_fpu_begin(void)
{
	kernel_fpu_begin();
	return ktime_get_ns();
}

/**
 * llx_fpu_end() - close the section
 * @begin_ns: what llx_fpu_begin() returned
 *
 * Return: its length in nanoseconds.
 */
static inline u64 llx_fpu_end(u64 begin_ns)
{
	u64 length_ns = ktime_get_ns() - begin_ns;

	kernel_fpu_end();
	return length_ns;
}

#endif
