// SPDX-License-Identifier: GPL-2.0-only
// Catches: a cause that is missed or blamed on the wrong group, a healthy
// machine that is called ill, and hostile or missing values that become facts.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "support/snapshots.hpp"

namespace {

using llamux::test::evidence;
using llamux::test::Found;
using llamux::test::kGiB;
using llamux::test::kMiB;
using llamux::test::SnapshotBuilder;

TEST(Detect, IdleMachineGivesNoFact) {
    SnapshotBuilder b;
    b.add(20, 3);
    EXPECT_EQ(Found(b).n, 0u);
}

TEST(Detect, BusyMachineWithoutWaitingGivesNoFact) {
    SnapshotBuilder b;
    b.psi(40, 0, 10);
    b->runq_wait_p99_us = 1024;
    b.add(20, 480).runq_wait_p99_us = 512;
    b.add(30, 510).runq_wait_p99_us = 1024;
    EXPECT_EQ(Found(b).n, 0u);
}

TEST(Detect, HogHurtsService) {
    const auto b = SnapshotBuilder::noisy_neighbour();
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_CPU_CONTENTION);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].culprit_id, 30u);
    EXPECT_EQ(found[0].level, u32{LLX_LEVEL_HIGH});
    const auto* wait = evidence(found[0], LLAMUX_SOURCE_RUNQ_WAIT_P99_US);
    ASSERT_NE(wait, nullptr);
    EXPECT_EQ(wait->cgroup_id, 20u);
    EXPECT_EQ(wait->value, 32768u);
    EXPECT_EQ(wait->normal, LLAMUX_UNKNOWN);
    EXPECT_EQ(wait->threshold, 5000u);
    const auto* cpu = evidence(found[0], LLAMUX_SOURCE_CPU_PERMILLE);
    ASSERT_NE(cpu, nullptr);
    EXPECT_EQ(cpu->cgroup_id, 30u);
    EXPECT_EQ(cpu->value, 780u);
    const auto* pressure = evidence(found[0], LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE);
    ASSERT_NE(pressure, nullptr);
    EXPECT_EQ(pressure->cgroup_id, 0u);
    EXPECT_EQ(pressure->value, 900u);
}

TEST(Detect, HogThatUsesLessThanItsVictimIsFound) {
    SnapshotBuilder b;
    b.psi(900, 0, 0);
    SnapshotBuilder::waits(b.add(20, 520), 65536);
    SnapshotBuilder::never_sleeps(b.add(30, 470));
    const Found found(b);
    ASSERT_GE(found.n, 1u);
    EXPECT_EQ(found[0].culprit_id, 30u);
    EXPECT_EQ(found[0].level, u32{LLX_LEVEL_SEVERE});
}

// With HZ=250 a fair scheduler makes everybody wait exactly one tick, 4.0 ms,
// again and again: no single wait is long.
TEST(Detect, ServiceThatWaitsAsMuchAsItRunsIsFound) {
    SnapshotBuilder b;
    b.psi(1000, 0, 0);
    b->runq_wait_p99_us = 16384;
    auto& service = b.add(20, 480);
    SnapshotBuilder::waits(service, 4096);
    SnapshotBuilder::never_sleeps(b.add(30, 510));
    Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_CPU_CONTENTION);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].culprit_id, 30u);
    EXPECT_EQ(found[0].level, u32{LLX_LEVEL_SOME});
    const auto* share = evidence(found[0], LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE);
    ASSERT_NE(share, nullptr);
    EXPECT_EQ(share->value, 500u);
    EXPECT_EQ(share->threshold, 400u);
    EXPECT_EQ(evidence(found[0], LLAMUX_SOURCE_RUNQ_WAIT_P99_US), nullptr);

    // a third, as with twice the hog's weight, is its due
    service.record.runq_wait_ns = service.record.run_ns / 2;
    found = Found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_CPU_SATURATED);
}

TEST(Detect, HogWithLittleCpuIsNotItsVictimsVictim) {
    // after its weight was lowered the hog waits long; the service is fine
    SnapshotBuilder b;
    b.psi(900, 0, 0);
    b.add(20, 600).runq_wait_p99_us = 1024;
    SnapshotBuilder::never_sleeps(b.add(30, 390));
    EXPECT_EQ(Found(b).n, 0u);
}

