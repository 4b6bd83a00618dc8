// SPDX-License-Identifier: GPL-2.0-only
//
// A change that the policy has allowed. Only Policy can make one, so that
// whoever holds an Action holds the proof that every check passed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/knob.hpp"
#include "core/suggestion.hpp"

namespace llamux {

// A process: the one that works on a change, or the one a change is for.
struct Owner {
    std::int64_t pid = 0;
    std::uint64_t start_ticks = 0;  // /proc/PID/stat field 22
    bool operator==(const Owner&) const = default;
};

// Everything about a change that the journal keeps.
struct Plan {
    std::string id;  // suggestion id
    KnobTarget target;
    std::uint32_t direction = LLAMUX_KEEP;
    std::uint64_t value_old = 0;
    std::uint64_t value_new = 0;
    Settings old_settings;  // verbatim; empty for a write-only knob
    Settings new_settings;
    bool reversible = true;
    Fact fact;                    // why
    std::string goal;             // a profile asked for it; empty: no
    std::optional<Owner> client;  // it ends with this process
};

class Action {
  public:
    const Plan& plan() const { return plan_; }

  private:
    friend class Policy;
    explicit Action(Plan plan) : plan_(std::move(plan)) {}

    Plan plan_;
};

}  // namespace llamux
