// SPDX-License-Identifier: GPL-2.0-only
//
// Which profile a person means: free text -> profile. By its name; else as
// the kernel ranks candidates, by the log-probability of each profile's phrase
// per token over that under a neutral prompt; else, and where no model can
// tell, by plain words. Says which of them decided. Never guesses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/goal.hpp"
#include "core/result.hpp"
#include "kernel/llamux_device.hpp"

namespace llamux {

enum class GoalBy { kName, kModel, kWords };
std::string_view goal_by_word(GoalBy by);  // name, model, words

struct GoalChoice {
    std::size_t profile = 0;  // index
    GoalBy by = GoalBy::kName;
    std::string note;                                 // why not by the model; or empty
    std::vector<std::uint32_t> probability_permille;  // of each profile; empty: not by the model
};

// @device: nullptr: no module. ENODATA: neither model nor words tell; the
// message names the profiles.
Result<GoalChoice> choose_goal(std::string_view text, const std::vector<GoalProfile>& profiles,
                               Device* device);

}  // namespace llamux
