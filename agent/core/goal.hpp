// SPDX-License-Identifier: GPL-2.0-only
//
// A goal that a person can state: a profile of knobs with the words for it.
// The profile says where to go; policy and step rules say how far one change
// may. agent/goals has the shipped ones, as files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/catalogue.hpp"

namespace llamux {

// Whose knob it is.
enum class GoalScope {
    kSystem,
    kClient,      // the group of the program that the goal is for
    kBackground,  // each group that the configuration marks as background
};

struct GoalWish {
    llamux_action_kind kind = LLAMUX_ACTION_NONE;
    GoalScope scope = GoalScope::kSystem;
    std::uint64_t value = 0;
};

struct GoalProfile {
    std::string name;                // "gaming", [a-z-]
    std::string title;               // for people
    std::string phrase;              // that the model ranks: "playing a game without stutter"
    std::vector<std::string> words;  // lower case; each names this goal
    std::vector<GoalWish> wishes;    // none: no goal is in force
};

// How far one change may go from @old towards @wanted.
inline std::uint64_t one_step(const ActionRow& row, std::uint64_t old, std::uint64_t wanted) {
    if (row.step_permille == 0) {
        return wanted;
    }
    using Wide = unsigned __int128;
    const Wide factor = 1000 + row.step_permille;
    if (wanted > old) {
        return static_cast<std::uint64_t>(std::min(Wide{wanted}, Wide{old} * factor / 1000));
    }
    return static_cast<std::uint64_t>(
        std::max(Wide{wanted}, (Wide{old} * 1000 + factor - 1) / factor));
}

}  // namespace llamux
