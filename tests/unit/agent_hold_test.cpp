// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a knob that someone froze or that keeps failing and is written all
// the same, and one that is never given back.
#include <gtest/gtest.h>

#include "core/hold.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

const KnobTarget kWeight{LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 42};

class HoldTest : public testing::Test {
  protected:
    // Appends to the real journal: what is read back is what counts.
    void append(Entry entry) {
        Result<LockedJournal> journal = machine.journal({1, 1}, boot).lock(LockMode::kExclusive);
        ASSERT_TRUE(journal);
        ASSERT_TRUE(journal->append(std::move(entry)));
    }
    void add_knob_entry(EntryType type, const KnobTarget& target) {
        Entry entry;
        entry.type = type;
        entry.target = target;
        entry.by = "jane";
        entry.why = "for a benchmark";
        append(std::move(entry));
    }
    void add_change(const KnobTarget& target, EntryType end, Verdict verdict) {
        Entry planned;
        planned.plan = Plan{};
        planned.plan->id = "0123456789ab";
        planned.plan->target = target;
        append(std::move(planned));
        Entry closed;
        closed.change = machine.journal().lock(LockMode::kShared)->changes().back().number;
        closed.type = end;
        closed.found = {{"cpu.weight", "70"}};
        if (end != EntryType::kFailed && end != EntryType::kFrozen) {
            closed.effect = Effect{};
            closed.effect->verdict = verdict;
        }
        append(std::move(closed));
    }
    void add_useless(const KnobTarget& target, int n) {
        for (int i = 0; i < n; i++) {
            add_change(target, EntryType::kUndone, Verdict::kNoEffect);
        }
    }
    std::vector<Hold> holds(std::uint32_t quarantine_after = 3) {
        const Result<LockedJournal> journal = machine.journal().lock(LockMode::kShared);
        EXPECT_TRUE(journal->damage().empty());
        return holds_of(journal->entries(), journal->changes(), boot, quarantine_after);
    }

    FakeMachine machine;
    std::string boot = "boot-1";
};

TEST_F(HoldTest, FrozenByAPersonOverBootsUntilGivenBack) {
    add_knob_entry(EntryType::kKnobFrozen, {LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 0});
    boot = "boot-2";
    ASSERT_EQ(holds().size(), 1u);
    EXPECT_EQ(holds()[0].reason, HoldReason::kAskedFor);
    EXPECT_EQ(holds()[0].by, "jane");
    EXPECT_EQ(holds()[0].why, "for a benchmark");
    EXPECT_NE(find_hold(holds(), kWeight), nullptr);
    EXPECT_EQ(find_hold(holds(), {LLAMUX_ACTION_CPU_WEIGHT, "/demo/web", 43}), nullptr);
    EXPECT_EQ(find_hold(holds(), {LLAMUX_ACTION_CPU_MAX, "/demo/hog", 42}), nullptr);
    // of another group, then of every group
    add_knob_entry(EntryType::kKnobFreed, {LLAMUX_ACTION_CPU_WEIGHT, "/demo/web", 0});
    EXPECT_EQ(holds().size(), 1u);
    add_knob_entry(EntryType::kKnobFreed, {LLAMUX_ACTION_CPU_WEIGHT, "", 0});
    EXPECT_TRUE(holds().empty());
    add_knob_entry(EntryType::kKnobFrozen, {LLAMUX_ACTION_CPU_WEIGHT, "", 0});
    EXPECT_NE(find_hold(holds(), kWeight), nullptr) << "frozen again, and of every group";
    EXPECT_EQ(hold_name(holds()[0].target), "cpu.weight of every group");
}

TEST_F(HoldTest, SetBySomeoneElseInThisBootUntilGivenBack) {
    add_change(kWeight, EntryType::kFrozen, Verdict::kNoEffect);
    ASSERT_EQ(holds().size(), 1u);
    EXPECT_EQ(holds()[0].reason, HoldReason::kSomeoneElse);
    EXPECT_EQ(holds()[0].why, "found cpu.weight=70");
    // the same name is another group now
    EXPECT_EQ(find_hold(holds(), {LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 99}), nullptr);
    boot = "boot-2";
    EXPECT_TRUE(holds().empty());
    boot = "boot-1";
    add_knob_entry(EntryType::kKnobFreed, {LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 0});
    EXPECT_TRUE(holds().empty());
    add_change(kWeight, EntryType::kFrozen, Verdict::kNoEffect);
    EXPECT_EQ(holds().size(), 1u) << "and they set it again";
}

TEST_F(HoldTest, QuarantineCountsFailuresInARowOfOneKnob) {
    add_useless(kWeight, 2);
    add_useless({LLAMUX_ACTION_CPU_WEIGHT, "/demo/web", 43}, 2);
    EXPECT_TRUE(holds().empty());
    EXPECT_EQ(holds(2).size(), 2u);
    add_change(kWeight, EntryType::kFailed, Verdict::kNoEffect);
    ASSERT_EQ(holds().size(), 1u);
    EXPECT_EQ(holds()[0].reason, HoldReason::kQuarantine);
    EXPECT_EQ(holds()[0].target, kWeight);
    EXPECT_EQ(holds()[0].why, "3 changes in a row did not help");
    EXPECT_TRUE(holds(0).empty()) << "switched off";
    add_knob_entry(EntryType::kKnobFreed, {LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 0});
    EXPECT_TRUE(holds().empty());
    add_useless(kWeight, 2);
    EXPECT_TRUE(holds().empty()) << "counted anew";
}

TEST_F(HoldTest, WhatHelpedOnceOrWasTakenBackIsNoFailure) {
    add_useless(kWeight, 2);
    add_change(kWeight, EntryType::kKept, Verdict::kImproved);
    add_useless(kWeight, 2);
    EXPECT_TRUE(holds().empty());
    // kept, and undone when the service stopped: a success all the same
    add_change(kWeight, EntryType::kUndone, Verdict::kImproved);
    add_useless(kWeight, 2);
    EXPECT_TRUE(holds().empty());
    add_change(kWeight, EntryType::kGone, Verdict::kNoEffect);
    EXPECT_TRUE(holds().empty());
    boot = "boot-2";
    add_useless(kWeight, 2);
    EXPECT_TRUE(holds().empty()) << "an earlier boot does not count";
}

}  // namespace
}  // namespace llamux
