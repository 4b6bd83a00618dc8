// SPDX-License-Identifier: GPL-2.0-only
// Catches: a candidate that leaves its knob's range or step, goes the wrong
// way, touches a group it must not, or guesses a value that is not known.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "support/snapshots.hpp"

namespace {

using llamux::test::kGiB;
using llamux::test::kMiB;
using llamux::test::SnapshotBuilder;

struct Built {
    std::array<llamux_candidate, LLAMUX_MAX_CANDIDATES> candidates{};
    llx_letters letters{};
    u32 n = 0;

    Built(const SnapshotBuilder& b, std::initializer_list<llamux_fact> facts) {
        llx_letters_assign(&letters, facts.begin(), static_cast<u32>(facts.size()));
        n = llx_candidates_build(b.get(), facts.begin(), static_cast<u32>(facts.size()), &letters,
                                 candidates.data());
    }
    std::string phrase(u32 i) const { return candidates[i].phrase; }
};

llamux_fact fact(u32 cause, u64 victim = 0, u64 culprit = 0) {
    llamux_fact f{};
    f.cause = cause;
    f.level = LLX_LEVEL_HIGH;
    f.victim_id = victim;
    f.culprit_id = culprit;
    return f;
}

TEST(Candidates, NothingWrongMeansNoChange) {
    const Built built(SnapshotBuilder{}, {});
    ASSERT_EQ(built.n, 1u);
    EXPECT_EQ(built.candidates[0].kind, u32{LLAMUX_ACTION_NONE});
    EXPECT_EQ(built.phrase(0), "no change");
}

TEST(Candidates, HogIsLoweredOrServiceRaised) {
    const Built built(SnapshotBuilder::noisy_neighbour(),
                      {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
    ASSERT_EQ(built.n, 3u);
    EXPECT_EQ(built.phrase(0), "lower the cpu weight of group B");
    EXPECT_EQ(built.candidates[0].cgroup_id, 30u);
    EXPECT_EQ(built.candidates[0].value_old, 100u);
    EXPECT_EQ(built.candidates[0].value_new, 50u);
    EXPECT_EQ(built.phrase(1), "raise the cpu weight of group A");
    EXPECT_EQ(built.candidates[1].cgroup_id, 20u);
    EXPECT_EQ(built.candidates[1].value_new, 200u);
    EXPECT_EQ(built.phrase(2), "no change");
}

TEST(Candidates, VictimWithLowWeightIsRaisedFirst) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[0].signals.cpu_weight = 50;
    const Built built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
    EXPECT_EQ(built.phrase(0), "raise the cpu weight of group A");
    EXPECT_EQ(built.candidates[0].value_new, 100u);
    b->groups[0].signals.cpu_weight = 25;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).candidates[0].value_new, 100u);
}

TEST(Candidates, WeightsStopAtTheirRange) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[0].signals.cpu_weight = 400;
    b->groups[1].signals.cpu_weight = 30;
    const Built near(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
    EXPECT_EQ(near.candidates[0].value_new, 20u);
    EXPECT_EQ(near.candidates[1].value_new, 500u);
    b->groups[0].signals.cpu_weight = 500;
    b->groups[1].signals.cpu_weight = 20;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).n, 1u);
    // a value that someone else set beyond our range is left alone
    b->groups[0].signals.cpu_weight = 5000;
    b->groups[1].signals.cpu_weight = 10000;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).n, 1u);
    // cpu.weight reads 0 while cpu.idle is 1
    b->groups[0].signals.cpu_weight = 0;
    b->groups[1].signals.cpu_weight = 0;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).n, 1u);
}

TEST(Candidates, UnknownValuesAreNotGuessed) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[1].signals.cpu_weight = LLAMUX_UNKNOWN;
    const Built built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
    ASSERT_EQ(built.n, 2u);
    EXPECT_EQ(built.phrase(0), "raise the cpu weight of group A");
    b->flags |= LLAMUX_SNAPSHOT_NO_SIGNALS;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).n, 1u);
    b->flags = 0;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 77, 78)}).n, 1u) << "group is gone";
}

TEST(Candidates, WeightIsTurnedWhereThePathsPart) {
    // 2: services (20 inside), 3: users (30 inside)
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[0].signals.parent_id = 2;
    b->groups[1].signals.parent_id = 3;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).n, 1u)
        << "the parents are not known";
    b.add(2, 0);
    b.add(3, 0);
    const Built built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
    ASSERT_EQ(built.n, 3u);
    EXPECT_EQ(built.candidates[0].cgroup_id, 3u);
    EXPECT_EQ(built.phrase(0), "lower the cpu weight of group B");
    EXPECT_EQ(built.candidates[1].cgroup_id, 2u);

    b->groups[3].signals.flags = LLAMUX_GROUP_PROTECTED;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).candidates[0].cgroup_id, 2u);
    b->groups[3].signals.parent_id = 3;  // a loop must end
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)}).n, 1u);
}

