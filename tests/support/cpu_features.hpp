// SPDX-License-Identifier: GPL-2.0-only
//
// LLX_CPU_* of the CPU that runs this, as kmod/cpu.c finds them in the kernel.
#pragma once

#include <cpuid.h>

#include "support/engine.hpp"

namespace llamux::test {

inline u32 cpu_features() {
    u32 features = 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("f16c"))
        features |= LLX_CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        features |= LLX_CPU_AVX512;
    if ((features & LLX_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512vnni"))
        features |= LLX_CPU_AVX512_VNNI;
    // GCC 12 has no name for it: leaf 7.1, EAX bit 4.
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    if ((features & LLX_CPU_AVX2) != 0 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
        (eax & 1U << 4) != 0)
        features |= LLX_CPU_AVX_VNNI;
    return features;
}

}  // namespace llamux::test
