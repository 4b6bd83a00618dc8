// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which vector instructions this machine may execute in the kernel.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "cpu.h"
#include "compat.h"
#include "simd/kernels.h"

#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <linux/printk.h>

static const struct llx_kernels *kernels;

u32 llx_cpu_features(void)
{
	const u64 avx = XFEATURE_MASK_SSE | XFEATURE_MASK_YMM;
	u32 features = 0;

	if (!boot_cpu_has(X86_FEATURE_AVX2) || !boot_cpu_has(X86_FEATURE_FMA) ||
	    !boot_cpu_has(X86_FEATURE_F16C) || !cpu_has_xfeatures(avx, NULL))
		return 0;
	features |= LLX_CPU_AVX2;
	if (hypervisor_cpuid_base("TCGTCGTCGTCG", 0))
		features |= LLX_CPU_TCG;
	if (boot_cpu_has(X86_FEATURE_AVX_VNNI))
		features |= LLX_CPU_AVX_VNNI;

	if (!boot_cpu_has(X86_FEATURE_AVX512F) ||
	    !boot_cpu_has(X86_FEATURE_AVX512BW) ||
	    !boot_cpu_has(X86_FEATURE_AVX512VL) ||
	    !boot_cpu_has(X86_FEATURE_AVX512DQ) ||
	    !cpu_has_xfeatures(avx | XFEATURE_MASK_AVX512, NULL))
		return features;
	features |= LLX_CPU_AVX512;
	if (boot_cpu_has(X86_FEATURE_AVX512_VNNI))
		features |= LLX_CPU_AVX512_VNNI;
	return features;
}

int llx_cpu_kernels_init(const char *name)
{
	if (name && !*name)
		name = NULL;
	kernels = llx_kernels_select(llx_cpu_features(), name);
	if (kernels)
		return 0;
	pr_err("isa=%s: no such kernels, or this CPU cannot run them\n", name);
	return -EINVAL;
}

const struct llx_kernels *llx_cpu_kernels(void)
{
	return kernels;
}
