// SPDX-License-Identifier: GPL-2.0-only
//
// See hold.hpp.
#include "core/hold.hpp"

#include <algorithm>

namespace llamux {
namespace {

// Its effect was measured as useful, whatever became of it later.
bool has_helped(const Change& change) {
    return change.effect && change.effect->verdict == Verdict::kImproved;
}

// The kernel refused it, or its effect was measured and it was taken back. One
// that was taken back for another reason did not fail.
bool has_failed(const Change& change) {
    return change.state == EntryType::kFailed ||
           (change.state == EntryType::kUndone && change.effect && !has_helped(change));
}

// Failures of one knob since it last helped.
struct Streak {
    KnobTarget target;
    std::uint32_t n_failures = 0;
    std::uint64_t last_wall_ns = 0;
};

class Folder {
  public:
    Folder(const std::vector<Entry>& entries, const std::vector<Change>& changes,
           const std::string& boot_id, std::uint32_t quarantine_after)
        : entries_(entries),
          changes_(changes),
          boot_id_(boot_id),
          quarantine_after_(quarantine_after) {}

    std::vector<Hold> run() {
        for (const Entry& entry : entries_) {
            if (entry.type == EntryType::kKnobFrozen && !is_freed(*entry.target, entry.seq)) {
                holds_.push_back(
                    {HoldReason::kAskedFor, *entry.target, entry.wall_ns, entry.by, entry.why});
            }
        }
        for (const Change& change : changes_) {
            if (change.boot_id == boot_id_ && !is_freed(change.plan.target, change.number)) {
                take(change);
            }
        }
        for (const Streak& streak : streaks_) {
            if (quarantine_after_ != 0 && streak.n_failures >= quarantine_after_) {
                holds_.push_back(
                    {HoldReason::kQuarantine, streak.target, streak.last_wall_ns, "llamux-agent",
                     std::to_string(streak.n_failures) + " changes in a row did not help"});
            }
        }
        return std::move(holds_);
    }

  private:
    // By a later entry.
    bool is_freed(const KnobTarget& target, std::uint64_t seq) const {
        return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
            return entry.type == EntryType::kKnobFreed && entry.seq > seq &&
                   covers(*entry.target, target);
        });
    }

    void take(const Change& change) {
        if (change.state == EntryType::kFrozen) {
            holds_.push_back({HoldReason::kSomeoneElse, change.plan.target, change.last_wall_ns,
                              change.by, "found " + to_text(change.found)});
        }
        if (change.kept() && !change.plan.goal.empty()) {
            holds_.push_back({HoldReason::kGoal, change.plan.target, change.planned_wall_ns,
                              change.plan.goal, ""});
        }
        auto streak = std::find_if(streaks_.begin(), streaks_.end(), [&](const Streak& one) {
            return one.target == change.plan.target;
        });
        if (streak == streaks_.end()) {
            streak = streaks_.insert(streak, Streak{change.plan.target});
        }
        if (has_helped(change)) {
            streak->n_failures = 0;
        } else if (has_failed(change)) {
            streak->n_failures++;
            streak->last_wall_ns = change.last_wall_ns;
        }
    }

    const std::vector<Entry>& entries_;
    const std::vector<Change>& changes_;
    const std::string& boot_id_;
    const std::uint32_t quarantine_after_;
    std::vector<Hold> holds_;
    std::vector<Streak> streaks_;
};

}  // namespace

std::string_view hold_reason_word(HoldReason reason) {
    switch (reason) {
        case HoldReason::kAskedFor:
            return "frozen";
        case HoldReason::kSomeoneElse:
            return "set by someone else";
        case HoldReason::kOtherTuner:
            return "left to another tuner";
        case HoldReason::kGoal:
            return "held by a goal";
        case HoldReason::kQuarantine:
            break;
    }
    return "in quarantine";
}

std::vector<Hold> holds_of(const std::vector<Entry>& entries, const std::vector<Change>& changes,
                           const std::string& boot_id, std::uint32_t quarantine_after) {
    return Folder(entries, changes, boot_id, quarantine_after).run();
}

bool covers(const KnobTarget& wide, const KnobTarget& one) {
    return wide.kind == one.kind &&
           (wide.cgroup_path.empty() || wide.cgroup_path == one.cgroup_path) &&
           (wide.cgroup_id == 0 || one.cgroup_id == 0 || wide.cgroup_id == one.cgroup_id);
}

const Hold* find_hold(const std::vector<Hold>& holds, const KnobTarget& target) {
    for (const Hold& hold : holds) {
        if (covers(hold.target, target)) {
            return &hold;
        }
    }
    return nullptr;
}

std::string hold_name(const KnobTarget& target) {
    const ActionRow* row = action_row(target.kind);
    return row->scope == LLAMUX_SCOPE_CGROUP && target.cgroup_path.empty()
               ? row->knob() + " of every group"
               : knob_name(target);
}

}  // namespace llamux
