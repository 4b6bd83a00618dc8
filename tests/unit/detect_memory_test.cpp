// SPDX-License-Identifier: GPL-2.0-only
// Catches: memory trouble that is missed, called by the name of another, or blamed on
// the wrong group, and use of memory that is taken for trouble.
#include <gtest/gtest.h>

#include "support/snapshots.hpp"

namespace {

using llamux::test::evidence;
using llamux::test::Found;
using llamux::test::kGiB;
using llamux::test::kMiB;
using llamux::test::SnapshotBuilder;

TEST(Detect, LeakNeedsGrowthAndScarceMemory) {
    llx_baseline baseline;
    llx_baseline_init(&baseline);
    SnapshotBuilder before;
    before->window_start_ns -= before->window_ns;
    before.add(20, 100);
    before.add(30, 100);
    llx_baseline_update(&baseline, before.get(), true);

    SnapshotBuilder b;
    b.psi(0, 300, 0);
    b.add(20, 100).record.direct_reclaim_ns = 400'000'000;
    b.add(30, 100).signals.memory_current_bytes = 1256 * kMiB;
    EXPECT_EQ(Found(b, &baseline).n, 0u) << "memory is not scarce";
    b->signals.memory_available_bytes = 200 * kMiB;
    const Found found(b, &baseline);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_LEAK);
    EXPECT_EQ(found[0].culprit_id, 30u);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(evidence(found[0], LLAMUX_SOURCE_MEMORY_GROWTH_KIB_PER_SECOND)->value, 256'000u);

    b->groups[1].signals.memory_current_bytes = 256 * kMiB;
    b->groups[1].signals.memory_swap_bytes = 1000 * kMiB;
    EXPECT_EQ(Found(b, &baseline)[0].culprit_id, 30u) << "what it has in swap is its memory, too";

    llx_baseline_update(&baseline, b.get(), false);
    b->window_start_ns += b->window_ns;
    b->groups[1].signals.memory_current_bytes = 1256 * kMiB;
    b->groups[1].signals.memory_swap_bytes = 0;
    EXPECT_NE(Found(b, &baseline)[0].cause, LLAMUX_CAUSE_MEMORY_LEAK)
        << "what comes back from swap is no growth";
}

TEST(Detect, DirectReclaimWithoutAnotherReason) {
    SnapshotBuilder b;
    b.psi(0, 200, 0);
    b.add(20, 100).record.direct_reclaim_ns = 500'000'000;
    b->record.total.direct_reclaim_ns = 500'000'000;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_RECLAIM);
    EXPECT_EQ(found[0].victim_id, 20u);
}

// A second of the gym's swap-thrash, Linux 6.12, as recorded: kswapd has one CPU,
// the group that fills the memory the other, the service waits for both.
TEST(Detect, ReclaimThatTakesTheCpusComesBeforeTheHog) {
    SnapshotBuilder b;
    b->window_ns = llamux::test::kSecond;
    b.psi(363, 707, 0);
    b->runq_wait_p99_us = 32768;
    b->record.total.direct_reclaim_ns = 320'755'000;
    auto& culprit = b.add(30, 429);
    SnapshotBuilder::never_sleeps(culprit);
    culprit.record.direct_reclaim_ns = 320'755'000;
    SnapshotBuilder::waits(b.add(20, 109), 65536);
    Found found(b);
    ASSERT_EQ(found.n, 2u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_RECLAIM);
    EXPECT_EQ(found[1].cause, LLAMUX_CAUSE_CPU_CONTENTION);
    EXPECT_EQ(found[1].level, u32{LLX_LEVEL_SOME});

    b.psi(363, 57, 0);
    found = Found(b);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_CPU_CONTENTION) << "memory is a little short";
    EXPECT_EQ(found[0].level, u32{LLX_LEVEL_SEVERE});
}

TEST(Detect, RefaultsAreThrashingAndReplaceReclaim) {
    SnapshotBuilder b;
    b.psi(0, 200, 0);
    b.add(20, 100).record.refaults_file = 6000;
    b->record.total.refaults_file = 6000;
    b->record.total.direct_reclaim_ns = 500'000'000;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_THRASH);
    EXPECT_EQ(found[0].victim_id, 20u);

    b->signals.flags |= LLAMUX_SIGNAL_MGLRU;
    b->record.total.refaults_file = 3000;
    EXPECT_EQ(Found(b)[0].cause, LLAMUX_CAUSE_MEMORY_RECLAIM) << "MGLRU has its own threshold";
}

