// SPDX-License-Identifier: GPL-2.0-only
//
// See policy.hpp. Each rule returns a Refusal or nothing; decide() asks them
// in order, cheapest and most final first.
#include "validate/policy.hpp"

#include <algorithm>

#include "core/clock.hpp"
#include "core/window.hpp"

namespace llamux {
namespace {

using MaybeRefusal = std::optional<Refusal>;

struct Question {
    const Candidate& candidate;
    const Fact& fact;
    const ActionRow& row;
    const PolicyInput& input;
    const PolicyLimits& limits;
    const llamux_group_snapshot* group;  // nullptr: a knob of the system
};

Refusal refuse(RefusalReason reason, std::string detail = {}) {
    return Refusal{reason, std::move(detail)};
}

bool is_known(std::uint64_t value) {
    return value != LLAMUX_UNKNOWN;
}

bool tightens(const Candidate& candidate) {
    switch (candidate.kind) {
        case LLAMUX_ACTION_CPU_IDLE:
        case LLAMUX_ACTION_MEMORY_RECLAIM:
            return candidate.value_new != 0;
        default:
            return candidate.value_new < candidate.value_old;
    }
}

// Below the slice in which systemd puts what users run.
bool is_of_users(std::string_view path) {
    return path.starts_with("/user.slice/");
}

// Well-formed, no overlong forms, no surrogates (RFC 3629).
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t at) {
            return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
        };
        const unsigned lead = byte(i);
        const std::size_t n_more = lead < 0x80   ? 0
                                   : lead < 0xc2 ? 4  // none can follow
                                   : lead < 0xe0 ? 1
                                   : lead < 0xf0 ? 2
                                   : lead < 0xf5 ? 3
                                                 : 4;
        if (n_more == 4) {
            return false;
        }
        for (std::size_t k = 1; k <= n_more; k++) {
            if ((byte(i + k) & 0xc0) != 0x80) {
                return false;
            }
        }
        const unsigned second = byte(i + 1);
        if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
            (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
            return false;
        }
        i += n_more + 1;
    }
    return true;
}

MaybeRefusal check_switches(const Question& q) {
    const KnobMode mode = q.limits.knobs[q.row.kind];
    if (mode == KnobMode::kOff) {
        return refuse(RefusalReason::kKnobOff, q.row.knob());
    }
    if (q.input.by_person) {
        return {};
    }
    if (!q.limits.apply) {
        return refuse(RefusalReason::kActingOff);
    }
    if (mode == KnobMode::kAdvise) {
        return refuse(RefusalReason::kKnobAdviceOnly, q.row.knob());
    }
    return {};
}

MaybeRefusal check_group(const Question& q) {
    if (q.row.scope != LLAMUX_SCOPE_CGROUP) {
        return {};
    }
    if (!q.group || q.candidate.cgroup_path.empty()) {
        return refuse(RefusalReason::kGroupUnknown);
    }
    if (!is_utf8(q.candidate.cgroup_path)) {
        return refuse(RefusalReason::kGroupNameUnusable);
    }
    const std::uint32_t flags = q.group->signals.flags;
    if (flags & LLAMUX_GROUP_SELF) {
        return refuse(RefusalReason::kGroupSelf);
    }
    if ((flags & LLAMUX_GROUP_PROTECTED) && tightens(q.candidate)) {
        return refuse(RefusalReason::kGroupProtected, q.candidate.cgroup_path);
    }
    // Anybody can make load: it moves shares among users, not between them and
    // the system, not even by a larger share for all users.
    if (!q.input.by_person && is_of_users(q.fact.victim_path) &&
        !is_of_users(q.candidate.cgroup_path)) {
        return refuse(RefusalReason::kForAUser, q.candidate.cgroup_path);
    }
    if (!q.input.keeper.empty()) {
        return refuse(RefusalReason::kNotDelegated, q.input.keeper);
    }
    return {};
}

