/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels this module supports, 6.1 to 6.12. Each
 * entry names the commit that made the difference, or the architecture. Only
 * differences: no wrappers of our own.
 */
#ifndef LLX_COMPAT_H
#define LLX_COMPAT_H

#include <linux/version.h>

/*
 * 08c0cd2c5e1b ("timers: Rename del_timer_sync() to timer_delete_sync()"), in
 * 6.2; Debian's 6.1 has it backported, other 6.1 kernels may not.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 84)
#define timer_delete_sync(timer) del_timer_sync(timer)
#endif

/*
 * User Mode Linux runs on the registers that its host has enabled, and has no
 * headers to ask.
 */
#ifdef CONFIG_UML
#define XFEATURE_MASK_SSE 0
#define XFEATURE_MASK_YMM 0
#define XFEATURE_MASK_AVX512 0
#define cpu_has_xfeatures(needed, name) ((needed) == 0)
#define hypervisor_cpuid_base(name, leaves) 0
#else
#include <asm/processor.h>
#endif

#endif
