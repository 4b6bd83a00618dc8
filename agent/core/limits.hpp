// SPDX-License-Identifier: GPL-2.0-only
//
// What the administrator allows: the part of the configuration that the pure
// stages need.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "llamux/actions.h"

namespace llamux {

enum class KnobMode { kOff, kAdvise, kApply };

// AUTO rows may be applied once acting is on; CANARY rows only by name.
constexpr std::array<KnobMode, LLAMUX_N_ACTIONS> default_knob_modes() {
    std::array<KnobMode, LLAMUX_N_ACTIONS> modes{};
#define LLAMUX_KNOB_MODE(id, phrase, file, unit, min, max, step, tier, scope) \
    modes[LLAMUX_ACTION_##id] =                                               \
        LLAMUX_TIER_##tier == LLAMUX_TIER_AUTO ? KnobMode::kApply : KnobMode::kAdvise;
    LLAMUX_ACTIONS(LLAMUX_KNOB_MODE)
#undef LLAMUX_KNOB_MODE
    return modes;
}

struct PolicyLimits {
    bool apply = false;  // acting is on
    std::array<KnobMode, LLAMUX_N_ACTIONS> knobs = default_knob_modes();
    std::uint32_t changes_per_hour = 12;
    std::uint32_t cool_down_seconds = 60;
    std::uint32_t retry_after_undo_seconds = 600;
    std::uint32_t reverse_after_seconds = 1800;   // the other way than what was kept
    std::uint32_t quarantine_after_failures = 3;  // in a row; 0: never
};

struct MeasureLimits {
    std::uint32_t windows = 5;  // before, and again after
    std::uint32_t window_ms = 1000;
    std::uint32_t settle_ms = 2000;
    std::uint32_t return_windows = 3;  // with the old value back; 0: it never is
    std::uint32_t minimum_effect_permille = 200;
};

// Glob patterns of cgroup paths ("*" also matches "/").
struct GroupMarks {
    std::vector<std::string> protect;     // besides the built-in ones
    std::vector<std::string> background;  // may always be slowed down
    std::vector<std::string> latency;     // matter most
};

}  // namespace llamux
