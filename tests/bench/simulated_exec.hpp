// SPDX-License-Identifier: GPL-2.0-only
//
// How long the engine's loops would take on a machine with more CPUs than this
// one: ranges are run here, one after another and timed, and handed to workers
// on paper.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "support/engine.hpp"

namespace llamux::test {

// Each range costs what it takes here, alone. Taking one and ending one are
// atomic operations on a cache line each, as in kmod/worker.c, and cost the
// transfer of the line from another core, kLineNs: what the worst pairs of cores
// of one socket need, and good ones of two. Ranges are taken one after another;
// that ends meet is left out. The caller goes on when the last range has ended.
// What is not in it: cores that share a memory bus, a clock or an SMT pair.
class SimulatedExec {
  public:
    static constexpr double kLineNs = 100;

    explicit SimulatedExec(unsigned n_workers)
        : base_{{n_workers, 0, parallel_for}, this}, free_ns_(n_workers) {}
    SimulatedExec(const SimulatedExec&) = delete;
    SimulatedExec& operator=(const SimulatedExec&) = delete;

    llx_exec* get() { return &base_.exec; }

    // Of all loops so far.
    [[nodiscard]] double seconds() const { return total_ns_ * 1e-9; }

  private:
    // Standard layout, so that the engine's pointer leads back to the object.
    struct Base {
        llx_exec exec;
        SimulatedExec* self;
    };

    static int parallel_for(llx_exec* exec, u32 n, u32 grain, llx_range_fn fn, void* arg) {
        reinterpret_cast<Base*>(exec)->self->run(n, grain, fn, arg);
        return 0;
    }

    void run(u32 n, u32 grain, llx_range_fn fn, void* arg) {
        using Clock = std::chrono::steady_clock;
        std::fill(free_ns_.begin(), free_ns_.end(), 0.0);
        double taken_ns = 0;  // when the counter of ranges left is free again
        double ended_ns = 0;
        for (u32 begin = 0; begin < n; begin += std::min(grain, n - begin)) {
            const auto first = std::min_element(free_ns_.begin(), free_ns_.end());
            const auto before = Clock::now();
            fn(arg, begin, begin + std::min(grain, n - begin),
               static_cast<u32>(first - free_ns_.begin()));
            const std::chrono::duration<double, std::nano> took = Clock::now() - before;
            taken_ns = std::max(taken_ns, *first) + kLineNs;
            *first = taken_ns + took.count() + kLineNs;
            ended_ns = std::max(ended_ns, *first);
        }
        total_ns_ += ended_ns;
    }

    Base base_;
    std::vector<double> free_ns_;
    double total_ns_ = 0;
};

}  // namespace llamux::test
