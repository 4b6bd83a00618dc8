// SPDX-License-Identifier: GPL-2.0-only
//
// Time as the agent sees it; injected, so that tests own it. Boot time orders
// and measures, wall time is only for people.
#pragma once

#include <cstdint>

namespace llamux {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerUs = 1'000;

class Clock {
  public:
    virtual ~Clock() = default;
    virtual std::uint64_t boot_ns() = 0;  // CLOCK_BOOTTIME
    virtual std::uint64_t wall_ns() = 0;  // CLOCK_REALTIME
};

}  // namespace llamux
