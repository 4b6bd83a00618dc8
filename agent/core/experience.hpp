// SPDX-License-Identifier: GPL-2.0-only
//
// What changes did on this machine: how often an action was tried against a cause,
// and how often it helped. One lesson for each cause, knob and direction, whatever
// the group, so that there are only as many as the catalogue allows. Pure;
// kernel/experience_file keeps it.
#pragma once

#include <cstdint>
#include <vector>

#include "llamux/actions.h"
#include "uapi/llamux.h"

namespace llamux {

struct Change;

struct Outcomes {
    std::uint32_t tried = 0;
    std::uint32_t helped = 0;
    std::uint32_t worse = 0;
    bool operator==(const Outcomes&) const = default;

    // By which the probability of the action is multiplied, at most 1000:
    // (helped + 2) / (tried + worse + 2). What was never tried counts in full.
    [[nodiscard]] std::uint32_t weight_permille() const;
    // What weighs less than one half is not chosen: three tries in vain, or two that
    // made it worse.
    [[nodiscard]] bool speaks_against() const { return weight_permille() < 500; }
};

// More tries are halved, so that a machine that changed is learned anew.
constexpr std::uint32_t kMostTries = 16;

struct Lesson {
    std::uint32_t cause = LLAMUX_CAUSE_NONE;
    std::uint32_t kind = LLAMUX_ACTION_NONE;
    std::uint32_t direction = LLAMUX_KEEP;
    Outcomes outcomes;          // as of wall_ns
    std::uint64_t wall_ns = 0;  // of the last try
    bool operator==(const Lesson&) const = default;
};

using Experience = std::vector<Lesson>;

// Whether a change has just ended with a measured effect on trouble that was seen.
// Not of a goal, not left to others, not given up, not against an assumed cause.
bool teaches(const Change& change);

// Counts a change that teaches(). The caller sees to it that it is counted once.
void learn(Experience& experience, const Change& change);

// What is known of an action against a cause. Halved for each week in which it was
// not tried: else what once was useless would never get another chance.
// @now_wall_ns: a clock that was set back lets nothing fade.
Outcomes outcomes_of(const Experience& experience, std::uint32_t cause, std::uint32_t kind,
                     std::uint32_t direction, std::uint64_t now_wall_ns);

}  // namespace llamux
