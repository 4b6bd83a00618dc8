// SPDX-License-Identifier: GPL-2.0-only
//
// Action -> write: journal first, write, read back. Whatever goes wrong on the
// way, the knob ends with its old value or the journal says that it may not.
#pragma once

#include <cstdint>

#include "core/action.hpp"
#include "core/change.hpp"
#include "core/result.hpp"
#include "core/steps.hpp"
#include "kernel/journal.hpp"
#include "kernel/knobs.hpp"

namespace llamux {

// The caller holds the journal's exclusive lock and read the knob under it.
// Returns the change as the journal now has it: kWritten, or kFailed / kGone
// with the reason. An Error means that the journal itself failed; the knob is
// then as it was, as far as it could be written.
Result<Change> apply_action(const Action& action, std::uint64_t deadline_boot_ns,
                            LockedJournal& journal, const Knobs& knobs,
                            const StepListener& listener);

// Writes the value of a change whose old value is back for a while (kReturned) again.
// As above; left as kReturned if the knob no longer has the old value.
Result<Change> apply_again(std::uint64_t number, LockedJournal& journal, const Knobs& knobs,
                           const StepListener& listener);

}  // namespace llamux
