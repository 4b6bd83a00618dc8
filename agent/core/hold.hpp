// SPDX-License-Identifier: GPL-2.0-only
//
// Knobs that Llamux leaves alone, and why: someone asked for it, someone else
// set the knob, or its changes failed too often. A fold over the journal, as
// all state is. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/change.hpp"

namespace llamux {

enum class HoldReason {
    kAskedFor,     // freeze; over boots, until unfreeze
    kSomeoneElse,  // found changed by others; in this boot, until unfreeze
    kOtherTuner,   // another program looks after it; as long as it runs
    kGoal,         // a goal that someone set; until it ends
    kQuarantine,   // too many changes that did not help; in this boot, until unfreeze
};
std::string_view hold_reason_word(HoldReason reason);

struct Hold {
    HoldReason reason = HoldReason::kAskedFor;
    KnobTarget target;          // without a path: every group; without an id: whatever has the path
    std::uint64_t wall_ns = 0;  // since when
    std::string by;             // who, as far as it is known
    std::string why;            // in words
};

// @quarantine_after: failures in a row of one knob; 0: never.
std::vector<Hold> holds_of(const std::vector<Entry>& entries, const std::vector<Change>& changes,
                           const std::string& boot_id, std::uint32_t quarantine_after);

// Whether what is said of @wide is meant for @one, too.
bool covers(const KnobTarget& wide, const KnobTarget& one);

// nullptr: the knob is not held. What people decided comes before what was
// counted.
const Hold* find_hold(const std::vector<Hold>& holds, const KnobTarget& target);

// "cpu.weight of every group" for a target without a path, else knob_name().
std::string hold_name(const KnobTarget& target);

}  // namespace llamux
