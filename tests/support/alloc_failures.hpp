// SPDX-License-Identifier: GPL-2.0-only
//
// Every way in which an operation of the engine can run out of memory.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "support/engine.hpp"

namespace llamux::test {

// Runs `operation`, which returns 0 or -errno and frees what it made, with its
// first allocation failing, then its second, and so on until none is left to
// fail: that run must succeed. None may lose memory. Returns what the runs
// returned in which one failed.
template <typename Operation>
std::vector<int> fail_each_allocation(Operation operation) {
    std::vector<int> codes;
    const u64 blocks = llx_alloc_blocks();
    for (u64 nth = 1;; nth++) {
        llx_alloc_fail_nth(nth);
        const int code = operation();
        const bool one_failed = llx_alloc_fail_nth(0) >= nth;
        EXPECT_EQ(llx_alloc_blocks(), blocks) << "blocks lost when allocation " << nth << " failed";
        if (!one_failed) {
            EXPECT_EQ(code, 0);
            return codes;
        }
        codes.push_back(code);
    }
}

}  // namespace llamux::test
