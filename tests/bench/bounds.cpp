// SPDX-License-Identifier: GPL-2.0-only
//
// See bounds.hpp.
#include "bench/bounds.hpp"

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "support/cpu_features.hpp"

namespace llamux::test {
namespace {

constexpr int kRuns = 5;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// Each thread's part; far beyond any cache.
constexpr std::size_t kPartBytes = std::size_t{256} << 20;
constexpr long kMultiplyRounds = 4'000'000;

// Seconds that @n_threads take to do @work(thread), the fastest of kRuns.
double seconds(unsigned n_threads, const std::function<void(unsigned)>& work) {
    double least = 1e9;
    for (int run = 0; run < kRuns; run++) {
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (unsigned i = 1; i < n_threads; i++)
            threads.emplace_back(work, i);
        work(0);
        for (std::thread& thread : threads)
            thread.join();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        least = std::min(least, took.count());
    }
    return least;
}

// In four streams, which is what keeps most lines in flight.
__attribute__((target("avx2"))) void read_part(const std::uint8_t* part) {
    constexpr std::size_t kStream = kPartBytes / 4;
    __m256i sum[4] = {};
    for (std::size_t at = 0; at < kStream; at += 64) {
        for (int i = 0; i < 4; i++) {
            const auto* p = reinterpret_cast<const __m256i*>(part + i * kStream + at);
            sum[i] = _mm256_xor_si256(sum[i], _mm256_load_si256(p));
            sum[i] = _mm256_xor_si256(sum[i], _mm256_load_si256(p + 1));
        }
    }
    __asm__ volatile("" ::"x"(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]));
}

__attribute__((target("avx2"))) void multiply_avx2() {
    for (long i = 0; i < kMultiplyRounds; i++) {
        __asm__ volatile(
            "vpmaddubsw %%ymm14, %%ymm15, %%ymm8\n\t"
            "vpmaddubsw %%ymm14, %%ymm15, %%ymm9\n\t"
            "vpmaddubsw %%ymm14, %%ymm15, %%ymm10\n\t"
            "vpmaddubsw %%ymm14, %%ymm15, %%ymm11\n\t"
            "vpaddw %%ymm8, %%ymm0, %%ymm0\n\t"
            "vpaddw %%ymm9, %%ymm1, %%ymm1\n\t"
            "vpaddw %%ymm10, %%ymm2, %%ymm2\n\t"
            "vpaddw %%ymm11, %%ymm3, %%ymm3" ::
                : "xmm0", "xmm1", "xmm2", "xmm3", "xmm8", "xmm9", "xmm10", "xmm11");
    }
}

__attribute__((target("avx512f,avx512vnni"))) void multiply_vnni() {
    for (long i = 0; i < kMultiplyRounds; i++) {
        __asm__ volatile(
            "vpdpbusd %%zmm14, %%zmm15, %%zmm0\n\t"
            "vpdpbusd %%zmm14, %%zmm15, %%zmm1\n\t"
            "vpdpbusd %%zmm14, %%zmm15, %%zmm2\n\t"
            "vpdpbusd %%zmm14, %%zmm15, %%zmm3\n\t"
            "vpdpbusd %%zmm14, %%zmm15, %%zmm4\n\t"
            "vpdpbusd %%zmm14, %%zmm15, %%zmm5\n\t"
            "vpdpbusd %%zmm14, %%zmm15, %%zmm6\n\t"
            "vpdpbusd %%zmm14, %%zmm15, %%zmm7" ::
                : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
    }
}

}  // namespace

double read_bound(unsigned n_threads) {
    const std::size_t bytes = n_threads * kPartBytes;
    void* memory = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("read bound: mmap");
        std::exit(1);
    }
    madvise(memory, bytes + kHugePage, MADV_HUGEPAGE);
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    auto* begin =
        reinterpret_cast<std::uint8_t*>((address + kHugePage - 1) / kHugePage * kHugePage);
    std::fill_n(begin, bytes, std::uint8_t{1});
    const double took =
        seconds(n_threads, [begin](unsigned i) { read_part(begin + i * kPartBytes); });
    munmap(memory, bytes + kHugePage);
    return static_cast<double>(bytes) / took / 1e9;
}

double multiply_bound(unsigned n_threads) {
    const u32 features = cpu_features();
    double per_round = 0;
    std::function<void(unsigned)> work;
    if ((features & LLX_CPU_AVX512_VNNI) != 0) {
        work = [](unsigned) { multiply_vnni(); };
        per_round = 8 * 64;
    } else if ((features & LLX_CPU_AVX2) != 0) {
        work = [](unsigned) { multiply_avx2(); };
        per_round = 4 * 32;
    } else {
        return 0;
    }
    return n_threads * per_round * kMultiplyRounds / seconds(n_threads, work) / 1e9;
}

}  // namespace llamux::test
