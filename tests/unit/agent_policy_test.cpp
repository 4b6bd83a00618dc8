// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a change that slips through a rule of the policy. Each test spoils
// one thing of a change that is otherwise allowed, and expects that very
// refusal; the last one proves that no reason was left out.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "core/clock.hpp"
#include "validate/policy.hpp"

namespace llamux {
namespace {

constexpr std::uint64_t kHog = 42;
constexpr std::uint64_t kMiB = 1 << 20;

std::set<RefusalReason>& seen_reasons() {
    static std::set<RefusalReason> reasons;
    return reasons;
}

class PolicyTest : public testing::Test {
  protected:
    PolicyTest() {
        std::memset(&snapshot, 0, sizeof(snapshot));
        snapshot.window_ns = kNsPerSecond;
        snapshot.n_groups = 2;
        snapshot.signals.memory_total_bytes = 1000 * kMiB;
        llamux_group_signals& hog = snapshot.groups[0].signals;
        hog.cgroup_id = kHog;
        hog.memory_current_bytes = 200 * kMiB;
        hog.cpu_max_period_us = 100000;
        snapshot.groups[0].record.run_ns = kNsPerSecond / 2;
        snapshot.groups[1].signals.cgroup_id = 43;
        limits.apply = true;
        limits.knobs.fill(KnobMode::kApply);
    }

    void ask_group(llamux_action_kind kind, std::uint64_t old_value, std::uint64_t new_value,
                   Settings settings) {
        candidate.kind = kind;
        candidate.cgroup_id = kHog;
        candidate.cgroup_path = "/demo/hog";
        candidate.value_old = old_value;
        candidate.value_new = new_value;
        candidate.direction = new_value < old_value ? LLAMUX_LOWER : LLAMUX_RAISE;
        present = std::move(settings);
    }
    void ask_system(llamux_action_kind kind, std::uint64_t old_value, std::uint64_t new_value,
                    Settings settings) {
        ask_group(kind, old_value, new_value, std::move(settings));
        candidate.cgroup_id = 0;
        candidate.cgroup_path.clear();
    }
    void ask_weight(std::uint64_t old_value, std::uint64_t new_value) {
        ask_group(LLAMUX_ACTION_CPU_WEIGHT, old_value, new_value,
                  {{"cpu.weight", std::to_string(old_value)}});
    }
    void ask_swappiness(std::uint64_t old_value, std::uint64_t new_value) {
        ask_system(LLAMUX_ACTION_SWAPPINESS, old_value, new_value,
                   {{"vm/swappiness", std::to_string(old_value)}});
    }

