// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a knob left changed and unaccounted for. Applies and undoes changes
// on a fake machine: what goes wrong on the way, who else may have been there,
// and a process that dies at each step and is replayed by the next.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <tuple>

#include "apply/apply.hpp"
#include "rollback/rollback.hpp"
#include "support/decide.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

constexpr Owner kDeadOwner = {4000000, 1};
constexpr Owner kNextOwner = {4000001, 1};
const StepListener kNobody;

bool nobody_lives(const Owner&) {
    return false;
}

// The changes that are tried; each with its own trap.
enum class Kind { kWeight, kIdle, kQuota, kMemoryHigh, kMoreMemory, kDirtyRatios, kReclaim };
constexpr Kind kKinds[] = {Kind::kWeight,     Kind::kIdle,        Kind::kQuota,  Kind::kMemoryHigh,
                           Kind::kMoreMemory, Kind::kDirtyRatios, Kind::kReclaim};

class ChangeTest : public testing::Test {
  protected:
    ChangeTest() { hog_id = machine.add_group("/demo/hog"); }

    Candidate candidate_of(Kind kind) {
        Candidate c;
        c.cgroup_path = "/demo/hog";
        c.cgroup_id = hog_id;
        const auto set = [&](std::uint32_t action, std::uint64_t old_value,
                             std::uint64_t new_value) {
            c.kind = action;
            c.value_old = old_value;
            c.value_new = new_value;
            c.direction = new_value < old_value ? LLAMUX_LOWER : LLAMUX_RAISE;
        };
        switch (kind) {
            case Kind::kWeight:
                set(LLAMUX_ACTION_CPU_WEIGHT, 100, 50);
                break;
            case Kind::kIdle:
                machine.set_group_file("/demo/hog", "cpu.weight", "250");
                set(LLAMUX_ACTION_CPU_IDLE, 0, 1);
                break;
            case Kind::kQuota:
                machine.set_group_file("/demo/hog", "cpu.max", "40000 100000");
                set(LLAMUX_ACTION_CPU_MAX, 40000, 80000);
                break;
            case Kind::kMemoryHigh:
                set(LLAMUX_ACTION_MEMORY_HIGH, LLAMUX_NO_LIMIT, 104857600);
                break;
            case Kind::kMoreMemory:  // of which 100 MiB are used by then
                machine.set_group_file("/demo/hog", "memory.high", "94371840");
                set(LLAMUX_ACTION_MEMORY_HIGH, 94371840, 141557760);
                break;
            case Kind::kDirtyRatios:
                set(LLAMUX_ACTION_DIRTY_RATIO, 20, 10);
                c.cgroup_path.clear();
                c.cgroup_id = 0;
                break;
            case Kind::kReclaim:
                set(LLAMUX_ACTION_MEMORY_RECLAIM, 0, 1048576);
                break;
        }
        return c;
    }

    KnobTarget target_of(const Candidate& c) {
        return {static_cast<llamux_action_kind>(c.kind), c.cgroup_path, c.cgroup_id};
    }

    // Only the policy makes an Action; here it allows what the test wants.
    Action action_of(Kind kind) {
        const Candidate candidate = candidate_of(kind);
        llamux_snapshot snapshot = snapshot_of_group(hog_id);
        snapshot.groups[0].signals.cpu_max_period_us = 100000;
        snapshot.groups[0].signals.memory_current_bytes = 104857600;
        snapshot.signals.memory_total_bytes = 1073741824;
        const Result<Settings> present = machine.knobs().read(target_of(candidate));
        EXPECT_TRUE(present) << present.error().message;
        Decision decision =
            decide_for_a_person(candidate, snapshot, *present, machine.clock.boot_ns());
        if (const Refusal* refusal = std::get_if<Refusal>(&decision)) {
            ADD_FAILURE() << refusal->text();
            std::abort();
        }
        return std::get<Action>(decision);
    }

    LockedJournal lock(Owner owner = kDeadOwner, const std::string& boot_id = "boot-1") {
        Result<LockedJournal> journal = machine.journal(owner, boot_id).lock(LockMode::kExclusive);
        EXPECT_TRUE(journal) << journal.error().message;
        return std::move(*journal);
    }

