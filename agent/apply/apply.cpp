// SPDX-License-Identifier: GPL-2.0-only
//
// See apply.hpp.
#include "apply/apply.hpp"

#include <cerrno>

#include "kernel/cgroup_fs.hpp"

namespace llamux {
namespace {

class Application {
  public:
    Application(const Plan& plan, LockedJournal& journal, const Knobs& knobs,
                const StepListener& listener)
        : plan_(plan), journal_(journal), knobs_(knobs), listener_(listener) {}

    Result<Change> run(std::uint64_t deadline_boot_ns) {
        reached(Step::kBegin);
        Entry planned;
        planned.type = EntryType::kPlanned;
        planned.plan = plan_;
        planned.deadline_boot_ns = deadline_boot_ns;
        planned.why = std::string(cause_words(plan_.fact.cause));
        Result<Entry> entry = journal_.append(std::move(planned));
        if (!entry) {
            return entry.error();
        }
        change_ = entry->seq;
        reached(Step::kPlanned);
        return write(Step::kKnobWritten);
    }

    Result<Change> run_again(const Change& change) {
        change_ = change.number;
        const Result<Settings> present = knobs_.read(plan_.target);
        if (!present && means_gone(present.error())) {
            return close(EntryType::kGone, present.error().message, {});
        }
        if (!present) {
            return present.error();
        }
        if (holder_of(plan_.target.kind, plan_.old_settings, plan_.new_settings, *present) !=
            Holder::kOld) {
            return change;
        }
        return write(Step::kWrittenAgain);
    }

  private:
    Result<Change> write(Step done) {
        const Status written =
            knobs_.write(plan_.target, plan_.new_settings, [this] { reached(Step::kPartWritten); });
        if (!written) {
            return means_gone(written.error())
                       ? close(EntryType::kGone, written.error().message, {})
                       : fail(written.error().message, {});
        }
        reached(done);
        return read_back();
    }

    Result<Change> read_back() {
        if (!plan_.reversible) {
            return close(EntryType::kWritten, "", {});
        }
        const Result<Settings> found = knobs_.read(plan_.target);
        if (!found) {
            return means_gone(found.error()) ? close(EntryType::kGone, found.error().message, {})
                                             : fail(found.error().message, {});
        }
        reached(Step::kReadBack);
        const Holder holder =
            holder_of(plan_.target.kind, plan_.old_settings, plan_.new_settings, *found);
        // Half a pair is ours too, but not what was asked for.
        for (std::size_t i = 0; i < plan_.new_settings.size(); i++) {
            if (holder != Holder::kOurs || i >= found->size() ||
                !same_setting(plan_.new_settings[i], (*found)[i])) {
                return fail("the kernel made it " + to_text(*found), *found);
            }
        }
        Result<Change> change = close(EntryType::kWritten, "", *found);
        reached(Step::kWrittenRecorded);
        return change;
    }

    Result<Change> fail(const std::string& why, Settings found) {
        const Status restored = knobs_.write(plan_.target, plan_.old_settings);
        if (!restored) {
            // Left unfinished on purpose: replay tries again and accounts for it.
            return restored.error().in(why + "; and the old value could not be restored");
        }
        return close(EntryType::kFailed, why, std::move(found));
    }

    Result<Change> close(EntryType type, std::string why, Settings found) {
        Entry entry;
        entry.type = type;
        entry.change = change_;
        entry.why = std::move(why);
        entry.found = std::move(found);
        const Result<Entry> appended = journal_.append(std::move(entry));
        if (!appended) {
            if (plan_.reversible && type == EntryType::kWritten) {
                // What the journal can not hold does not stay.
                (void)knobs_.write(plan_.target, plan_.old_settings).ok();
            }
            return appended.error();
        }
        return *find_change(journal_.changes(), change_);
    }

    void reached(Step step) const {
        if (listener_) {
            listener_(step);
        }
    }

    const Plan& plan_;
    LockedJournal& journal_;
    const Knobs& knobs_;
    const StepListener& listener_;
    std::uint64_t change_ = 0;
};

}  // namespace

Result<Change> apply_action(const Action& action, std::uint64_t deadline_boot_ns,
                            LockedJournal& journal, const Knobs& knobs,
                            const StepListener& listener) {
    return Application(action.plan(), journal, knobs, listener).run(deadline_boot_ns);
}

Result<Change> apply_again(std::uint64_t number, LockedJournal& journal, const Knobs& knobs,
                           const StepListener& listener) {
    const Change* found = find_change(journal.changes(), number);
    if (!found || found->state != EntryType::kReturned) {
        return Error{ENOENT, "change " + std::to_string(number) + " has not been taken back"};
    }
    const Change change = *found;
    return Application(change.plan, journal, knobs, listener).run_again(change);
}

}  // namespace llamux