TEST(Candidates, ProtectedAndOwnGroupsAreNotTightened) {
    for (const u32 flag : {LLAMUX_GROUP_PROTECTED, LLAMUX_GROUP_SELF}) {
        auto b = SnapshotBuilder::noisy_neighbour();
        b->groups[1].signals.flags = flag;
        const Built built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
        ASSERT_EQ(built.n, 2u);
        EXPECT_EQ(built.candidates[0].cgroup_id, 20u);
    }
}

TEST(Candidates, IdleClassOnlyForBackgroundGroups) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[1].signals.flags = LLAMUX_GROUP_BACKGROUND;
    const Built built(b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
    ASSERT_EQ(built.n, 4u);
    EXPECT_EQ(built.phrase(2), "use the cpu idle class for group B");
    EXPECT_EQ(built.candidates[2].value_new, 1u);
}

TEST(Candidates, QuotaIsLoosenedUpToAllCpus) {
    SnapshotBuilder b;
    auto& g = b.add(20, 100);
    g.signals.cpu_max_quota_us = 20000;
    const Built built(b, {fact(LLAMUX_CAUSE_CPU_QUOTA, 20)});
    ASSERT_EQ(built.n, 2u);
    EXPECT_EQ(built.phrase(0), "raise the cpu quota of group A");
    EXPECT_EQ(built.candidates[0].value_new, 30000u);
    g.signals.cpu_max_quota_us = 190000;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_QUOTA, 20)}).candidates[0].value_new, 200000u);
    g.signals.cpu_max_quota_us = 200000;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_CPU_QUOTA, 20)}).n, 1u);
}

TEST(Candidates, MemoryValues) {
    SnapshotBuilder b;
    b.add(20, 100).signals.memory_low_bytes = 0;
    b.add(30, 100).signals.memory_current_bytes = 2 * kGiB;
    const Built leak(b, {fact(LLAMUX_CAUSE_MEMORY_LEAK, 20, 30)});
    ASSERT_EQ(leak.n, 5u);
    EXPECT_EQ(leak.phrase(0), "raise the memory protection of group A");
    EXPECT_EQ(leak.candidates[0].value_new, 256 * kMiB);
    EXPECT_EQ(leak.phrase(1), "lower the memory limit of group B");
    EXPECT_EQ(leak.candidates[1].value_old, LLAMUX_NO_LIMIT);
    EXPECT_EQ(leak.candidates[1].value_new, (2 * kGiB + 2 * kGiB / 20) & ~u64{4095});
    EXPECT_EQ(leak.phrase(2), "reclaim memory from group B");
    EXPECT_EQ(leak.candidates[2].value_new, (2 * kGiB / 100) & ~u64{4095});
    EXPECT_EQ(leak.phrase(3), "raise the free page reserve");
    EXPECT_EQ(leak.candidates[3].value_new, 40u);

    b->groups[1].signals.memory_high_bytes = 2 * kGiB;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_LEAK, 20, 30)}).phrase(1),
              "reclaim memory from group B")
        << "it has a limit that it cannot pass";

    b->groups[0].signals.memory_swap_bytes = 64 * kMiB;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_LEAK, 20, 30)}).candidates[0].value_new,
              320 * kMiB)
        << "what was pushed to swap is to come back";

    b->groups[0].signals.memory_current_bytes = 3 * kGiB;
    const Built reclaim(b, {fact(LLAMUX_CAUSE_MEMORY_RECLAIM, 20)});
    EXPECT_EQ(reclaim.candidates[1].value_new, (4 * kGiB * 3 / 10) & ~u64{4095})
        << "protection stays below three tenths of the machine";
}

// As recorded in the gym's swap-thrash: nobody is to be protected yet.
TEST(Candidates, WhatHelpsTheWorstFactComesFirst) {
    SnapshotBuilder b;
    b.add(20, 100);
    b.add(30, 400);
    const Built built(
        b, {fact(LLAMUX_CAUSE_MEMORY_LEAK, 0, 30), fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30)});
    EXPECT_EQ(built.candidates[0].kind, u32{LLAMUX_ACTION_MEMORY_HIGH});
    EXPECT_EQ(built.candidates[0].cgroup_id, 30u);
    EXPECT_EQ(built.candidates[1].kind, u32{LLAMUX_ACTION_CPU_WEIGHT});
}