// Few pages, a slow disk, and hardly any memory pressure: who has them read again waits.
// A window of the gym's refault, Linux 6.12, as recorded on a busy host.
TEST(Detect, RefaultsThatCostTimeWithTheDisk) {
    SnapshotBuilder b;
    b->window_ns = 5'390'000'000;
    b->signals.flags |= LLAMUX_SIGNAL_MGLRU;
    b.psi(20, 12, 336);
    b->signals.memory_total_bytes = 960 * kMiB;
    b->signals.memory_available_bytes = 105 * kMiB;
    auto& g = b.add(20, 200);
    g.signals.psi.memory.some_us = 62'869;
    g.signals.psi.io.some_us = 1'811'231;
    g.record.refaults_file = 2395;
    g.record.block_io_bytes = 12'369'920;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_THRASH);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].level, u32{LLX_LEVEL_HIGH});

    b->signals.memory_available_bytes = 500 * kMiB;
    EXPECT_NE(Found(b)[0].cause, LLAMUX_CAUSE_MEMORY_THRASH) << "a scan of a large file";
    b->signals.memory_available_bytes = 105 * kMiB;
    g.record.block_io_bytes *= 4;
    EXPECT_NE(Found(b)[0].cause, LLAMUX_CAUSE_MEMORY_THRASH) << "most of it it never had";
}

TEST(Detect, OwnMemoryLimit) {
    SnapshotBuilder b;
    auto& g = b.add(20, 100);
    g.signals.memory_high_bytes = 256 * kMiB;
    g.signals.memory_high_events = 800;
    g.signals.psi.memory.some_us = 1'000'000;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_LIMIT);
    EXPECT_EQ(found[0].victim_id, 20u);

    // What it reclaims for its limit is not a second trouble.
    b.psi(0, 250, 0);
    g.record.direct_reclaim_ns = 400'000'000;
    b->record.total.direct_reclaim_ns = 400'000'000;
    EXPECT_EQ(Found(b).n, 1u);
    auto& other = b.add(21, 100);
    other.record.direct_reclaim_ns = 500'000'000;
    ASSERT_EQ(Found(b).n, 2u);
    EXPECT_EQ(Found(b)[1].cause, LLAMUX_CAUSE_MEMORY_RECLAIM);
    EXPECT_EQ(Found(b)[1].victim_id, 21u);
}

// Pages of files that a limit drops are read again: time with the disk, hardly any
// memory pressure. A second of the gym's memory-limit, Linux 6.12, as recorded.
TEST(Detect, OwnMemoryLimitThatCostsTimeWithTheDisk) {
    SnapshotBuilder b;
    b->window_ns = llamux::test::kSecond;
    b->signals.flags |= LLAMUX_SIGNAL_MGLRU;
    b.psi(10, 3, 107);
    auto& g = b.add(20, 172);
    g.signals.memory_high_bytes = 50331648;
    g.signals.memory_current_bytes = 50098176;
    g.signals.memory_high_events = 12;
    g.signals.psi.memory.some_us = 3000;
    g.signals.psi.io.some_us = 107000;
    g.record.refaults_file = 812;
    g.record.block_io_bytes = 3304 << 10;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_LIMIT);
    EXPECT_EQ(found[0].victim_id, 20u);

    g.record.block_io_bytes = 16 << 20;
    EXPECT_EQ(Found(b).n, 0u) << "most of what it reads it never had";
    g.record.block_io_bytes = 3304 << 10;
    g.signals.psi.io.some_us = 30000;
    EXPECT_EQ(Found(b).n, 0u) << "it costs next to nothing";
    g.signals.psi.io.some_us = 107000;
    g.signals.memory_current_bytes = 40 << 20;
    EXPECT_EQ(Found(b).n, 0u) << "it is not at its limit";
}

TEST(Detect, SwapThrashNeedsBothDirections) {
    SnapshotBuilder b;
    b.psi(0, 300, 200);
    b.add(20, 100).record.refaults_anon = 5000;
    b.add(30, 10).signals.memory_current_bytes = 2 * kGiB;
    b->signals.swap_out_pages = 20000;
    EXPECT_EQ(Found(b).n, 0u) << "swapping out once is no harm";
    b->signals.swap_in_pages = 20000;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_SWAP_THRASH);
    EXPECT_EQ(found[0].victim_id, 20u);
}

