// SPDX-License-Identifier: GPL-2.0-only
//
// Brings old values back, and accounts for those that can not come back. A
// knob that no longer has our value is someone else's and is left alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/change.hpp"
#include "core/effect.hpp"
#include "core/result.hpp"
#include "core/steps.hpp"
#include "kernel/journal.hpp"
#include "kernel/knobs.hpp"

namespace llamux {

// Who has written the change's knob since the change was planned, other than
// the processes that work with this journal.
std::optional<Writing> someone_elses(const Change& change, const LockedJournal& journal,
                                     const Knobs& knobs);

// All that follow need the journal's exclusive lock.

// Ends as kUndone, kFrozen (someone else's value is there) or kGone (no group,
// or nothing that could be undone). An Error leaves the change unfinished.
Result<Change> undo_change(std::uint64_t number, const std::string& why,
                           const std::optional<Effect>& effect, LockedJournal& journal,
                           const Knobs& knobs, const StepListener& listener);

// Puts the old value back for a while, to see whether the trouble comes back: ends
// as kReturned, or as undo_change() does where the value is no longer ours. Only of
// what is being measured and may_return(). The change stays unfinished;
// apply_again() or undo_change() goes on.
Result<Change> return_change(std::uint64_t number, LockedJournal& journal, const Knobs& knobs,
                             const StepListener& listener);

// Closes a change as kept. @effect: as measured; a goal's is not.
Result<Change> keep_change(std::uint64_t number, const std::string& why,
                           const std::optional<Effect>& effect, LockedJournal& journal,
                           const StepListener& listener);

struct Accounting {
    std::vector<Change> closed;       // undone, frozen or gone now
    std::vector<Change> still_kept;   // kept, with our value still there
    std::vector<Change> left_alone;   // unfinished, of a living process
    std::vector<std::string> errors;  // changes that could not be undone
};

// Brings the journal in line with the machine: changes of an earlier boot are
// gone; unfinished ones of a dead process and those for a client that has ended are
// undone; other kept ones are checked.
Accounting account_for_all(LockedJournal& journal, const Knobs& knobs,
                           const std::function<bool(const Owner&)>& is_alive,
                           const StepListener& listener);

// Undoes everything that is still in force, newest first.
Accounting undo_all(const std::string& why, LockedJournal& journal, const Knobs& knobs,
                    const std::function<bool(const Owner&)>& is_alive,
                    const StepListener& listener);

}  // namespace llamux