MaybeRefusal check_present_value(const Question& q) {
    if (q.row.kind == LLAMUX_ACTION_MEMORY_RECLAIM) {
        return {};
    }
    const std::uint64_t present = knob_number(q.row.kind, q.input.present);
    // A dirty limit given in bytes has no ratio; the snapshot says 0 for it.
    const bool dirty_in_bytes = q.row.kind == LLAMUX_ACTION_DIRTY_RATIO &&
                                q.input.present.size() == 2 && !is_known(present);
    if (dirty_in_bytes) {
        return refuse(RefusalReason::kValueUnknown, "the limit is given in bytes");
    }
    if (!is_known(present) || !is_known(q.candidate.value_old)) {
        return refuse(RefusalReason::kValueUnknown, q.row.knob());
    }
    if (present != q.candidate.value_old) {
        return refuse(RefusalReason::kValueMoved, format_value(q.row.kind, q.candidate.value_old) +
                                                      " then, " +
                                                      format_value(q.row.kind, present) + " now");
    }
    return {};
}

MaybeRefusal check_direction(const Question& q) {
    const Candidate& c = q.candidate;
    if (c.value_new == c.value_old && c.kind != LLAMUX_ACTION_MEMORY_RECLAIM) {
        return refuse(RefusalReason::kNoChange);
    }
    const bool consistent = c.kind == LLAMUX_ACTION_MEMORY_RECLAIM ||
                            (c.direction == LLAMUX_LOWER && c.value_new < c.value_old) ||
                            (c.direction == LLAMUX_RAISE && c.value_new > c.value_old);
    if (!consistent) {
        return refuse(RefusalReason::kDirectionWrong);
    }
    return {};
}

MaybeRefusal check_range(const Question& q) {
    const std::uint64_t value = q.candidate.value_new;
    if (value < q.row.min || value > q.row.max) {
        return refuse(RefusalReason::kOutOfRange, format_value(q.row.kind, value) + "; allowed " +
                                                      format_value(q.row.kind, q.row.min) + " to " +
                                                      format_value(q.row.kind, q.row.max));
    }
    return {};
}

bool is_weight(std::uint32_t kind) {
    return kind == LLAMUX_ACTION_CPU_WEIGHT || kind == LLAMUX_ACTION_IO_WEIGHT;
}

MaybeRefusal check_step(const Question& q) {
    const std::uint64_t step = q.row.step_permille;
    const std::uint64_t old_value = q.candidate.value_old;
    const std::uint64_t new_value = q.candidate.value_new;
    // From "max" there is no step; memory.high has its own rule below. What was set
    // too low may go back to the default at once.
    const bool to_default =
        is_weight(q.row.kind) && new_value == LLAMUX_DEFAULT_WEIGHT && new_value > old_value;
    if (step == 0 || old_value == LLAMUX_NO_LIMIT || to_default) {
        return {};
    }
    // In 128 bits: limits are up to 2^63 bytes.
    using Wide = unsigned __int128;
    const Wide factor = 1000 + step;
    const bool too_far = new_value > old_value ? Wide{new_value} * 1000 > Wide{old_value} * factor
                                               : Wide{new_value} * factor < Wide{old_value} * 1000;
    if (too_far) {
        return refuse(RefusalReason::kStepTooLarge, format_value(q.row.kind, old_value) + " to " +
                                                        format_value(q.row.kind, new_value));
    }
    return {};
}

MaybeRefusal check_weight(const Question& q) {
    if (!is_weight(q.row.kind)) {
        return {};
    }
    if (q.input.n_siblings == 0) {
        return refuse(RefusalReason::kNoSiblings);
    }
    if (q.row.kind == LLAMUX_ACTION_CPU_WEIGHT && q.group->signals.cpu_idle == 1) {
        return refuse(RefusalReason::kGroupIdle);
    }
    if (q.row.kind == LLAMUX_ACTION_IO_WEIGHT &&
        !(q.input.snapshot.signals.flags & LLAMUX_SIGNAL_IO_WEIGHT_WORKS)) {
        return refuse(RefusalReason::kIoWeightWithoutEffect);
    }
    return {};
}

