// SPDX-License-Identifier: GPL-2.0-only
//
// LLX_CPU_* of the CPU that runs this, as kmod/cpu.c finds them in the kernel.
#pragma once

#include <cpuid.h>

#include <cstring>

#include "support/engine.hpp"

namespace llamux::test {

// Registers of a CPUID leaf, all 0 where it does not exist.
struct CpuidLeaf {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;

    CpuidLeaf(unsigned leaf, unsigned subleaf) {
        __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx);
    }
};

inline u32 cpu_features() {
    u32 features = 0;
    __builtin_cpu_init();
    // Clang 14 has no name for F16C (leaf 1, ECX bit 29), GCC 12 none for
    // AVX-VNNI (leaf 7.1, EAX bit 4).
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        (CpuidLeaf(1, 0).ecx & 1U << 29) != 0)
        features |= LLX_CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        features |= LLX_CPU_AVX512;
    if ((features & LLX_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512vnni"))
        features |= LLX_CPU_AVX512_VNNI;
    if ((features & LLX_CPU_AVX2) != 0 && (CpuidLeaf(7, 1).eax & 1U << 4) != 0)
        features |= LLX_CPU_AVX_VNNI;
    // Leaf 0x40000000 names the hypervisor, if leaf 1 says that there is one.
    if ((CpuidLeaf(1, 0).ecx & 1U << 31) != 0) {
        unsigned eax = 0;
        unsigned name[3] = {};
        __cpuid(0x40000000, eax, name[0], name[1], name[2]);
        if (std::memcmp(name, "TCGTCGTCGTCG", sizeof(name)) == 0)
            features |= LLX_CPU_TCG;
    }
    return features;
}

// For tests, which run every table that works here, also what only TCG prefers.
inline u32 testable_features() {
    return cpu_features() | LLX_CPU_TCG;
}

}  // namespace llamux::test
