// SPDX-License-Identifier: GPL-2.0-only
//
// A change that the policy has allowed. Only Policy can make one, so that
// whoever holds an Action holds the proof that every check passed.
#pragma once

#include <cstdint>
#include <string>

#include "core/knob.hpp"
#include "core/suggestion.hpp"

namespace llamux {

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
    Fact fact;  // why
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