MaybeRefusal check_cpu_max(const Question& q) {
    if (q.row.kind != LLAMUX_ACTION_CPU_MAX) {
        return {};
    }
    if (q.candidate.value_new <= q.candidate.value_old) {
        return refuse(RefusalReason::kQuotaOnlyLoosened);
    }
    const std::uint64_t window_us = q.input.snapshot.window_ns / kNsPerUs;
    const std::uint64_t period_us = q.group->signals.cpu_max_period_us;
    if (window_us == 0 || !is_known(period_us)) {
        return refuse(RefusalReason::kValueUnknown, "cpu use or period");
    }
    using Wide = unsigned __int128;
    const Wide used_us = Wide{q.group->record.run_ns / kNsPerUs} * period_us / window_us;
    if (Wide{q.candidate.value_new} * 10 < used_us * 12) {
        return refuse(RefusalReason::kQuotaBelowUse,
                      std::to_string(static_cast<std::uint64_t>(used_us)) + " us used per period");
    }
    return {};
}

MaybeRefusal check_memory(const Question& q) {
    const bool concerns_memory = q.row.kind == LLAMUX_ACTION_MEMORY_HIGH ||
                                 q.row.kind == LLAMUX_ACTION_MEMORY_LOW ||
                                 q.row.kind == LLAMUX_ACTION_MEMORY_RECLAIM;
    if (!concerns_memory) {
        return {};
    }
    const std::uint64_t used = q.group->signals.memory_current_bytes;
    const std::uint64_t total = q.input.snapshot.signals.memory_total_bytes;
    const std::uint64_t wanted = q.candidate.value_new;
    if (!is_known(used) || !is_known(total)) {
        return refuse(RefusalReason::kValueUnknown, "memory use");
    }
    if (q.row.kind == LLAMUX_ACTION_MEMORY_HIGH && tightens(q.candidate) &&
        wanted < used - used / 20) {
        return refuse(RefusalReason::kLimitBelowUse, format_value(q.row.kind, wanted) + ", used " +
                                                         format_value(q.row.kind, used) +
                                                         "; at most 5 % below");
    }
    if (q.row.kind == LLAMUX_ACTION_MEMORY_RECLAIM &&
        wanted > std::max<std::uint64_t>(used / 100, q.row.min)) {
        return refuse(RefusalReason::kReclaimTooLarge,
                      format_value(q.row.kind, wanted) + " of " + format_value(q.row.kind, used));
    }
    if (q.row.kind == LLAMUX_ACTION_MEMORY_LOW && wanted > q.candidate.value_old) {
        const std::uint64_t swap = q.group->signals.memory_swap_bytes;
        const std::uint64_t all = used + (is_known(swap) ? swap : 0);
        std::uint64_t promised = wanted;
        const std::uint32_t n_groups =
            std::min<std::uint32_t>(q.input.snapshot.n_groups, LLAMUX_MAX_GROUPS);
        for (std::uint32_t i = 0; i < n_groups; i++) {
            const llamux_group_signals& other = q.input.snapshot.groups[i].signals;
            if (&q.input.snapshot.groups[i] != q.group && other.memory_low_bytes < total) {
                promised += other.memory_low_bytes;
            }
        }
        if (wanted > all + all / 10 || promised > total / 10 * 3) {
            return refuse(RefusalReason::kProtectionTooLarge,
                          format_value(q.row.kind, promised) + " protected in all");
        }
    }
    return {};
}

MaybeRefusal check_swappiness(const Question& q) {
    if (q.row.kind == LLAMUX_ACTION_SWAPPINESS && q.candidate.value_new > 100 &&
        !(q.input.snapshot.signals.flags & LLAMUX_SIGNAL_SWAP_FAST)) {
        return refuse(RefusalReason::kSwapNotFast);
    }
    return {};
}

bool is_same_knob(const Change& change, const Question& q) {
    return change.plan.target.kind == q.row.kind &&
           change.plan.target.cgroup_id == q.candidate.cgroup_id;
}

