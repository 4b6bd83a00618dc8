// SPDX-License-Identifier: GPL-2.0-only
//
// See rollback.hpp.
#include "rollback/rollback.hpp"

#include <algorithm>
#include <cerrno>

#include "kernel/cgroup_fs.hpp"

namespace llamux {
namespace {

void reach(const StepListener& listener, Step step) {
    if (listener) {
        listener(step);
    }
}

// @change is a copy: the journal's list moves as entries are added.
Result<Change> close(Change change, EntryType type, const std::string& why, Settings found,
                     const std::optional<Effect>& effect, LockedJournal& journal) {
    Entry entry;
    entry.type = type;
    entry.change = change.number;
    entry.why = why;
    entry.found = std::move(found);
    entry.effect = effect;
    const Result<Entry> appended = journal.append(std::move(entry));
    if (!appended) {
        return appended.error();
    }
    return *find_change(journal.changes(), change.number);
}

Result<Change> leave_to_others(const Change& change, const Settings& present,
                               const std::optional<Writing>& writing, LockedJournal& journal) {
    Entry entry;
    entry.type = EntryType::kFrozen;
    entry.change = change.number;
    entry.by = writing ? writer_words(*writing) : "";
    entry.why = "set by " + (writing ? entry.by : "someone else") + ": left";
    entry.found = present;
    const Result<Entry> appended = journal.append(std::move(entry));
    if (!appended) {
        return appended.error();
    }
    return *find_change(journal.changes(), change.number);
}

bool is_of_this_boot(const Change& change, const LockedJournal& journal) {
    return change.boot_id == journal.writer().boot_id;
}

// Writes the old value and notes it as @end, which is kUndone or kReturned.
Result<Change> restore(const Change& change, EntryType end, const std::string& why,
                       LockedJournal& journal, const Knobs& knobs, const StepListener& listener) {
    const Plan& plan = change.plan;
    const KnobTarget target = undo_target(plan);
    const Result<Settings> present = knobs.read(target);
    if (!present) {
        if (means_gone(present.error())) {
            return close(change, EntryType::kGone, present.error().message, {}, {}, journal);
        }
        return present.error();
    }
    const Holder holder =
        holder_of(plan.target.kind, plan.old_settings, plan.new_settings, *present);
    const std::optional<Writing> writing = someone_elses(change, journal, knobs);
    const bool was_cut_off =
        (change.state == EntryType::kPlanned || change.state == EntryType::kUndoing) &&
        is_on_slope(plan.target.kind, plan.old_settings, plan.new_settings, *present);
    if ((holder == Holder::kSomeoneElse && !was_cut_off) || writing) {
        return leave_to_others(change, *present, writing, journal);
    }
    if (holder == Holder::kOld) {
        const std::string already =
            change.written ? "the old value was back already" : "it was never written";
        return close(change, EntryType::kUndone, why + "; " + already, *present, {}, journal);
    }
    const Status written =
        knobs.write(target, plan.old_settings, [&] { reach(listener, Step::kPartWritten); });
    if (!written) {
        if (means_gone(written.error())) {
            return close(change, EntryType::kGone, written.error().message, {}, {}, journal);
        }
        return written.error();
    }
    reach(listener, end == EntryType::kReturned ? Step::kReturned : Step::kRestored);
    const Result<Settings> found = knobs.read(target);
    if (!found ||
        holder_of(plan.target.kind, plan.old_settings, plan.new_settings, *found) != Holder::kOld) {
        return Error{EIO, knob_name(plan.target) + ": wrote the old value, but found " +
                              (found ? to_text(*found) : found.error().message)};
    }
    return close(change, end, why, *found, {}, journal);
}

}  // namespace

std::optional<Writing> someone_elses(const Change& change, const LockedJournal& journal,
                                     const Knobs& knobs) {
    std::optional<Writing> writing = knobs.last_writing(change.plan.target);
    if (!writing || writing->boot_ns <= change.planned_boot_ns) {
        return std::nullopt;
    }
    const std::vector<Entry>& entries = journal.entries();
    const bool is_ours = std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
        return entry.owner.pid == writing->pid && entry.boot_id == change.boot_id;
    });
    return is_ours ? std::nullopt : writing;
}