    Result<Change> apply(Kind kind, const StepListener& listener = kNobody) {
        const Action action = action_of(kind);
        LockedJournal journal = lock();
        return apply_action(action, 1, journal, machine.knobs(), listener);
    }
    Result<Change> undo(std::uint64_t number = 1) {
        LockedJournal journal = lock();
        return undo_change(number, "the test says so", {}, journal, machine.knobs(), kNobody);
    }
    Accounting replay(const std::string& boot_id = "boot-1") {
        LockedJournal journal = lock(kNextOwner, boot_id);
        return account_for_all(journal, machine.knobs(), nobody_lives, kNobody);
    }
    std::string weight() { return machine.group_file("/demo/hog", "cpu.weight"); }

    FakeMachine machine;
    std::uint64_t hog_id = 0;
};

TEST_F(ChangeTest, IsWrittenReadBackAndUndone) {
    const Result<Change> written = apply(Kind::kWeight);
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(written->state, EntryType::kWritten);
    EXPECT_EQ(written->found, (Settings{{"cpu.weight", "50"}}));
    EXPECT_EQ(weight(), "50");
    const Result<Change> undone = undo();
    ASSERT_TRUE(undone) << undone.error().message;
    EXPECT_EQ(undone->state, EntryType::kUndone);
    EXPECT_EQ(weight(), "100");
    EXPECT_FALSE(undo().ok());  // once is enough
}

TEST_F(ChangeTest, ReturnsForAWhileAndIsWrittenAgain) {
    ASSERT_TRUE(apply(Kind::kWeight));
    LockedJournal journal = lock();
    const Result<Change> returned = return_change(1, journal, machine.knobs(), kNobody);
    ASSERT_TRUE(returned) << returned.error().message;
    EXPECT_EQ(returned->state, EntryType::kReturned);
    EXPECT_TRUE(returned->unfinished());
    EXPECT_EQ(weight(), "100");
    EXPECT_FALSE(return_change(1, journal, machine.knobs(), kNobody).ok()) << "once is enough";
    const Result<Change> again = apply_again(1, journal, machine.knobs(), kNobody);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->state, EntryType::kWritten);
    EXPECT_EQ(weight(), "50");
    EXPECT_FALSE(apply_again(1, journal, machine.knobs(), kNobody).ok());
}

TEST_F(ChangeTest, WhatSomeoneElseSetsMeanwhileIsNotWrittenAgain) {
    ASSERT_TRUE(apply(Kind::kWeight));
    LockedJournal journal = lock();
    ASSERT_TRUE(return_change(1, journal, machine.knobs(), kNobody));
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    const Result<Change> again = apply_again(1, journal, machine.knobs(), kNobody);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->state, EntryType::kReturned);
    const Result<Change> undone = undo_change(1, "test", {}, journal, machine.knobs(), kNobody);
    ASSERT_TRUE(undone) << undone.error().message;
    EXPECT_EQ(undone->state, EntryType::kFrozen);
    EXPECT_EQ(weight(), "70");
}

TEST_F(ChangeTest, MemoryDoesNotReturnForAWhile) {
    ASSERT_TRUE(apply(Kind::kMoreMemory));
    LockedJournal journal = lock();
    EXPECT_FALSE(return_change(1, journal, machine.knobs(), kNobody).ok());
    EXPECT_EQ(machine.group_file("/demo/hog", "memory.high"), "141557760");
}

// A limit between both is ours only where an undo was cut off.
TEST_F(ChangeTest, ALimitOnTheWayDownIsSomeoneElsesUnlessAnUndoWasCutOff) {
    ASSERT_TRUE(apply(Kind::kMoreMemory));
    machine.set_group_file("/demo/hog", "memory.high", "100000000");
    EXPECT_EQ(undo()->state, EntryType::kFrozen);
    EXPECT_EQ(machine.group_file("/demo/hog", "memory.high"), "100000000");
}

TEST_F(ChangeTest, IsInTheJournalBeforeTheWrite) {
    std::string weight_when_planned;
    std::string journal_when_planned;
    const Result<Change> written = apply(Kind::kWeight, [&](Step step) {
        if (step == Step::kPlanned) {
            weight_when_planned = weight();
            journal_when_planned = machine.read("state/journal.jsonl");
        }
    });
    ASSERT_TRUE(written);
    EXPECT_EQ(weight_when_planned, "100");
    EXPECT_NE(journal_when_planned.find("\"old\":[{\"file\":\"cpu.weight\",\"value\":\"100\"}]"),
              std::string::npos);
}