TEST(Candidates, ALimitThatIsTooSmallGrowsByHalf) {
    SnapshotBuilder b;
    b.add(20, 100).signals.memory_high_bytes = 48 * kMiB;
    const Built built(b, {fact(LLAMUX_CAUSE_MEMORY_LIMIT, 20)});
    EXPECT_EQ(built.phrase(0), "raise the memory limit of group A");
    EXPECT_EQ(built.candidates[0].value_new, 72 * kMiB);

    b->signals.memory_available_bytes = b->signals.memory_total_bytes / 10;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_LIMIT, 20)}).phrase(0), "no change")
        << "memory is scarce: it would be taken from all others";
}

TEST(Candidates, WhoIsPushedToSwapIsProtected) {
    SnapshotBuilder b;
    b.add(20, 100);
    const Built built(b, {fact(LLAMUX_CAUSE_SWAP_THRASH, 20, 30)});
    ASSERT_EQ(built.n, 3u);
    EXPECT_EQ(built.phrase(0), "raise the memory protection of group A");
    EXPECT_EQ(built.phrase(1), "lower the swappiness");
    EXPECT_EQ(built.candidates[1].value_new, 40u);
    b->signals.flags = LLAMUX_SIGNAL_SWAP_FAST;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_SWAP_THRASH, 20, 30)}).n, 2u)
        << "fast swap is cheaper to use than a disk is to read";
}

TEST(Candidates, FastSwapTurnsTheOrder) {
    SnapshotBuilder b;
    b.add(20, 100);
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)}).phrase(0),
              "raise the memory protection of group A");
    b->signals.flags = LLAMUX_SIGNAL_SWAP_FAST;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)}).phrase(0), "raise the swappiness");
    b->signals.swap_total_bytes = 0;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)}).phrase(0),
              "raise the memory protection of group A");
}

TEST(Candidates, NoGroupIsProtectedFurtherThanThoseAroundIt) {
    SnapshotBuilder b;
    auto& slice = b.add(10, 0);
    b.add(20, 100).signals.parent_id = 10;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)}).phrase(0), "raise the swappiness");
    slice.signals.memory_low_bytes = 100 * kMiB;
    const Built built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)});
    EXPECT_EQ(built.phrase(0), "raise the memory protection of group A");
    EXPECT_EQ(built.candidates[0].value_new, 100 * kMiB);
    slice.signals.parent_id = 5;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)}).phrase(0), "raise the swappiness")
        << "what is around the slice is not known";
}

TEST(Candidates, SwappinessIsNotRaisedWhereSwapHasNoRoom) {
    SnapshotBuilder b;
    b.add(20, 100);
    b->signals.flags = LLAMUX_SIGNAL_SWAP_FAST;
    b->signals.swap_free_bytes = b->signals.memory_total_bytes / 20;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)}).phrase(0),
              "raise the memory protection of group A");
    b->signals.swap_free_bytes = LLAMUX_UNKNOWN;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_MEMORY_THRASH, 20)}).phrase(0), "raise the swappiness");
}

TEST(Candidates, DirtyLimitGoesTheWayItHasRoom) {
    SnapshotBuilder b;
    const Built large(b, {fact(LLAMUX_CAUSE_DIRTY_STALL)});
    ASSERT_EQ(large.n, 3u);
    EXPECT_EQ(large.phrase(0), "lower the dirty page limit");
    EXPECT_EQ(large.candidates[0].value_new, 10u);
    b->signals.vm_dirty_ratio = 6;
    const Built small(b, {fact(LLAMUX_CAUSE_DIRTY_STALL)});
    EXPECT_EQ(small.phrase(0), "raise the dirty page limit");
    EXPECT_EQ(small.candidates[0].value_new, 9u);
    b->signals.vm_dirty_bytes = kMiB;
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_DIRTY_STALL)}).n, 1u) << "the ratio is not in force";
}

TEST(Candidates, IoWeightOnlyWhereItWorks) {
    SnapshotBuilder b;
    b.add(20, 100);
    b.add(30, 100);
    EXPECT_EQ(Built(b, {fact(LLAMUX_CAUSE_IO_CONTENTION, 20, 30)}).n, 1u);
    b->signals.flags = LLAMUX_SIGNAL_IO_WEIGHT_WORKS;
    const Built built(b, {fact(LLAMUX_CAUSE_IO_CONTENTION, 20, 30)});
    ASSERT_EQ(built.n, 3u);
    EXPECT_EQ(built.phrase(0), "lower the io weight of group B");
}