Result<Change> undo_change(std::uint64_t number, const std::string& why,
                           const std::optional<Effect>& effect, LockedJournal& journal,
                           const Knobs& knobs, const StepListener& listener) {
    const Change* found = find_change(journal.changes(), number);
    if (!found || !found->in_force()) {
        return Error{ENOENT, "change " + std::to_string(number) + " is not in force"};
    }
    const Change change = *found;
    if (!is_of_this_boot(change, journal)) {
        return close(change, EntryType::kGone, "gone with the boot", {}, effect, journal);
    }
    if (!change.plan.reversible) {
        return close(change, EntryType::kGone, why + "; it can not be taken back", {}, effect,
                     journal);
    }
    if (change.state != EntryType::kUndoing) {
        if (Result<Change> marked = close(change, EntryType::kUndoing, why, {}, effect, journal);
            !marked) {
            return marked.error();
        }
    }
    reach(listener, Step::kUndoRecorded);
    Result<Change> restored = restore(change, EntryType::kUndone, why, journal, knobs, listener);
    reach(listener, Step::kClosed);
    return restored;
}

Result<Change> return_change(std::uint64_t number, LockedJournal& journal, const Knobs& knobs,
                             const StepListener& listener) {
    const Change* found = find_change(journal.changes(), number);
    if (!found || found->state != EntryType::kWritten || !may_return(found->plan.target.kind)) {
        return Error{ENOENT,
                     "change " + std::to_string(number) + " is not one to give back for a while"};
    }
    const Change change = *found;
    Result<Change> returned = restore(change, EntryType::kReturned, "does the trouble come back?",
                                      journal, knobs, listener);
    reach(listener, Step::kReturnRecorded);
    return returned;
}

Result<Change> keep_change(std::uint64_t number, const std::string& why,
                           const std::optional<Effect>& effect, LockedJournal& journal,
                           const StepListener& listener) {
    const Change* found = find_change(journal.changes(), number);
    if (!found || !found->unfinished()) {
        return Error{ENOENT, "change " + std::to_string(number) + " is not being measured"};
    }
    Result<Change> kept = close(*found, EntryType::kKept, why, {}, effect, journal);
    reach(listener, Step::kClosed);
    return kept;
}

Accounting account_for_all(LockedJournal& journal, const Knobs& knobs,
                           const std::function<bool(const Owner&)>& is_alive,
                           const StepListener& listener) {
    Accounting accounting;
    const std::vector<Change> changes = journal.changes();
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
        if (!change->in_force()) {
            continue;
        }
        const bool is_here = is_of_this_boot(*change, journal);
        if (is_here && change->unfinished() && change->owner != journal.writer().owner &&
            is_alive(change->owner)) {
            accounting.left_alone.push_back(*change);
            continue;
        }
        const bool is_over =
            is_here && change->kept() && change->plan.client && !is_alive(*change->plan.client);
        if (is_here && change->kept() && !is_over) {
            const Result<Settings> present = knobs.read(undo_target(change->plan));
            if (!present && !means_gone(present.error())) {
                accounting.errors.push_back(present.error().message);
                continue;
            }
            if (present &&
                holder_of(change->plan.target.kind, change->plan.old_settings,
                          change->plan.new_settings, *present) == Holder::kOurs &&
                !someone_elses(*change, journal, knobs)) {
                accounting.still_kept.push_back(*change);
                continue;
            }
        }
        Result<Change> closed =
            undo_change(change->number,
                        is_over          ? "its client has ended"
                        : change->kept() ? "it is no longer in force"
                                         : "it was not finished when the agent stopped",
                        {}, journal, knobs, listener);
        if (closed) {
            accounting.closed.push_back(std::move(*closed));
        } else {
            accounting.errors.push_back(knob_name(change->plan.target) + ": " +
                                        closed.error().message);
        }
    }
    return accounting;
}

Accounting undo_all(const std::string& why, LockedJournal& journal, const Knobs& knobs,
                    const std::function<bool(const Owner&)>& is_alive,
                    const StepListener& listener) {
    Accounting accounting;
    const std::vector<Change> changes = journal.changes();
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
        if (!change->in_force()) {
            continue;
        }
        if (change->unfinished() && change->owner != journal.writer().owner &&
            is_alive(change->owner)) {
            accounting.left_alone.push_back(*change);
            continue;
        }
        Result<Change> closed = undo_change(change->number, why, {}, journal, knobs, listener);
        if (closed) {
            accounting.closed.push_back(std::move(*closed));
        } else {
            accounting.errors.push_back(knob_name(change->plan.target) + ": " +
                                        closed.error().message);
        }
    }
    return accounting;
}

}  // namespace llamux
