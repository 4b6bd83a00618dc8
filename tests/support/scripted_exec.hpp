// SPDX-License-Identifier: GPL-2.0-only
//
// An executor that does what the contract allows and nobody expects: ranges of
// any size up to the grain, in any order, on any worker, for another cost in each
// loop; and a cancellation in the middle, with ranges left out. Seeded, in one
// thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "support/engine.hpp"

namespace llamux::test {

class ScriptedExec {
  public:
    explicit ScriptedExec(std::uint32_t seed, std::uint32_t n_workers = 3)
        : base_{{n_workers, 0, parallel_for}, this}, random_(seed) {}
    ScriptedExec(const ScriptedExec&) = delete;
    ScriptedExec& operator=(const ScriptedExec&) = delete;

    llx_exec* get() { return &base_.exec; }

    // Loops run so far, and how many to run before one is cancelled.
    std::uint64_t n_loops = 0;
    std::uint64_t cancel_at = ~std::uint64_t{0};

  private:
    struct Base {
        llx_exec exec;
        ScriptedExec* self;
    };
    struct Range {
        u32 begin;
        u32 end;
    };

    static int parallel_for(llx_exec* exec, u32 n, u32 grain, llx_range_fn fn, void* arg) {
        return reinterpret_cast<Base*>(exec)->self->run(n, grain, fn, arg);
    }

    int run(u32 n, u32 grain, llx_range_fn fn, void* arg) {
        std::vector<Range> ranges;
        for (u32 begin = 0; begin < n;) {
            const u32 length = std::min<u32>(n - begin, 1 + random_() % grain);
            ranges.push_back({begin, begin + length});
            begin += length;
        }
        std::shuffle(ranges.begin(), ranges.end(), random_);
        base_.exec.range_cost = LLX_RANGE_COST >> random_() % 7;
        const bool cancelled = n_loops++ == cancel_at;
        if (cancelled)
            ranges.resize(ranges.size() / 2);
        for (const Range& range : ranges)
            fn(arg, range.begin, range.end, random_() % base_.exec.n_workers);
        return cancelled ? -EINTR : 0;
    }

    Base base_;
    std::mt19937 random_;
};

}  // namespace llamux::test
