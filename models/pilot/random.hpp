// SPDX-License-Identifier: GPL-2.0-only
//
// Seeded random numbers that are the same on every machine and library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace llamux::pilot {

// splitmix64 (Steele, Lea and Flood 2014).
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    // In [low, high].
    std::uint64_t between(std::uint64_t low, std::uint64_t high) {
        return low + next() % (high - low + 1);
    }
    bool chance(unsigned percent) { return next() % 100 < percent; }

    // In [low, high], every order of magnitude alike: most signals are skewed.
    std::uint64_t spread(std::uint64_t low, std::uint64_t high) {
        std::uint64_t top = low;
        while (top < high && chance(75)) {
            top = top * 2 + 1;
        }
        return between(low, top < high ? top : high);
    }
    template <typename T>
    const T& pick(const std::vector<T>& from) {
        return from[next() % from.size()];
    }

  private:
    std::uint64_t state_;
};

using Words = std::vector<std::string_view>;

}  // namespace llamux::pilot
