// SPDX-License-Identifier: GPL-2.0-only
#include "event.hpp"

#include "advise/advise.hpp"
#include "core/catalogue.hpp"
#include "core/knob.hpp"

namespace llamux {
namespace {

EventType event_type_of(EntryType state) {
    switch (state) {
        case EntryType::kKept:
            return EventType::kKept;
        case EntryType::kUndone:
            return EventType::kUndone;
        case EntryType::kFrozen:
            return EventType::kFrozen;
        case EntryType::kGone:
            return EventType::kGone;
        case EntryType::kPlanned:
        case EntryType::kWritten:
        case EntryType::kReturned:
        case EntryType::kUndoing:
            return EventType::kApplied;
        case EntryType::kFailed:
        case EntryType::kKnobFrozen:  // no state of a change
        case EntryType::kKnobFreed:
            break;
    }
    return EventType::kFailed;
}

}  // namespace

Event make_event(EventType type, std::string text) {
    return Event{type, std::move(text)};
}

std::string change_text(const Plan& plan) {
    return knob_name(plan.target) + " " + format_value(plan.target.kind, plan.value_old) + " -> " +
           format_value(plan.target.kind, plan.value_new);
}

KnobTarget target_of(const Candidate& candidate) {
    return {static_cast<llamux_action_kind>(candidate.kind), candidate.cgroup_path,
            candidate.cgroup_id};
}

std::string candidate_text(const Candidate& candidate) {
    const KnobTarget target = target_of(candidate);
    return knob_name(target) + " " + format_value(target.kind, candidate.value_old) + " -> " +
           format_value(target.kind, candidate.value_new);
}

std::string fact_text(const Fact& fact) {
    std::string text(cause_words(fact.cause));
    if (!fact.victim_path.empty()) {
        text += ", " + fact.victim_path + " suffers";
    }
    if (!fact.culprit_path.empty()) {
        text += ", " + fact.culprit_path + " causes it";
    }
    return text;
}

std::string_view event_word(EventType type) {
    switch (type) {
        case EventType::kHealthy:
            return "healthy";
        case EventType::kTrouble:
            return "trouble";
        case EventType::kSuggestion:
            return "suggestion";
        case EventType::kRefused:
            return "refused";
        case EventType::kMeasuring:
            return "measuring";
        case EventType::kApplied:
            return "applied";
        case EventType::kKept:
            return "kept";
        case EventType::kUndone:
            return "undone";
        case EventType::kFailed:
            return "failed";
        case EventType::kFrozen:
            return "frozen";
        case EventType::kGone:
            return "gone";
        case EventType::kKnobFrozen:
            return "knob-frozen";
        case EventType::kKnobFreed:
            return "knob-freed";
        case EventType::kDegraded:
            return "degraded";
        case EventType::kRecovered:
            break;
    }
    return "recovered";
}

Event event_of(const Suggestion& suggestion) {
    const Candidate& change = *suggestion.change();
    Event event = make_event(EventType::kSuggestion,
                             suggestion.id + ": " + candidate_text(change) + " (" +
                                 fact_text(fact_of(suggestion, change)) + "; ranked by " +
                                 std::string(ranked_by_word(suggestion.ranked_by)) + ")");
    event.suggestion = suggestion;
    return event;
}

Event event_of(const Change& change) {
    Event event =
        make_event(event_type_of(change.state), "change " + std::to_string(change.number) + ": " +
                                                    change_text(change.plan) +
                                                    (change.why.empty() ? "" : ": " + change.why));
    event.change = change;
    return event;
}

}  // namespace llamux