TEST_F(ChangeTest, NothingIsWrittenThatCanNotBeJournalled) {
    const Action action = action_of(Kind::kWeight);
    { lock(); }
    Result<LockedJournal> reader = machine.journal().lock(LockMode::kShared);
    ASSERT_TRUE(reader);
    EXPECT_FALSE(apply_action(action, 1, *reader, machine.knobs(), kNobody).ok());
    EXPECT_EQ(weight(), "100");
}

TEST_F(ChangeTest, AValueTheKernelAlteredIsAFailureAndRestored) {
    const Result<Change> change = apply(Kind::kWeight, [&](Step step) {
        if (step == Step::kKnobWritten) {
            machine.set_group_file("/demo/hog", "cpu.weight", "51");
        }
    });
    ASSERT_TRUE(change);
    EXPECT_EQ(change->state, EntryType::kFailed);
    EXPECT_NE(change->why.find("51"), std::string::npos);
    EXPECT_EQ(weight(), "100");
}

TEST_F(ChangeTest, ASilentNoOpIsAFailure) {
    const Result<Change> change = apply(Kind::kWeight, [&](Step step) {
        if (step == Step::kKnobWritten) {
            machine.set_group_file("/demo/hog", "cpu.weight", "100");
        }
    });
    ASSERT_TRUE(change);
    EXPECT_EQ(change->state, EntryType::kFailed);
}

TEST_F(ChangeTest, AGroupThatVanishesBeforeTheWriteIsAccountedFor) {
    const Action action = action_of(Kind::kWeight);
    machine.remove_group("/demo/hog");
    LockedJournal journal = lock();
    const Result<Change> change = apply_action(action, 1, journal, machine.knobs(), kNobody);
    ASSERT_TRUE(change) << change.error().message;
    EXPECT_EQ(change->state, EntryType::kGone);
}

TEST_F(ChangeTest, AnotherGroupOfTheSameNameIsNeverWritten) {
    const Action action = action_of(Kind::kWeight);
    ASSERT_NE(machine.replace_group("/demo/hog"), hog_id);
    LockedJournal journal = lock();
    const Result<Change> change = apply_action(action, 1, journal, machine.knobs(), kNobody);
    ASSERT_TRUE(change) << change.error().message;
    EXPECT_EQ(change->state, EntryType::kGone);
    EXPECT_EQ(weight(), "100");
}

TEST_F(ChangeTest, AnotherGroupOfTheSameNameIsNotRestoredEither) {
    ASSERT_TRUE(apply(Kind::kWeight));
    machine.replace_group("/demo/hog");
    machine.set_group_file("/demo/hog", "cpu.weight", "50");
    const Result<Change> change = undo();
    ASSERT_TRUE(change);
    EXPECT_EQ(change->state, EntryType::kGone);
    EXPECT_EQ(weight(), "50");
}

TEST_F(ChangeTest, AVanishedGroupEndsTheUndo) {
    ASSERT_TRUE(apply(Kind::kWeight));
    machine.remove_group("/demo/hog");
    const Result<Change> change = undo();
    ASSERT_TRUE(change);
    EXPECT_EQ(change->state, EntryType::kGone);
}

TEST_F(ChangeTest, SomeoneElsesValueIsLeft) {
    ASSERT_TRUE(apply(Kind::kWeight));
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    const Result<Change> change = undo();
    ASSERT_TRUE(change);
    EXPECT_EQ(change->state, EntryType::kFrozen);
    EXPECT_EQ(change->found, (Settings{{"cpu.weight", "70"}}));
    EXPECT_EQ(weight(), "70");
}

TEST_F(ChangeTest, WhoeverWritesASysctlAfterUsHasItWhateverTheValue) {
    ASSERT_TRUE(apply(Kind::kDirtyRatios));
    machine.writings["vm/dirty_ratio"] = {machine.clock.boot_ns() + 1, 312, 0, "sysctl"};
    const Result<Change> change = undo();
    ASSERT_TRUE(change);
    EXPECT_EQ(change->state, EntryType::kFrozen);
    EXPECT_EQ(change->by, "sysctl (pid 312, uid 0)");
    EXPECT_EQ(machine.sysctl("vm/dirty_ratio"), "10");
}