TEST(Candidates, NothingToTurn) {
    auto b = SnapshotBuilder::noisy_neighbour();
    for (const u32 cause :
         {LLAMUX_CAUSE_CPU_SATURATED, LLAMUX_CAUSE_MIGRATION_CHURN, LLAMUX_CAUSE_IRQ_LOAD,
          LLAMUX_CAUSE_CLOCK_THROTTLED, LLAMUX_CAUSE_SELF}) {
        EXPECT_EQ(Built(b, {fact(cause, 20, 30)}).n, 1u) << cause;
    }
}

TEST(Candidates, BestOfEachFactComesBeforeSecondBest) {
    auto b = SnapshotBuilder::noisy_neighbour();
    const Built built(
        b, {fact(LLAMUX_CAUSE_CPU_CONTENTION, 20, 30), fact(LLAMUX_CAUSE_MEMORY_RECLAIM, 20)});
    ASSERT_EQ(built.n, 5u);
    EXPECT_EQ(built.phrase(0), "lower the cpu weight of group B");
    EXPECT_EQ(built.phrase(1), "raise the free page reserve");
    EXPECT_EQ(built.phrase(2), "raise the cpu weight of group A");
    EXPECT_EQ(built.phrase(3), "raise the memory protection of group A");
}

TEST(Candidates, HostileValuesKeepTheInvariants) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 3000; ++round) {
        SnapshotBuilder b;
        auto* words = reinterpret_cast<u32*>(&*b);
        for (size_t i = 0; i < sizeof(llamux_snapshot) / sizeof(u32); ++i) {
            const u64 r = random();
            words[i] = r % 5 == 0 ? ~u32{0} : static_cast<u32>(r >> 32) >> (r % 33 % 32);
        }
        b->flags = 0;
        b->n_groups = LLAMUX_MAX_GROUPS;
        for (u32 i = 0; i < LLAMUX_MAX_GROUPS; ++i) {
            b->groups[i].signals.cgroup_id = 20 + i;
            b->groups[i].signals.parent_id = random() % 3 * 20;
            b->groups[i].signals.flags = static_cast<u32>(random());
        }
        const Built built(b, {fact(1 + random() % (LLAMUX_N_CAUSES + 1), 20, 21),
                              fact(1 + random() % LLAMUX_N_CAUSES, 22, 23), fact(1, 24, 99)});
        ASSERT_GE(built.n, 1u);
        ASSERT_LE(built.n, LLAMUX_MAX_CANDIDATES);
        EXPECT_EQ(built.candidates[built.n - 1].kind, u32{LLAMUX_ACTION_NONE});
        for (u32 i = 0; i + 1 < built.n; ++i) {
            const auto& c = built.candidates[i];
            ASSERT_GT(c.kind, u32{LLAMUX_ACTION_NONE});
            ASSERT_LT(c.kind, u32{LLAMUX_N_ACTIONS});
            EXPECT_LT(c.value_new, LLAMUX_NO_LIMIT);
            EXPECT_EQ(c.direction == LLAMUX_LOWER, c.value_new < c.value_old);
            EXPECT_NE(c.value_new, c.value_old);
            EXPECT_LT(std::strlen(c.phrase), LLAMUX_PHRASE_MAX);
            EXPECT_EQ(std::strchr(c.phrase, '?'), nullptr);
            const auto* g = llx_measure_group(b.get(), c.cgroup_id);
            if (g != nullptr) {
                EXPECT_FALSE(g->signals.flags & LLAMUX_GROUP_SELF);
                EXPECT_FALSE((g->signals.flags & LLAMUX_GROUP_PROTECTED) &&
                             c.direction == LLAMUX_LOWER);
            }
        }
    }
}

TEST(Letters, AreGivenInOrderOfMention) {
    const std::array<llamux_fact, 3> facts{fact(1, 0, 9), fact(2, 7, 9), fact(3, 8, 7)};
    llx_letters letters;
    llx_letters_assign(&letters, facts.data(), 3);
    ASSERT_EQ(letters.n, 3u);
    EXPECT_EQ(llx_letters_of(&letters, 9), 'A');
    EXPECT_EQ(llx_letters_of(&letters, 7), 'B');
    EXPECT_EQ(llx_letters_of(&letters, 8), 'C');
    EXPECT_EQ(llx_letters_of(&letters, 0), '?');
    EXPECT_EQ(llx_letters_of(&letters, 5), '?');
    EXPECT_EQ(llx_letters_group(&letters, 'B'), 7u);
    EXPECT_EQ(llx_letters_group(&letters, 'D'), 0u);
    EXPECT_EQ(llx_letters_group(&letters, 'a'), 0u);
    EXPECT_EQ(llx_letters_group(&letters, '@'), 0u);
}

}  // namespace