TEST(Detect, TwoEqualBuildsAreSaturationNotContention) {
    SnapshotBuilder b;
    b.psi(950, 0, 0);
    b->runq_wait_p99_us = 32768;
    SnapshotBuilder::never_sleeps(b.add(20, 500));
    SnapshotBuilder::never_sleeps(b.add(30, 500));
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_CPU_SATURATED);
    EXPECT_EQ(found[0].victim_id, 0u);
    EXPECT_EQ(found[0].culprit_id, 0u);
}

TEST(Detect, MarkedGroupsDecideBetweenEquals) {
    SnapshotBuilder b;
    b.psi(950, 0, 0);
    SnapshotBuilder::never_sleeps(b.add(20, 500, LLAMUX_GROUP_LATENCY));
    SnapshotBuilder::never_sleeps(b.add(30, 500));
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].culprit_id, 30u);
}

TEST(Detect, ProtectedGroupIsNeverTheCulprit) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[1].signals.flags = LLAMUX_GROUP_PROTECTED;
    const Found found(b);
    for (u32 i = 0; i < found.n; ++i) {
        EXPECT_NE(found[i].culprit_id, 30u);
        EXPECT_NE(found[i].cause, LLAMUX_CAUSE_CPU_CONTENTION);
    }
}

TEST(Detect, LlamuxItselfIsFoundAndNeverBlamedAsAGroup) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[1].signals.flags = LLAMUX_GROUP_SELF;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_SELF);
    EXPECT_EQ(found[0].culprit_id, 0u);
    EXPECT_EQ(evidence(found[0], LLAMUX_SOURCE_CPU_PERMILLE)->value, 780u);
}

// Its threads belong to no group; who computes more than they do is worse.
TEST(Detect, AModelThatIsMadeToTalkIsLlamuxItself) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[1].cpu_permille = 400;
    b->inference_permille = 500;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_SELF);
    EXPECT_EQ(evidence(found[0], LLAMUX_SOURCE_CPU_PERMILLE)->value, 500u);
    b->inference_permille = 300;
    EXPECT_EQ(Found(b)[0].cause, LLAMUX_CAUSE_CPU_CONTENTION);
}

// A window of the gym's self, Linux 6.12, as recorded: the service that is kept
// waiting needs more than the answers take.
TEST(Detect, TheVictimOfAModelThatTalksIsNotTheCause) {
    SnapshotBuilder b;
    b.psi(672, 0, 0);
    b->runq_wait_p99_us = 131072;
    auto& service = b.add(20, 596);
    SnapshotBuilder::waits(service, 65536);
    service.record.runq_wait_ns = service.record.run_ns / 2;
    b->inference_permille = 144;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_SELF);
    EXPECT_EQ(found[0].level, u32{LLX_LEVEL_SOME});

    b->inference_permille = 90;
    EXPECT_NE(Found(b)[0].cause, LLAMUX_CAUSE_SELF) << "as little as rankings may take";
    b->inference_permille = 144;
    b->runq_wait_p99_us = 512;
    service.record.runq_wait_ns = 0;
    service.runq_wait_p99_us = 512;
    EXPECT_EQ(Found(b)[0].cause, LLAMUX_CAUSE_SELF) << "tasks wait, and for nobody else";
}

TEST(Detect, WhoComputesMoreThanLlamuxAndHurtsOthersIsTheCause) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->inference_permille = 144;
    EXPECT_EQ(Found(b)[0].cause, LLAMUX_CAUSE_CPU_CONTENTION);
}

TEST(Detect, OwnQuotaTooSmall) {
    SnapshotBuilder b;
    b.psi(500, 0, 0);
    auto& g = b.add(20, 100);
    g.signals.cpu_max_quota_us = 20000;
    g.signals.periods_count = 40;
    g.signals.throttled_count = 30;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_CPU_QUOTA);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].culprit_id, 0u);
    EXPECT_EQ(evidence(found[0], LLAMUX_SOURCE_THROTTLED_PERMILLE)->value, 750u);
}