TEST_F(ChangeTest, OurOwnWritingsAndThoseFromBeforeAreNobodyElses) {
    machine.writings["vm/dirty_ratio"] = {machine.clock.boot_ns(), 312, 0, "sysctl"};
    ASSERT_TRUE(apply(Kind::kDirtyRatios));
    machine.writings["vm/dirty_bytes"] = {machine.clock.boot_ns() + 1, kDeadOwner.pid, 0, "llama"};
    const Result<Change> change = undo();
    ASSERT_TRUE(change);
    EXPECT_EQ(change->state, EntryType::kUndone) << change->why;
    EXPECT_EQ(machine.sysctl("vm/dirty_ratio"), "20");
}

TEST_F(ChangeTest, ReclaimCanNotBeTakenBack) {
    const Result<Change> change = apply(Kind::kReclaim);
    ASSERT_TRUE(change) << change.error().message;
    EXPECT_EQ(change->state, EntryType::kWritten);
    EXPECT_EQ(machine.group_file("/demo/hog", "memory.reclaim"), "1048576");
    EXPECT_EQ(undo()->state, EntryType::kGone);
}

TEST_F(ChangeTest, IdleBringsTheWeightBack) {
    ASSERT_TRUE(apply(Kind::kIdle));
    EXPECT_EQ(machine.group_file("/demo/hog", "cpu.idle"), "1");
    machine.set_group_file("/demo/hog", "cpu.weight", "0");  // as the kernel shows it
    ASSERT_EQ(undo()->state, EntryType::kUndone);
    EXPECT_EQ(machine.group_file("/demo/hog", "cpu.idle"), "0");
    EXPECT_EQ(weight(), "250");
}

TEST_F(ChangeTest, KeptChangesAreCheckedAndUndoneAtTheEnd) {
    ASSERT_TRUE(apply(Kind::kWeight));
    {
        LockedJournal journal = lock();
        ASSERT_TRUE(keep_change(1, "better", Effect{}, journal, kNobody));
        EXPECT_FALSE(keep_change(1, "better", Effect{}, journal, kNobody).ok());
    }
    const Accounting accounting = replay();
    EXPECT_EQ(accounting.still_kept.size(), 1u);
    EXPECT_TRUE(accounting.closed.empty());
    EXPECT_EQ(weight(), "50");
    LockedJournal journal = lock(kNextOwner);
    const Accounting ended =
        undo_all("the service stopped", journal, machine.knobs(), nobody_lives, kNobody);
    ASSERT_EQ(ended.closed.size(), 1u);
    EXPECT_EQ(ended.closed[0].state, EntryType::kUndone);
    EXPECT_EQ(weight(), "100");
}

TEST_F(ChangeTest, AKeptKnobThatSomeoneElseSetIsTheirs) {
    ASSERT_TRUE(apply(Kind::kWeight));
    {
        LockedJournal journal = lock();
        ASSERT_TRUE(keep_change(1, "better", Effect{}, journal, kNobody));
    }
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    const Accounting accounting = replay();
    ASSERT_EQ(accounting.closed.size(), 1u);
    EXPECT_EQ(accounting.closed[0].state, EntryType::kFrozen);
    EXPECT_EQ(weight(), "70");
}

TEST_F(ChangeTest, AfterARebootNothingIsWritten) {
    ASSERT_TRUE(apply(Kind::kWeight));
    const Accounting accounting = replay("boot-2");
    ASSERT_EQ(accounting.closed.size(), 1u);
    EXPECT_EQ(accounting.closed[0].state, EntryType::kGone);
    EXPECT_EQ(accounting.closed[0].why, "gone with the boot");
    EXPECT_EQ(weight(), "50");
}

TEST_F(ChangeTest, ALivingProcessKeepsItsChange) {
    ASSERT_TRUE(apply(Kind::kWeight));
    LockedJournal journal = lock(kNextOwner);
    const Accounting accounting = account_for_all(
        journal, machine.knobs(), [](const Owner& owner) { return owner == kDeadOwner; }, kNobody);
    EXPECT_EQ(accounting.left_alone.size(), 1u);
    EXPECT_EQ(weight(), "50");
}

TEST_F(ChangeTest, AnUndoThatFailsStaysUnfinishedAndIsTriedAgain) {
    ASSERT_TRUE(apply(Kind::kWeight));
    machine.set_group_file("/demo/hog", "cpu.weight", "nonsense");
    EXPECT_EQ(replay().errors.size(), 1u);
    machine.set_group_file("/demo/hog", "cpu.weight", "50");
    EXPECT_EQ(replay().closed.size(), 1u);
    EXPECT_EQ(weight(), "100");
}