TEST(Detect, WhoFillsTheMemoryIsNotTheVictimOfItsSwapping) {
    SnapshotBuilder b;
    b.psi(0, 300, 200);
    b->signals.swap_in_pages = b->signals.swap_out_pages = 20000;
    auto& service = b.add(20, 100);
    service.record.refaults_anon = 2000;
    service.signals.memory_current_bytes = 150 * kMiB;
    auto& large = b.add(30, 100);
    large.record.refaults_anon = 18000;
    large.signals.memory_current_bytes = 100 * kMiB;
    large.signals.memory_swap_bytes = 800 * kMiB;
    EXPECT_EQ(Found(b)[0].victim_id, 20u);
    EXPECT_EQ(Found(b)[0].culprit_id, 30u);

    large.signals.flags = LLAMUX_GROUP_PROTECTED;
    EXPECT_EQ(Found(b)[0].culprit_id, 0u) << "it may not be held back";
    large.signals.flags = 0;
    large.signals.memory_swap_bytes = 60 * kMiB;
    b.add(31, 10).signals.memory_current_bytes = 150 * kMiB;
    EXPECT_EQ(Found(b)[0].culprit_id, 0u) << "three that have the same share it";

    service.record.refaults_anon = 60;
    EXPECT_EQ(Found(b)[0].victim_id, 0u) << "15 pages a second are not worth a change";
    service.signals.psi.memory.some_us = 200'000;
    b->flags = LLAMUX_SNAPSHOT_NO_MAPS;
    EXPECT_EQ(Found(b)[0].victim_id, 20u) << "by its waiting, if need be";
}

// As systemd has them: the kernel counts for a slice what its services have and wait.
class Nested : public testing::Test {
  protected:
    Nested() {
        for (const auto& [slice, service] : {std::pair{10, 20}, std::pair{11, 30}}) {
            b.add(static_cast<u64>(slice), 0);
            b.add(static_cast<u64>(service), 100).signals.parent_id = static_cast<u64>(slice);
        }
    }
    // Of the group and the slice around it.
    void set(u64 llamux_psi::*field, llamux_psi llamux_pressure::*resource, u32 at, u64 value) {
        for (const u32 i : {at - 1, at}) {
            b->groups[i].signals.psi.*resource.*field = value;
        }
    }
    void set(u64 llamux_group_signals::*field, u32 at, u64 value) {
        b->groups[at - 1].signals.*field = b->groups[at].signals.*field = value;
    }

    static constexpr u32 kService = 1;
    static constexpr u32 kOther = 3;
    SnapshotBuilder b;
};

TEST_F(Nested, SwappingIsBlamedOnAServiceNotOnTheSlice) {
    b.psi(0, 300, 200);
    b->signals.swap_in_pages = b->signals.swap_out_pages = 20000;
    set(&llamux_psi::some_us, &llamux_pressure::memory, kService, 200'000);
    b->flags = LLAMUX_SNAPSHOT_NO_MAPS;
    set(&llamux_group_signals::memory_current_bytes, kService, 150 * kMiB);
    set(&llamux_group_signals::memory_current_bytes, kOther, 900 * kMiB);
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].culprit_id, 30u);
}

TEST_F(Nested, SoIsALeak) {
    llx_baseline baseline;
    llx_baseline_init(&baseline);
    llx_baseline_update(&baseline, b.get(), true);
    b->window_start_ns += b->window_ns;
    b.psi(0, 300, 0);
    b->signals.memory_available_bytes = 200 * kMiB;
    set(&llamux_group_signals::memory_current_bytes, kOther, 1256 * kMiB);
    const Found found(b, &baseline);
    ASSERT_GE(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_MEMORY_LEAK);
    EXPECT_EQ(found[0].culprit_id, 30u);
}

TEST_F(Nested, TheDiskHasTheServiceForVictimNotTheHogsSlice) {
    b.psi(0, 0, 400);
    set(&llamux_psi::some_us, &llamux_pressure::io, kService, 1'000'000);
    set(&llamux_psi::some_us, &llamux_pressure::io, kOther, 2'000'000);
    b->groups[kOther].record.block_io_bytes = 100 * kMiB;
    const Found found(b);
    ASSERT_EQ(found.n, 1u);
    EXPECT_EQ(found[0].cause, LLAMUX_CAUSE_IO_CONTENTION);
    EXPECT_EQ(found[0].victim_id, 20u);
    EXPECT_EQ(found[0].culprit_id, 30u);
}

TEST_F(Nested, ALimitIsThatOfWhoHasIt) {
    set(&llamux_group_signals::memory_high_events, kService, 400);
    set(&llamux_psi::some_us, &llamux_pressure::memory, kService, 1'000'000);
    b->groups[kService].signals.memory_high_bytes = 256 * kMiB;
    const Found service(b);
    ASSERT_EQ(service.n, 1u);
    EXPECT_EQ(service[0].cause, LLAMUX_CAUSE_MEMORY_LIMIT);
    EXPECT_EQ(service[0].victim_id, 20u);

    std::swap(b->groups[kService].signals.memory_high_bytes,
              b->groups[kService - 1].signals.memory_high_bytes);
    EXPECT_EQ(Found(b)[0].victim_id, 10u) << "a slice can have one";
}

}  // namespace