TEST(Detect, QuotaOfBackgroundGroupIsMeant) {
    SnapshotBuilder b;
    auto& g = b.add(20, 100, LLAMUX_GROUP_BACKGROUND);
    g.signals.periods_count = 40;
    g.signals.throttled_count = 30;
    EXPECT_EQ(Found(b).n, 0u);
}

TEST(Detect, ForkStormNamesWhoForks) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[1].record.forks = 4 * 900;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_FORK_STORM);
    EXPECT_EQ(found[0].culprit_id, 30u);
    EXPECT_EQ(found[0].victim_id, 20u);
}

TEST(Detect, WritersWaitForDirtyPages) {
    SnapshotBuilder b;
    b.psi(0, 0, 400);
    b->signals.memory_dirty_bytes = 500 * kMiB;
    b->signals.memory_writeback_bytes = 80 * kMiB;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_DIRTY_STALL);
    EXPECT_EQ(found[0].level, u32{LLX_LEVEL_HIGH});
    EXPECT_EQ(evidence(found[0], LLAMUX_SOURCE_DIRTY_PERMILLE)->value, 944u);
}

TEST(Detect, DiskHog) {
    SnapshotBuilder b;
    b.psi(0, 0, 500);
    b.add(20, 20).signals.psi.io.some_us = 2'000'000;
    b.add(30, 60).record.block_io_bytes = kGiB;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_IO_CONTENTION);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].culprit_id, 30u);
}

TEST(Detect, InterruptsClockAndMigration) {
    SnapshotBuilder irq;
    irq->record.softirq_ns = 3'200'000'000;
    ASSERT_EQ(Found(irq).n, 1u);
    EXPECT_EQ(Found(irq)[0].cause, LLAMUX_CAUSE_IRQ_LOAD);

    SnapshotBuilder clock;
    clock->signals.cpu_mhz_permille = 400;
    EXPECT_EQ(Found(clock).n, 0u) << "an idle CPU may clock down";
    clock.add(20, 950);
    ASSERT_EQ(Found(clock).n, 1u);
    EXPECT_EQ(Found(clock)[0].cause, LLAMUX_CAUSE_CLOCK_THROTTLED);

    SnapshotBuilder churn;
    churn.psi(200, 0, 0);
    churn->record.total.migrations = 40000;
    churn->record.total.switches = 60000;
    ASSERT_EQ(Found(churn).n, 1u);
    EXPECT_EQ(Found(churn)[0].cause, LLAMUX_CAUSE_MIGRATION_CHURN);
}

TEST(Detect, WorstFactFirst) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[0].runq_wait_p99_us = 8192;
    b.psi(900, 500, 0);
    b->record.total.direct_reclaim_ns = 4 * 600'000'000ULL;
    const Found found(b);
    ASSERT_EQ(found.n, 2u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_RECLAIM);
    EXPECT_EQ(found[1].cause, LLAMUX_CAUSE_CPU_CONTENTION);
}

TEST(Detect, RatesDoNotDependOnTheWindow) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->groups[1].record.forks = 900;  // 225 a second over 4 s
    EXPECT_EQ(Found(b)[0].cause, LLAMUX_CAUSE_FORK_STORM);
    b->window_ns *= 2;
    EXPECT_EQ(Found(b)[0].cause, LLAMUX_CAUSE_CPU_CONTENTION);
}

TEST(Detect, FirstReadingAndShortWindowsSayNothing) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->flags = LLAMUX_SNAPSHOT_FIRST;
    EXPECT_EQ(Found(b).n, 0u);
    b->flags = 0;
    b->window_ns = 0;
    EXPECT_EQ(Found(b).n, 0u);
    b->window_ns = 1000;
    EXPECT_EQ(Found(b).n, 0u);
}

TEST(Detect, WithoutMapsOrSignalsNothingIsInvented) {
    auto b = SnapshotBuilder::noisy_neighbour();
    b->flags = LLAMUX_SNAPSHOT_NO_MAPS;
    EXPECT_EQ(Found(b).n, 0u);
    b->flags = LLAMUX_SNAPSHOT_NO_MAPS | LLAMUX_SNAPSHOT_NO_SIGNALS;
    EXPECT_EQ(Found(b).n, 0u);
    // without pressure the maps alone still show the hog
    b->flags = LLAMUX_SNAPSHOT_NO_SIGNALS;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_CPU_CONTENTION);
}

