// SPDX-License-Identifier: GPL-2.0-only
//
// Folds journal entries into changes; see change.hpp.
#include "core/change.hpp"

#include <algorithm>

namespace llamux {
namespace {

Change begin_change(const Entry& entry) {
    Change change;
    change.number = entry.seq;
    change.plan = *entry.plan;
    change.boot_id = entry.boot_id;
    change.owner = entry.owner;
    change.planned_boot_ns = entry.boot_ns;
    change.planned_wall_ns = entry.wall_ns;
    change.deadline_boot_ns = entry.deadline_boot_ns;
    return change;
}

void advance_change(Change& change, const Entry& entry) {
    change.state = entry.type;
    change.why = entry.why;
    change.by = entry.by;
    change.last_boot_ns = entry.boot_ns;
    change.last_wall_ns = entry.wall_ns;
    change.written = change.written || entry.type == EntryType::kWritten;
    if (!entry.found.empty()) {
        change.found = entry.found;
    }
    if (entry.effect) {
        change.effect = entry.effect;
    }
}

}  // namespace

KnobTarget undo_target(const Plan& plan) {
    KnobTarget target = plan.target;
    if (!plan.old_settings.empty() && plan.old_settings.front().unit) {
        target.cgroup_id = 0;
    }
    return target;
}

bool concerns_a_knob(EntryType type) {
    return type == EntryType::kKnobFrozen || type == EntryType::kKnobFreed;
}

std::vector<Change> fold(const std::vector<Entry>& entries) {
    std::vector<Change> changes;
    for (const Entry& entry : entries) {
        if (entry.type == EntryType::kPlanned) {
            if (entry.plan) {
                changes.push_back(begin_change(entry));
                advance_change(changes.back(), entry);
            }
            continue;
        }
        const auto found = std::find_if(changes.begin(), changes.end(), [&](const Change& change) {
            return change.number == entry.change;
        });
        if (found != changes.end()) {
            advance_change(*found, entry);
        }
    }
    return changes;
}

const Change* find_change(const std::vector<Change>& changes, std::uint64_t number) {
    for (const Change& change : changes) {
        if (change.number == number) {
            return &change;
        }
    }
    return nullptr;
}

}  // namespace llamux
