// SPDX-License-Identifier: GPL-2.0-only
//
// Speed of the kernels: GMAC/s of matmul by table and type, for one token (as
// in decoding) and 32 (as in prefill), on weights that fit the second-level
// cache and on weights that do not fit any cache; and the row functions.
#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "simd/weights.hpp"
#include "support/cpu_features.hpp"

namespace {

using namespace llamux::test;  // NOLINT: a program of its own

constexpr u32 kColumns = 2048;

void matmul(benchmark::State& state, const llx_kernels* k, u32 type) {
    const auto n_tokens = static_cast<u32>(state.range(0));
    const auto n_rows = static_cast<u32>(state.range(1));
    std::mt19937 random(1);
    const auto rows = random_rows(type, n_rows, kColumns, Fill::kRandom, random);
    const PackedMatrix m(type, n_rows, kColumns, rows);
    const auto x = random_floats(size_t{n_tokens} * kColumns, random);
    std::vector<llx_f32> f32(x.size());
    std::memcpy(f32.data(), x.data(), 4 * x.size());
    std::vector<llx_act_block> q8(x.size() / 32);
    k->quantize_row(f32.data(), static_cast<u32>(x.size()), q8.data());
    const llx_activations act{f32.data(), q8.data(), kColumns, kColumns / 32};
    std::vector<llx_f32> y(size_t{n_tokens} * n_rows);
    for (auto _ : state) {
        k->matmul[type](&m.shape, 0, m.shape.n_tiles, &act, n_tokens, y.data(), n_rows);
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    const double macs =
        1.0 * n_tokens * n_rows * kColumns * static_cast<double>(state.iterations());
    state.counters["GMAC/s"] = benchmark::Counter(macs / 1e9, benchmark::Counter::kIsRate);
    const double bytes = 1.0 * static_cast<double>(m.shape.tile_bytes) * m.shape.n_tiles *
                         static_cast<double>(state.iterations());
    state.counters["weights_GB/s"] = benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsRate);
}

void swiglu(benchmark::State& state, const llx_kernels* k) {
    std::mt19937 random(1);
    const auto x = random_floats(5632, random);
    std::vector<llx_f32> gate(x.size());
    std::vector<llx_f32> up(x.size());
    std::memcpy(up.data(), x.data(), 4 * x.size());
    for (auto _ : state) {
        std::memcpy(gate.data(), x.data(), 4 * x.size());
        k->swiglu(gate.data(), up.data(), static_cast<u32>(gate.size()));
        benchmark::DoNotOptimize(gate.data());
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * x.size()));
}

void quantize(benchmark::State& state, const llx_kernels* k) {
    std::mt19937 random(1);
    const auto x = random_floats(2048, random);
    std::vector<llx_f32> f32(x.size());
    std::memcpy(f32.data(), x.data(), 4 * x.size());
    std::vector<llx_act_block> q8(x.size() / 32);
    for (auto _ : state) {
        k->quantize_row(f32.data(), static_cast<u32>(x.size()), q8.data());
        benchmark::DoNotOptimize(q8.data());
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * x.size()));
}

void pack(benchmark::State& state, u32 type) {
    std::mt19937 random(1);
    const auto rows = random_rows(type, 16, kColumns, Fill::kRandom, random);
    const PackedMatrix m(type, 16, kColumns, rows);
    for (auto _ : state) {
        llx_pack_tile(&m.shape, rows.data(), 16, m.shape.tiles);
        benchmark::DoNotOptimize(m.shape.tiles);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * rows.size()));
}

}  // namespace

int main(int argc, char** argv) {
    for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++) {
        if (llx_kernels_select(testable_features(), (*k)->name) == nullptr)
            continue;
        const std::string table = (*k)->name;
        for (const u32 type : kTypes) {
            const std::string name = "matmul/" + table + "/" + llx_type_traits(type)->name;
            auto* bench = benchmark::RegisterBenchmark(
                name.c_str(), [k, type](benchmark::State& state) { matmul(state, *k, type); });
            bench->ArgNames({"tokens", "rows"});
            for (const int n_tokens : {1, 32}) {
                bench->Args({n_tokens, 512});
                if (table != "generic")
                    bench->Args({n_tokens, 32768});
            }
        }
        benchmark::RegisterBenchmark(("swiglu/" + table).c_str(),
                                     [k](benchmark::State& state) { swiglu(state, *k); });
        benchmark::RegisterBenchmark(("quantize/" + table).c_str(),
                                     [k](benchmark::State& state) { quantize(state, *k); });
    }
    for (const u32 type : kTypes)
        benchmark::RegisterBenchmark((std::string("pack/") + llx_type_traits(type)->name).c_str(),
                                     [type](benchmark::State& state) { pack(state, type); });
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