TEST(Detect, OrderOfGroupsDoesNotMatter) {
    auto b = SnapshotBuilder::noisy_neighbour();
    for (u32 i = 0; i < 10; ++i) {
        SnapshotBuilder::waits(b.add(40 + i, 1), 8192);
    }
    const Found before(b);
    std::mt19937 random(1);
    for (int round = 0; round < 50; ++round) {
        std::shuffle(b->groups, b->groups + b->n_groups, random);
        const Found after(b);
        ASSERT_EQ(after.n, before.n);
        EXPECT_EQ(std::memcmp(after.facts.data(), before.facts.data(), sizeof(before.facts)), 0);
    }
}

TEST(Detect, HostileValuesGiveWellFormedFacts) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 2000; ++round) {
        SnapshotBuilder b;
        auto* words = reinterpret_cast<u32*>(&*b);
        const u64 style = random() % 4;
        for (size_t i = 0; i < sizeof(llamux_snapshot) / sizeof(u32); ++i) {
            const u64 r = random();
            words[i] = style == 0   ? ~u32{0}
                       : style == 1 ? static_cast<u32>(r)
                       : r % 3 == 0 ? ~u32{0}
                                    : static_cast<u32>(r >> 32) >> (r % 32);
        }
        b->flags &= random() % 4;
        llx_baseline baseline;
        llx_baseline_init(&baseline);
        llx_baseline_update(&baseline, b.get(), random() % 2 != 0);
        const Found found(b, &baseline);
        ASSERT_LE(found.n, u32{LLAMUX_MAX_FACTS});
        for (u32 i = 0; i < found.n; ++i) {
            EXPECT_GT(found[i].cause, u32{LLAMUX_CAUSE_NONE});
            EXPECT_LT(found[i].cause, u32{LLAMUX_N_CAUSES});
            EXPECT_GE(found[i].level, u32{LLX_LEVEL_SOME});
            EXPECT_LE(found[i].level, u32{LLX_LEVEL_SEVERE});
            EXPECT_LE(found[i].n_evidence, LLAMUX_EVIDENCE_MAX);
            EXPECT_GE(found[i].n_evidence, 1u);
        }
    }
}

TEST(Baseline, LearnsQuietWindowsOnly) {
    llx_baseline baseline;
    llx_baseline_init(&baseline);
    SnapshotBuilder quiet;
    quiet.psi(10, 0, 0);
    quiet.add(20, 100).runq_wait_p99_us = 256;
    for (int i = 0; i < 5; ++i) {
        llx_baseline_update(&baseline, quiet.get(), true);
    }
    auto loud = SnapshotBuilder::noisy_neighbour();
    for (int i = 0; i < 50; ++i) {
        llx_baseline_update(&baseline, loud.get(), false);
    }
    EXPECT_EQ(llx_baseline_normal(&baseline, 20, LLAMUX_SOURCE_RUNQ_WAIT_P99_US), 256u);
    EXPECT_EQ(llx_baseline_normal(&baseline, 0, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE), 10u);
    EXPECT_EQ(llx_baseline_normal(&baseline, 30, LLAMUX_SOURCE_CPU_PERMILLE), LLAMUX_UNKNOWN);
    EXPECT_EQ(Found(loud, &baseline)[0].evidence[0].normal, 256u);
}

TEST(Baseline, ForgetsTheGroupNotSeenForLongest) {
    llx_baseline baseline;
    llx_baseline_init(&baseline);
    for (u64 id = 2; id < 2 + 2 * LLAMUX_MAX_GROUPS; ++id) {
        SnapshotBuilder b;
        b.add(id, 10);
        llx_baseline_update(&baseline, b.get(), true);
    }
    EXPECT_EQ(llx_baseline_normal(&baseline, 2, LLAMUX_SOURCE_CPU_PERMILLE), LLAMUX_UNKNOWN);
    EXPECT_EQ(llx_baseline_normal(&baseline, 129, LLAMUX_SOURCE_CPU_PERMILLE), 10u);
}

}  // namespace