// A person may try a knob that is in quarantine or another tuner's, but not one
// that is someone's.
MaybeRefusal check_hold(const Question& q) {
    const Hold* hold =
        find_hold(q.input.holds, {q.row.kind, q.candidate.cgroup_path, q.candidate.cgroup_id});
    if (!hold) {
        return {};
    }
    const std::string word(hold_reason_word(hold->reason));
    const std::string why = hold->why.empty() ? "" : ": " + hold->why;
    switch (hold->reason) {
        case HoldReason::kAskedFor:
            return refuse(RefusalReason::kFrozen, word + " by " + hold->by + why);
        case HoldReason::kSomeoneElse:
            return refuse(RefusalReason::kFrozen, word + why);
        case HoldReason::kOtherTuner:
        case HoldReason::kGoal:
        case HoldReason::kQuarantine:
            break;
    }
    if (q.input.by_person) {
        return {};
    }
    if (hold->reason == HoldReason::kGoal) {
        return refuse(RefusalReason::kGoal, hold->by);
    }
    return hold->reason == HoldReason::kOtherTuner
               ? refuse(RefusalReason::kOtherTuner, hold->by + why)
               : refuse(RefusalReason::kQuarantined, hold->why);
}

// History counts only within this boot: boot time starts anew, and what was
// changed went with the old one.
MaybeRefusal check_history(const Question& q) {
    const PolicyInput& input = q.input;
    if (!input.journal_damage.empty()) {
        return refuse(RefusalReason::kJournalUnusable, input.journal_damage.front());
    }
    std::uint32_t in_last_hour = 0;
    const Change* last = nullptr;
    for (const Change& change : input.changes) {
        if (change.boot_id != input.boot_id) {
            continue;
        }
        if (change.unfinished() &&
            resource_of(change.plan.target.kind) == resource_of(q.row.kind)) {
            return refuse(RefusalReason::kLiveChange, knob_name(change.plan.target));
        }
        if (change.planned_boot_ns + 3600 * kNsPerSecond > input.now_boot_ns) {
            in_last_hour++;
        }
        if (is_same_knob(change, q)) {
            last = &change;
        }
    }
    if (input.by_person) {
        return {};
    }
    if (last) {
        const bool was_kept = last->state == EntryType::kKept;
        // A load that comes and goes must not make the knob go up and down.
        const std::uint64_t reverse_s = q.limits.reverse_after_seconds;
        if (was_kept && last->plan.direction != q.candidate.direction &&
            last->last_boot_ns + reverse_s * kNsPerSecond > input.now_boot_ns) {
            return refuse(RefusalReason::kReversal, std::to_string(reverse_s) + " s");
        }
        const std::uint64_t wait_s =
            was_kept ? q.limits.cool_down_seconds : q.limits.retry_after_undo_seconds;
        if (last->last_boot_ns + wait_s * kNsPerSecond > input.now_boot_ns) {
            return refuse(was_kept ? RefusalReason::kCoolDown : RefusalReason::kTriedInVain,
                          std::to_string(wait_s) + " s");
        }
    }
    if (in_last_hour >= q.limits.changes_per_hour) {
        return refuse(RefusalReason::kRateLimit, std::to_string(in_last_hour));
    }
    return {};
}

}  // namespace

Decision Policy::decide(const Candidate& candidate, const Fact& fact,
                        const PolicyInput& input) const {
    if (!candidate.is_change()) {
        return refuse(RefusalReason::kNoChange);
    }
    const ActionRow* row = action_row(candidate.kind);
    if (!row) {
        return refuse(RefusalReason::kNotInCatalogue);
    }
    const llamux_group_snapshot* group = row->scope == LLAMUX_SCOPE_CGROUP
                                             ? find_group(input.snapshot, candidate.cgroup_id)
                                             : nullptr;
    const Question question{candidate, fact, *row, input, limits_, group};
    for (const auto check : {check_switches, check_group, check_present_value, check_direction,
                             check_cpu_max, check_range, check_step, check_weight, check_memory,
                             check_swappiness, check_hold, check_history}) {
        if (MaybeRefusal refusal = check(question)) {
            return *refusal;
        }
    }
    Plan plan;
    plan.id = suggestion_id(candidate);
    plan.target = KnobTarget{row->kind, candidate.cgroup_path, candidate.cgroup_id};
    plan.direction = candidate.direction;
    plan.value_old = candidate.value_old;
    plan.value_new = candidate.value_new;
    plan.old_settings = input.present;
    plan.new_settings = settings_for(row->kind, candidate.value_new, input.present);
    plan.reversible = row->kind != LLAMUX_ACTION_MEMORY_RECLAIM;
    plan.fact = fact;
    plan.goal = input.goal;
    plan.client = input.client;
    return Action(std::move(plan));
}

}  // namespace llamux
