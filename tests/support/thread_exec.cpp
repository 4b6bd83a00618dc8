// SPDX-License-Identifier: GPL-2.0-only
//
// See thread_exec.hpp.
#include "support/thread_exec.hpp"

#include <immintrin.h>

#include <algorithm>

namespace llamux::test {

namespace {

// About 20 us; afterwards a thread gives way.
constexpr int kSpins = 500;

}  // namespace

ThreadExec::ThreadExec(unsigned n_workers) : base_{{n_workers, 0, parallel_for}, this} {
    for (unsigned worker = 1; worker < n_workers; worker++)
        helpers_.emplace_back([this, worker] { helper(worker); });
}

ThreadExec::~ThreadExec() {
    stop_ = true;
    left_ = 0;
    // A value that no waiter has seen, so that all wake up.
    left_ = ~0U;
    left_.notify_all();
    for (std::thread& thread : helpers_)
        thread.join();
}

int ThreadExec::parallel_for(llx_exec* exec, u32 n, u32 grain, llx_range_fn fn, void* arg) {
    reinterpret_cast<Base*>(exec)->self->run(n, grain, fn, arg);
    return 0;
}

void ThreadExec::run(u32 n, u32 grain, llx_range_fn fn, void* arg) {
    if (n <= grain) {
        fn(arg, 0, n, 0);
        return;
    }
    fn_ = fn;
    arg_ = arg;
    n_ = n;
    grain_ = grain;
    n_ranges_ = (n + grain - 1) / grain;
    unfinished_.store(n_ranges_, std::memory_order_relaxed);
    left_.store(n_ranges_, std::memory_order_release);
    left_.notify_all();
    while (run_one(0)) {
    }
    for (int spins = 0; unfinished_.load(std::memory_order_acquire) != 0; spins++) {
        if (spins < kSpins)
            _mm_pause();
        else
            std::this_thread::yield();
    }
}

// Takes one range and runs it; false if there was none.
bool ThreadExec::run_one(u32 worker) {
    u32 left = left_.load(std::memory_order_acquire);
    while (left != 0 && !stop_.load(std::memory_order_relaxed)) {
        if (!left_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel))
            continue;
        const u32 begin = (n_ranges_ - left) * grain_;
        fn_(arg_, begin, std::min(begin + grain_, n_), worker);
        unfinished_.fetch_sub(1, std::memory_order_release);
        return true;
    }
    return false;
}

void ThreadExec::helper(u32 worker) {
    int spins = 0;
    while (!stop_) {
        if (run_one(worker)) {
            spins = 0;
        } else if (spins++ < kSpins) {
            _mm_pause();
        } else {
            left_.wait(0, std::memory_order_acquire);
            spins = 0;
        }
    }
}

}  // namespace llamux::test
