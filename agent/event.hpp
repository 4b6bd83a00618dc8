// SPDX-License-Identifier: GPL-2.0-only
//
// What the loop has to say, and in which words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/change.hpp"
#include "core/hold.hpp"
#include "core/refusal.hpp"
#include "core/suggestion.hpp"

namespace llamux {

// Something worth a line in the log. Each is reported once, not every tick.
enum class EventType {
    kHealthy,     // trouble is over
    kTrouble,     // facts, but no change to suggest
    kSuggestion,  // a change is suggested
    kRefused,     // the policy says no
    kMeasuring,   // the windows before a change begin
    kApplied,     // written and read back
    kKept,
    kUndone,
    kFailed,      // could not be written; old value in force
    kFrozen,      // someone else changed it: left
    kGone,        // nothing left to undo
    kKnobFrozen,  // someone asked that a knob be left alone
    kKnobFreed,   // and gave it back
    kDegraded,    // device, sensing or journal does not work: watching only
    kRecovered,
};

std::string_view event_word(EventType type);

struct Event {
    EventType type;
    std::string text;  // one line
    std::optional<Suggestion> suggestion{};
    std::optional<Change> change{};
    std::optional<Refusal> refusal{};
    std::optional<Hold> hold{};
};

Event make_event(EventType type, std::string text);

// Of one that has a change.
Event event_of(const Suggestion& suggestion);

// What became of a change, as of its last journal entry.
Event event_of(const Change& change);

// "vm.swappiness 60 -> 30"
std::string change_text(const Plan& plan);
std::string candidate_text(const Candidate& candidate);
KnobTarget target_of(const Candidate& candidate);

// "cpu contention, /web suffers, /batch causes it"
std::string fact_text(const Fact& fact);

}  // namespace llamux
