// SPDX-License-Identifier: GPL-2.0-only
//
// Other programs that tune this machine. Two tuners on one knob fight, so that
// what another one looks after is left to it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/hold.hpp"
#include "kernel/roots.hpp"

namespace llamux {

struct Tuner {
    std::string_view name;                  // "tuned"
    std::string_view what;                  // what it does, in words
    std::vector<llamux_action_kind> knobs;  // left to it; may be none
    std::string_view comm{};                // its process, at most 15 bytes; empty: found otherwise
    bool is_here = false;
};

// In the order of the documentation; none is here.
std::vector<Tuner> known_tuners();

// Every tuner that is known, and whether it runs. A process counts only if it
// belongs to a system account (below @first_user_id): anybody can take a name.
std::vector<Tuner> find_tuners(const Roots& roots, unsigned first_user_id = 1000);

// The knobs of those that are here.
std::vector<Hold> holds_of(const std::vector<Tuner>& tuners);

}  // namespace llamux