    Decision decide() {
        const PolicyInput input{.snapshot = snapshot,
                                .present = present,
                                .keeper = keeper,
                                .n_siblings = n_siblings,
                                .changes = changes,
                                .holds = holds,
                                .journal_damage = damage,
                                .boot_id = "boot-1",
                                .now_boot_ns = now_ns,
                                .by_person = by_person};
        return Policy(limits).decide(candidate, fact, input);
    }
    void expect_allowed() {
        const Decision decision = decide();
        const Refusal* refusal = std::get_if<Refusal>(&decision);
        EXPECT_FALSE(refusal) << refusal->text();
    }
    void expect_refused(RefusalReason reason) {
        const Decision decision = decide();
        const Refusal* refusal = std::get_if<Refusal>(&decision);
        ASSERT_TRUE(refusal) << "allowed, but expected: " << refusal_words(reason);
        EXPECT_EQ(refusal->reason, reason) << refusal->text();
        EXPECT_NE(refusal->text(), "");
        seen_reasons().insert(refusal->reason);
    }
    Change& add_change(EntryType state, std::uint64_t seconds_ago) {
        Change change;
        change.plan.target = {LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", kHog};
        change.plan.direction = LLAMUX_LOWER;
        change.state = state;
        change.boot_id = "boot-1";
        change.planned_boot_ns = now_ns - seconds_ago * kNsPerSecond;
        change.last_boot_ns = change.planned_boot_ns;
        changes.push_back(change);
        return changes.back();
    }

    llamux_snapshot snapshot;
    Candidate candidate;
    Fact fact;
    Settings present;
    std::string keeper;
    unsigned n_siblings = 1;
    std::vector<Change> changes;
    std::vector<Hold> holds;
    std::vector<std::string> damage;
    std::uint64_t now_ns = 100000 * kNsPerSecond;
    bool by_person = false;
    PolicyLimits limits;
};

TEST_F(PolicyTest, AllowsASoundChangeAndPlansItsUndo) {
    ask_weight(100, 50);
    const Decision decision = decide();
    const Action* action = std::get_if<Action>(&decision);
    ASSERT_TRUE(action);
    EXPECT_EQ(action->plan().old_settings, (Settings{{"cpu.weight", "100"}}));
    EXPECT_EQ(action->plan().new_settings, (Settings{{"cpu.weight", "50"}}));
    EXPECT_TRUE(action->plan().reversible);
    EXPECT_EQ(action->plan().id, suggestion_id(candidate));
}

TEST_F(PolicyTest, NoChange) {
    expect_refused(RefusalReason::kNoChange);
    ask_weight(100, 100);
    expect_refused(RefusalReason::kNoChange);
}

TEST_F(PolicyTest, NotInCatalogue) {
    ask_weight(100, 50);
    candidate.kind = LLAMUX_N_ACTIONS;
    expect_refused(RefusalReason::kNotInCatalogue);
}

TEST_F(PolicyTest, ActingOff) {
    ask_weight(100, 50);
    limits.apply = false;
    expect_refused(RefusalReason::kActingOff);
    by_person = true;
    expect_allowed();
}

TEST_F(PolicyTest, KnobOffHoldsForAPersonToo) {
    ask_weight(100, 50);
    limits.knobs[LLAMUX_ACTION_CPU_WEIGHT] = KnobMode::kOff;
    expect_refused(RefusalReason::kKnobOff);
    by_person = true;
    expect_refused(RefusalReason::kKnobOff);
}

TEST_F(PolicyTest, CanaryKnobsMustBeSwitchedOnByName) {
    limits.knobs = default_knob_modes();
    ask_group(LLAMUX_ACTION_MEMORY_HIGH, LLAMUX_NO_LIMIT, 199 * kMiB, {{"memory.high", "max"}});
    expect_refused(RefusalReason::kKnobAdviceOnly);
    ask_group(LLAMUX_ACTION_CPU_IDLE, 0, 1, {{"cpu.idle", "0"}, {"cpu.weight", "100"}});
    expect_refused(RefusalReason::kKnobAdviceOnly);
    limits.knobs[LLAMUX_ACTION_CPU_IDLE] = KnobMode::kApply;
    expect_allowed();
}

TEST_F(PolicyTest, GroupUnknown) {
    ask_weight(100, 50);
    candidate.cgroup_id = 99;
    expect_refused(RefusalReason::kGroupUnknown);
    ask_weight(100, 50);
    candidate.cgroup_path.clear();
    expect_refused(RefusalReason::kGroupUnknown);
}

TEST_F(PolicyTest, NamesThatTheJournalCanNotHold) {
    // An undo after a crash finds the group by the name in the journal.
    ask_weight(100, 50);
    for (const char* name : {"/a\xff", "/\xc3", "/\xe2\x82", "/\xed\xa0\x80", "/\xc0\xaf",
                             "/\xf4\x90\x80\x80", "/\x80"}) {
        candidate.cgroup_path = name;
        expect_refused(RefusalReason::kGroupNameUnusable);
    }
    for (const char* name : {"/a b\n\"", "/\xc3\xa4", "/\xe2\x82\xac", "/\xf0\x9f\x98\x80"}) {
        candidate.cgroup_path = name;
        expect_allowed();
    }
}

TEST_F(PolicyTest, ProtectedGroupsAreNeverTightenedButMayBeLoosened) {
    snapshot.groups[0].signals.flags = LLAMUX_GROUP_PROTECTED;
    by_person = true;
    ask_weight(100, 50);
    expect_refused(RefusalReason::kGroupProtected);
    ask_group(LLAMUX_ACTION_CPU_IDLE, 0, 1, {{"cpu.idle", "0"}, {"cpu.weight", "100"}});
    expect_refused(RefusalReason::kGroupProtected);
    ask_group(LLAMUX_ACTION_MEMORY_RECLAIM, 0, kMiB, {});
    expect_refused(RefusalReason::kGroupProtected);
    ask_group(LLAMUX_ACTION_MEMORY_HIGH, LLAMUX_NO_LIMIT, 199 * kMiB, {{"memory.high", "max"}});
    expect_refused(RefusalReason::kGroupProtected);
    ask_weight(100, 200);
    expect_allowed();
}

TEST_F(PolicyTest, OwnGroupIsLeftAloneBothWays) {
    snapshot.groups[0].signals.flags = LLAMUX_GROUP_SELF;
    ask_weight(100, 50);
    expect_refused(RefusalReason::kGroupSelf);
    ask_weight(100, 200);
    expect_refused(RefusalReason::kGroupSelf);
}

TEST_F(PolicyTest, AUsersLoadTakesNothingFromASystemService) {
    fact.victim_path = "/user.slice/user-1000.slice/session-1.scope";
    ask_weight(100, 50);
    expect_refused(RefusalReason::kForAUser);
    ask_weight(100, 200);
    candidate.cgroup_path = "/user.slice";
    expect_refused(RefusalReason::kForAUser);
    candidate.cgroup_path = "/user.slice/user-1001.slice";
    expect_allowed();
    candidate.cgroup_path = "/demo/hog";
    by_person = true;
    expect_allowed();
}

TEST_F(PolicyTest, WhatSystemdRulesIsNotWrittenBehindItsBack) {
    keeper = "a.service";
    ask_weight(100, 50);
    expect_refused(RefusalReason::kNotDelegated);
    by_person = true;
    expect_refused(RefusalReason::kNotDelegated);
}

TEST_F(PolicyTest, ValueUnknown) {
    ask_weight(100, 50);
    present.clear();
    expect_refused(RefusalReason::kValueUnknown);
    // dirty limits given in bytes have no ratio to step from
    ask_system(LLAMUX_ACTION_DIRTY_RATIO, 0, 10,
               {{"vm/dirty_background_bytes", "1048576"}, {"vm/dirty_bytes", "4194304"}});
    expect_refused(RefusalReason::kValueUnknown);
    ask_group(LLAMUX_ACTION_MEMORY_LOW, 0, kMiB, {{"memory.low", "0"}});
    snapshot.groups[0].signals.memory_current_bytes = LLAMUX_UNKNOWN;
    expect_refused(RefusalReason::kValueUnknown);
    ask_group(LLAMUX_ACTION_CPU_MAX, 50000, 80000, {{"cpu.max", "50000 100000"}});
    snapshot.window_ns = 0;
    expect_refused(RefusalReason::kValueUnknown);
}

TEST_F(PolicyTest, ValueMoved) {
    ask_weight(100, 50);
    present = {{"cpu.weight", "70"}};
    expect_refused(RefusalReason::kValueMoved);
}

TEST_F(PolicyTest, DirectionWrong) {
    ask_weight(100, 50);
    candidate.direction = LLAMUX_RAISE;
    expect_refused(RefusalReason::kDirectionWrong);
    candidate.direction = LLAMUX_KEEP;
    expect_refused(RefusalReason::kDirectionWrong);
}

TEST_F(PolicyTest, OutOfRangeAtBothEnds) {
    ask_weight(25, 19);
    expect_refused(RefusalReason::kOutOfRange);
    ask_weight(400, 501);
    expect_refused(RefusalReason::kOutOfRange);
    ask_weight(400, 500);
    expect_allowed();
    ask_weight(25, 20);
    expect_allowed();
}

TEST_F(PolicyTest, StepTooLarge) {
    ask_weight(100, 49);
    expect_refused(RefusalReason::kStepTooLarge);
    ask_weight(100, 201);
    expect_refused(RefusalReason::kStepTooLarge);
    ask_weight(100, 200);
    expect_allowed();
    // back to the default
    ask_weight(25, 100);
    expect_allowed();
    ask_weight(25, 99);
    expect_refused(RefusalReason::kStepTooLarge);
    ask_weight(400, 100);
    expect_refused(RefusalReason::kStepTooLarge);
    // ten times is this row's step
    ask_system(LLAMUX_ACTION_WATERMARK_SCALE, 10, 100, {{"vm/watermark_scale_factor", "10"}});
    expect_allowed();
    ask_system(LLAMUX_ACTION_WATERMARK_SCALE, 10, 101, {{"vm/watermark_scale_factor", "10"}});
    expect_refused(RefusalReason::kStepTooLarge);
}

TEST_F(PolicyTest, NoSiblings) {
    ask_weight(100, 50);
    n_siblings = 0;
    expect_refused(RefusalReason::kNoSiblings);
}

TEST_F(PolicyTest, GroupIdle) {
    ask_weight(100, 50);
    snapshot.groups[0].signals.cpu_idle = 1;
    expect_refused(RefusalReason::kGroupIdle);
}

TEST_F(PolicyTest, QuotaIsOnlyLoosened) {
    ask_group(LLAMUX_ACTION_CPU_MAX, 80000, 60000, {{"cpu.max", "80000 100000"}});
    expect_refused(RefusalReason::kQuotaOnlyLoosened);
}

TEST_F(PolicyTest, QuotaBelowUse) {
    // half a CPU is 50000 us of each period; 1.2 times that is 60000
    ask_group(LLAMUX_ACTION_CPU_MAX, 40000, 59999, {{"cpu.max", "40000 100000"}});
    expect_refused(RefusalReason::kQuotaBelowUse);
    ask_group(LLAMUX_ACTION_CPU_MAX, 40000, 60000, {{"cpu.max", "40000 100000"}});
    expect_allowed();
    ask_group(LLAMUX_ACTION_CPU_MAX, 40000, LLAMUX_NO_LIMIT, {{"cpu.max", "40000 100000"}});
    expect_refused(RefusalReason::kOutOfRange);
}

TEST_F(PolicyTest, LimitBelowUse) {
    ask_group(LLAMUX_ACTION_MEMORY_HIGH, LLAMUX_NO_LIMIT, 189 * kMiB, {{"memory.high", "max"}});
    expect_refused(RefusalReason::kLimitBelowUse);
    ask_group(LLAMUX_ACTION_MEMORY_HIGH, LLAMUX_NO_LIMIT, 191 * kMiB, {{"memory.high", "max"}});
    expect_allowed();
}

TEST_F(PolicyTest, ProtectionTooLarge) {
    ask_group(LLAMUX_ACTION_MEMORY_LOW, 0, 221 * kMiB, {{"memory.low", "0"}});
    expect_refused(RefusalReason::kProtectionTooLarge);  // more than it uses
    snapshot.groups[0].signals.memory_swap_bytes = 20 * kMiB;
    expect_allowed();  // what is in swap counts
    snapshot.groups[0].signals.memory_swap_bytes = LLAMUX_UNKNOWN;
    ask_group(LLAMUX_ACTION_MEMORY_LOW, 0, 220 * kMiB, {{"memory.low", "0"}});
    expect_allowed();
    snapshot.groups[1].signals.memory_low_bytes = 101 * kMiB;
    expect_refused(RefusalReason::kProtectionTooLarge);  // 30 % in all
}

TEST_F(PolicyTest, ReclaimTooLargeAndIrrevocable) {
    ask_group(LLAMUX_ACTION_MEMORY_RECLAIM, 0, 3 * kMiB, {});
    expect_refused(RefusalReason::kReclaimTooLarge);
    ask_group(LLAMUX_ACTION_MEMORY_RECLAIM, 0, 2 * kMiB, {});
    const Decision decision = decide();
    ASSERT_TRUE(std::holds_alternative<Action>(decision));
    EXPECT_FALSE(std::get<Action>(decision).plan().reversible);
}

TEST_F(PolicyTest, SwapNotFast) {
    ask_swappiness(60, 101);
    expect_refused(RefusalReason::kSwapNotFast);
    snapshot.signals.flags = LLAMUX_SIGNAL_SWAP_FAST;
    expect_allowed();
}

TEST_F(PolicyTest, IoWeightWithoutEffect) {
    ask_group(LLAMUX_ACTION_IO_WEIGHT, 100, 50, {{"io.weight", "default 100"}});
    expect_refused(RefusalReason::kIoWeightWithoutEffect);
    snapshot.signals.flags = LLAMUX_SIGNAL_IO_WEIGHT_WORKS;
    expect_allowed();
}

TEST_F(PolicyTest, OneLiveChangePerResource) {
    ask_weight(100, 50);
    Change& live = add_change(EntryType::kWritten, 5);
    live.plan.target = {LLAMUX_ACTION_CPU_MAX, "/other", 77};
    expect_refused(RefusalReason::kLiveChange);
    by_person = true;
    expect_refused(RefusalReason::kLiveChange);
    live.plan.target = {LLAMUX_ACTION_SWAPPINESS, "", 0};
    expect_allowed();  // another resource
}

TEST_F(PolicyTest, ADamagedJournalStopsEveryone) {
    ask_weight(100, 50);
    damage = {"line 3: its checksum is wrong"};
    expect_refused(RefusalReason::kJournalUnusable);
    by_person = true;
    expect_refused(RefusalReason::kJournalUnusable);
}

TEST_F(PolicyTest, CoolDownIsLongerAfterAnUndo) {
    ask_weight(100, 50);
    Change& last = add_change(EntryType::kKept, 59);
    expect_refused(RefusalReason::kCoolDown);
    last.last_boot_ns = now_ns - 61 * kNsPerSecond;
    expect_allowed();
    last.state = EntryType::kUndone;
    expect_refused(RefusalReason::kTriedInVain);
    by_person = true;
    expect_allowed();
}

TEST_F(PolicyTest, RateLimit) {
    ask_weight(100, 50);
    limits.changes_per_hour = 2;
    for (int i = 0; i < 2; i++) {
        add_change(EntryType::kKept, 1800).plan.target = {LLAMUX_ACTION_SWAPPINESS, "", 0};
    }
    expect_refused(RefusalReason::kRateLimit);
    changes[0].planned_boot_ns = now_ns - 3601 * kNsPerSecond;
    expect_allowed();
    changes[0].planned_boot_ns = now_ns;
    changes[0].boot_id = "boot-0";
    expect_allowed();  // an earlier boot does not count
}

TEST_F(PolicyTest, AKnobThatIsSomeonesIsNobodyElses) {
    ask_weight(100, 50);
    for (const HoldReason reason : {HoldReason::kAskedFor, HoldReason::kSomeoneElse}) {
        for (const KnobTarget& target : {KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", kHog},
                                         KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 0},
                                         KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "", 0}}) {
            holds = {{reason, target, 1, "jane", "for a benchmark"}};
            by_person = false;
            expect_refused(RefusalReason::kFrozen);
            by_person = true;
            expect_refused(RefusalReason::kFrozen);
        }
    }
    for (const KnobTarget& target : {KnobTarget{LLAMUX_ACTION_CPU_MAX, "", 0},
                                     KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "/demo", 0},
                                     KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 99}}) {
        holds = {{HoldReason::kAskedFor, target, 1, "jane", ""}};
        expect_allowed();
    }
}

