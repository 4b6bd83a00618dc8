// SPDX-License-Identifier: GPL-2.0-only
//
// At most so many log lines a minute; what was left out is counted, so that
// the next line can say so. Log floods are what users of tuners complain of.
#pragma once

#include <cstdint>

#include "core/clock.hpp"

namespace llamux {

class RateLimit {
  public:
    RateLimit(Clock& clock, std::uint32_t per_minute) : clock_(clock), per_minute_(per_minute) {}

    // May one more line be written now?
    bool allow() {
        const std::uint64_t now = clock_.boot_ns();
        if (now >= minute_started_ns_ + 60 * kNsPerSecond || minute_started_ns_ == 0) {
            minute_started_ns_ = now;
            used_ = 0;
        }
        if (used_ >= per_minute_) {
            n_left_out_++;
            return false;
        }
        used_++;
        return true;
    }

    // How many were refused since the last call.
    std::uint64_t take_left_out() {
        const std::uint64_t n = n_left_out_;
        n_left_out_ = 0;
        return n;
    }

  private:
    Clock& clock_;
    std::uint32_t per_minute_;
    std::uint32_t used_ = 0;
    std::uint64_t minute_started_ns_ = 0;
    std::uint64_t n_left_out_ = 0;
};

}  // namespace llamux
