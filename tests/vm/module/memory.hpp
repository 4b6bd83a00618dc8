// SPDX-License-Identifier: GPL-2.0-only
//
// How much memory there is, and what the kernel has of it, for the guest tests.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>

namespace llamux::vm {

using namespace std::chrono_literals;

// The sum of these lines of /proc/meminfo, in KiB.
inline long meminfo_kib(const std::set<std::string>& keys) {
    std::ifstream file("/proc/meminfo");
    long sum = 0;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        long kib = 0;
        words >> key >> kib;
        if (keys.contains(key))
            sum += kib;
    }
    return sum;
}

// All that a module can leak: slab, vmalloc, stacks of threads. MemFree moves by
// megabytes for reasons of its own. KASAN keeps freed objects until their slab shrinks.
inline long kernel_kib() {
    std::ofstream("/proc/sys/vm/drop_caches") << 3;
    for (const auto& slab : std::filesystem::directory_iterator("/sys/kernel/slab"))
        std::ofstream(slab.path() / "shrink") << 1;
    return meminfo_kib({"SUnreclaim:", "VmallocUsed:", "Percpu:", "KernelStack:"});
}

// The least of some: memory is freed a little later (RCU, per-CPU lists).
inline long settled_kib() {
    long least = kernel_kib();
    for (int i = 0; i < 20; ++i) {
        std::this_thread::sleep_for(50ms);
        least = std::min(least, kernel_kib());
    }
    return least;
}

}  // namespace llamux::vm