TEST_F(PolicyTest, AKnobInQuarantineIsForPeopleOnly) {
    ask_weight(100, 50);
    holds = {{HoldReason::kQuarantine, {LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", kHog}, 1, "", ""}};
    expect_refused(RefusalReason::kQuarantined);
    by_person = true;
    expect_allowed();
}

TEST_F(PolicyTest, AnotherTunersKnobIsForPeopleOnly) {
    ask_weight(100, 50);
    holds = {{HoldReason::kOtherTuner, {LLAMUX_ACTION_CPU_WEIGHT, "", 0}, 0, "ananicy-cpp", ""}};
    expect_refused(RefusalReason::kOtherTuner);
    by_person = true;
    expect_allowed();
}

TEST_F(PolicyTest, AGoalsKnobIsForPeopleOnly) {
    ask_weight(100, 50);
    holds = {{HoldReason::kGoal, {LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", kHog}, 0, "gaming", ""}};
    expect_refused(RefusalReason::kGoal);
    by_person = true;
    expect_allowed();
}

TEST_F(PolicyTest, WhatWasKeptIsNotReversedSoon) {
    ask_weight(100, 50);
    Change& last = add_change(EntryType::kKept, 1799);
    last.plan.direction = LLAMUX_RAISE;
    expect_refused(RefusalReason::kReversal);
    by_person = true;
    expect_allowed();
    by_person = false;
    last.last_boot_ns = now_ns - 1801 * kNsPerSecond;
    expect_allowed();
    last.last_boot_ns = now_ns - 61 * kNsPerSecond;
    last.plan.direction = LLAMUX_LOWER;
    expect_allowed();  // further the same way
}

TEST_F(PolicyTest, ZZEveryReasonWasSeen) {
    // Of the tests above: ctest runs them all in one process.
    seen_reasons().insert(RefusalReason::kContradicted);  // the loop's: agent_loop_test
    seen_reasons().insert(RefusalReason::kPassed);        // as well
#define LLAMUX_SEEN(id, words) EXPECT_TRUE(seen_reasons().contains(RefusalReason::k##id)) << words;
    LLAMUX_REFUSALS(LLAMUX_SEEN)
#undef LLAMUX_SEEN
}

}  // namespace
}  // namespace llamux