// ---- kill -9 at each step ---------------------------------------------------

using CrashCase = std::tuple<Kind, Step>;

class CrashTest : public ChangeTest, public testing::WithParamInterface<CrashCase> {
  protected:
    std::string all_files() {
        std::string all;
        for (const char* file : {"cpu.weight", "cpu.idle", "cpu.max", "memory.high"}) {
            all += machine.group_file("/demo/hog", file) + " ";
        }
        for (const char* file : {"vm/dirty_background_ratio", "vm/dirty_ratio"}) {
            all += machine.sysctl(file) + " ";
        }
        return all;
    }

    // A process that applies, then undoes, and dies at @deadly. True: it died
    // there, and did not get to the end.
    bool run_until(Kind kind, Step deadly) {
        const Action action = action_of(kind);
        const pid_t child = ::fork();
        if (child == 0) {
            const StepListener listener = [deadly](Step step) {
                if (step == deadly) {
                    ::kill(::getpid(), SIGKILL);
                }
            };
            LockedJournal journal = lock();
            const Result<Change> change =
                apply_action(action, 1, journal, machine.knobs(), listener);
            if (change && may_return(change->plan.target.kind)) {
                (void)return_change(1, journal, machine.knobs(), listener).ok();
                (void)apply_again(1, journal, machine.knobs(), listener).ok();
            }
            listener(Step::kJudged);
            if (change) {
                (void)undo_change(change->number, "worse", {}, journal, machine.knobs(), listener)
                    .ok();
            }
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
};

TEST_P(CrashTest, LeavesTheOldValueOrAnAccount) {
    const auto [kind, step] = GetParam();
    (void)candidate_of(kind);  // sets the scene
    const std::string before = all_files();
    const bool died = run_until(kind, step);
    // Reclaim has nothing to read back or restore, single files no middle, but for
    // the slope of a limit. Memory does not return for a while.
    const bool has_middle =
        kind == Kind::kDirtyRatios || kind == Kind::kIdle || kind == Kind::kMoreMemory;
    const bool returns = kind == Kind::kWeight || kind == Kind::kIdle || kind == Kind::kQuota;
    const bool can_not_happen =
        (step == Step::kPartWritten && !has_middle) ||
        (!returns && (step == Step::kReturned || step == Step::kReturnRecorded ||
                      step == Step::kWrittenAgain)) ||
        (kind == Kind::kReclaim &&
         (step == Step::kReadBack || step == Step::kWrittenRecorded ||
          step == Step::kUndoRecorded || step == Step::kRestored || step == Step::kClosed));
    ASSERT_EQ(died, !can_not_happen) << step_word(step);

    const Accounting accounting = replay();
    EXPECT_TRUE(accounting.errors.empty());
    EXPECT_EQ(all_files(), before);
    LockedJournal journal = lock(kNextOwner);
    EXPECT_TRUE(journal.damage().empty());
    for (const Change& change : journal.changes()) {
        EXPECT_FALSE(change.in_force());
        EXPECT_TRUE(change.state == EntryType::kUndone || change.state == EntryType::kGone)
            << entry_type_word(change.state);
    }
    // And once more: there is nothing left to do.
    const std::size_t n_entries = journal.entries().size();
    account_for_all(journal, machine.knobs(), nobody_lives, kNobody);
    EXPECT_EQ(journal.entries().size(), n_entries);
}

TEST_P(CrashTest, OfAnUndoThatSomeoneElseInterruptedIsTheirs) {
    const auto [kind, step] = GetParam();
    if (kind != Kind::kWeight) {
        return;  // one knob of one file says it all
    }
    run_until(kind, step);
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    replay();
    EXPECT_EQ(weight(), "70");
    EXPECT_TRUE(replay().closed.empty());
}

#define LLAMUX_STEP_VALUE(id, word) Step::k##id,
INSTANTIATE_TEST_SUITE_P(EachStep, CrashTest,
                         testing::Combine(testing::ValuesIn(kKinds),
                                          testing::Values(LLAMUX_STEPS(LLAMUX_STEP_VALUE)
                                                              Step::kClosed)),
                         [](const auto& test) {
                             return "kind" +
                                    std::to_string(static_cast<int>(std::get<0>(test.param))) +
                                    "_" + std::to_string(test.index);
                         });

}  // namespace
}  // namespace llamux
