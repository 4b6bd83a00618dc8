// SPDX-License-Identifier: GPL-2.0-only
//
// An executor with threads, for tests, benchmarks and tools: what
// kmod/worker.c is in the kernel. Waiting threads look for work for a while
// before they sleep.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "support/engine.hpp"

namespace llamux::test {

class ThreadExec {
  public:
    explicit ThreadExec(unsigned n_workers);
    ~ThreadExec();
    ThreadExec(const ThreadExec&) = delete;
    ThreadExec& operator=(const ThreadExec&) = delete;

    llx_exec* get() { return &base_.exec; }

  private:
    // Standard layout, so that the engine's pointer leads back to the object.
    struct Base {
        llx_exec exec;
        ThreadExec* self;
    };

    static int parallel_for(llx_exec* exec, u32 n, u32 grain, llx_range_fn fn, void* arg);
    void run(u32 n, u32 grain, llx_range_fn fn, void* arg);
    bool run_one(u32 worker);
    void helper(u32 worker);

    Base base_;
    std::atomic<bool> stop_{false};
    // The loop. Who has taken a range may read the plain members: they only
    // change while no range is unfinished.
    llx_range_fn fn_ = nullptr;
    void* arg_ = nullptr;
    u32 n_ = 0;
    u32 grain_ = 1;
    u32 n_ranges_ = 0;
    alignas(64) std::atomic<u32> left_{0};
    alignas(64) std::atomic<u32> unfinished_{0};
    std::vector<std::thread> helpers_;
};

}  // namespace llamux::test
