// SPDX-License-Identifier: GPL-2.0-only
//
// The policy: candidate + snapshot + present value + limits -> Action or
// Refusal. Pure. The only maker of Actions. Every rule is one function in
// policy.cpp and one row in docs/SAFETY.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/action.hpp"
#include "core/change.hpp"
#include "core/hold.hpp"
#include "core/limits.hpp"
#include "core/refusal.hpp"
#include "llamux/telemetry.h"

namespace llamux {

// What the candidate is judged against. Holds references for one call only.
struct PolicyInput {
    const llamux_snapshot& snapshot;
    const Settings& present;             // read just now; empty for a write-only knob
    std::string keeper = {};             // Knobs::keeper(); empty: the knob can be written
    unsigned n_siblings = 0;             // of the target group
    const std::vector<Change>& changes;  // of the journal
    const std::vector<Hold>& holds;      // of the journal
    const std::vector<std::string>& journal_damage;
    std::string boot_id;
    std::uint64_t now_boot_ns = 0;
    // A person asked for this very change: it need not be switched on, and is
    // not counted against the hourly limit. All checks of the value remain.
    bool by_person = false;
    std::string goal{};             // the profile that asks; empty: none
    std::optional<Owner> client{};  // the process it is for
};

using Decision = std::variant<Action, Refusal>;

class Policy {
  public:
    explicit Policy(PolicyLimits limits) : limits_(limits) {}

    Decision decide(const Candidate& candidate, const Fact& fact, const PolicyInput& input) const;

  private:
    PolicyLimits limits_;
};

}  // namespace llamux
