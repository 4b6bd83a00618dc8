// SPDX-License-Identifier: GPL-2.0-only
//
// The journal's entries, and the changes they add up to. The journal is the
// agent's only state: folding its entries says what was changed, what is
// still ours and what is unfinished. Pure; kernel/journal does the files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/action.hpp"
#include "core/effect.hpp"

namespace llamux {

enum class EntryType {
    kPlanned,   // before the write; holds the plan
    kWritten,   // after the read-back
    kReturned,  // the old value is back for a while, to see whether the trouble comes back
    kKept,      // verdict: it stays
    kUndoing,   // verdict: it goes; before the restoring write
    kUndone,    // the old value is back
    kFailed,    // could not be written; the old value is in force
    kFrozen,    // someone else changed it: left to them
    kGone,      // nothing to restore: cgroup removed, rebooted, or irrevocable
    // Of a knob, not of a change:
    kKnobFrozen,  // someone asked that it be left alone
    kKnobFreed,   // and gave it back
};
std::string_view entry_type_word(EntryType type);
std::optional<EntryType> entry_type_of(std::string_view word);

struct Entry {
    std::uint64_t seq = 0;     // from 1, no gaps
    std::uint64_t change = 0;  // seq of the change's planned entry
    EntryType type = EntryType::kPlanned;
    std::uint64_t wall_ns = 0;
    std::uint64_t boot_ns = 0;
    std::string boot_id;
    Owner owner;
    std::string why;
    std::optional<Plan> plan;            // kPlanned
    std::uint64_t deadline_boot_ns = 0;  // kPlanned: judged by then
    Settings found;                      // kWritten, kReturned, kUndone, kFrozen: read back
    std::optional<Effect> effect;        // kKept, kUndoing
    std::optional<KnobTarget> target;    // kKnobFrozen, kKnobFreed
    std::string by;                      // the same, and kFrozen: who, if it is known
};

struct Change {
    std::uint64_t number = 0;  // of its planned entry
    Plan plan;
    EntryType state = EntryType::kPlanned;  // of its last entry
    std::string boot_id;                    // of its planned entry
    Owner owner;
    std::uint64_t planned_boot_ns = 0;
    std::uint64_t planned_wall_ns = 0;
    std::uint64_t last_boot_ns = 0;
    std::uint64_t last_wall_ns = 0;
    std::uint64_t deadline_boot_ns = 0;
    bool written = false;  // a kWritten entry exists
    std::string why;       // of the last entry
    std::string by;        // the same
    Settings found;
    std::optional<Effect> effect;

    // Its verdict or its undo is outstanding.
    [[nodiscard]] bool unfinished() const {
        return state == EntryType::kPlanned || state == EntryType::kWritten ||
               state == EntryType::kReturned || state == EntryType::kUndoing;
    }
    [[nodiscard]] bool kept() const { return state == EntryType::kKept; }
    // The machine still has (or may have) our value, and it can be undone.
    [[nodiscard]] bool in_force() const { return unfinished() || (kept() && plan.reversible); }
};

// Where to undo it. A unit's value outlives its group, which is made anew when
// the unit is started again.
KnobTarget undo_target(const Plan& plan);

bool concerns_a_knob(EntryType type);  // kKnobFrozen, kKnobFreed

// In the order of their planning. Entries of unknown changes are left out (the
// journal reports them as damage).
std::vector<Change> fold(const std::vector<Entry>& entries);

const Change* find_change(const std::vector<Change>& changes, std::uint64_t number);

}  // namespace llamux
