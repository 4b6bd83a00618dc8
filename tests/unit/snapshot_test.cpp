// SPDX-License-Identifier: GPL-2.0-only
// Catches: wrong differences, merges, orders and percentiles between two
// telemetry readings, and any hostile value that leads out of the stated range.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

extern "C" {
#include "engine/snapshot.h"
}

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Reading {
    std::unique_ptr<llx_reading> value = std::make_unique<llx_reading>();

    explicit Reading(std::uint64_t seconds) {
        value->time_ns = seconds * kSecond;
        value->has_maps = true;
    }
    llx_reading* operator->() { return value.get(); }

    void task_group(std::uint64_t id, std::uint64_t run_ns, std::uint64_t switches,
                    std::uint64_t forks) {
        llamux_cgroup_record& record = group(id);
        record.run_ns = run_ns;
        record.switches = switches;
        record.forks = forks;
    }
    // Groups must be added in ascending order of their ids.
    llamux_cgroup_record& group(std::uint64_t id) {
        llx_group_reading& group = value->groups[value->n_groups++];
        group.cgroup_id = id;
        return group.record;
    }
    llamux_group_signals& signals(std::uint64_t id) {
        value->has_signals = true;
        value->signals.size = sizeof(llamux_signals);
        llamux_group_signals& group = value->signals.groups[value->signals.n_groups++];
        group.cgroup_id = id;
        return group;
    }
};

std::unique_ptr<llamux_snapshot> make(const Reading* before, const Reading& now,
                                      unsigned n_cpus = 2) {
    auto snapshot = std::make_unique<llamux_snapshot>();
    std::memset(snapshot.get(), 0xa5, sizeof(*snapshot));  // all must be overwritten
    llx_snapshot_make(before ? before->value.get() : nullptr, now.value.get(), n_cpus, 7,
                      snapshot.get());
    return snapshot;
}

TEST(Snapshot, DifferenceOverTheWindow) {
    Reading before(10), now(12);
    before.task_group(28, 1'000, 40, 100);
    now.task_group(28, 1'000 + kSecond, 63, 123);
    before->system.kswapd_wakes = 3;
    now->system.kswapd_wakes = 8;
    before->inference_ns = 7 * kSecond;
    now->inference_ns = 8 * kSecond;

    const auto s = make(&before, now);
    EXPECT_EQ(s->schema, unsigned{LLAMUX_TELEMETRY_SCHEMA});
    EXPECT_EQ(s->sequence, 7u);
    EXPECT_EQ(s->window_start_ns, 10 * kSecond);
    EXPECT_EQ(s->window_ns, 2 * kSecond);
    EXPECT_EQ(s->flags, unsigned{LLAMUX_SNAPSHOT_NO_SIGNALS});
    ASSERT_EQ(s->n_groups, 1u);
    EXPECT_EQ(s->groups[0].record.switches, 23u);
    EXPECT_EQ(s->groups[0].record.forks, 23u);
    EXPECT_EQ(s->groups[0].record.run_ns, kSecond);
    EXPECT_EQ(s->groups[0].cpu_permille, 250u) << "one of two seconds on one of two CPUs";
    EXPECT_EQ(s->groups[0].signals.cgroup_id, 28u);
    EXPECT_EQ(s->groups[0].signals.cpu_weight, LLAMUX_UNKNOWN);
    EXPECT_EQ(s->groups[0].signals.flags, 0u);
    EXPECT_EQ(s->record.kswapd_wakes, 5u);
    EXPECT_EQ(s->inference_permille, 250u);
}

TEST(Snapshot, FirstHasTotalsAndNoWindow) {
    Reading now(12);
    now.task_group(28, 5 * kSecond, 0, 23);
    now.signals(28).throttled_us = 17;
    const auto s = make(nullptr, now);
    EXPECT_EQ(s->flags, unsigned{LLAMUX_SNAPSHOT_FIRST});
    EXPECT_EQ(s->window_ns, 0u);
    EXPECT_EQ(s->window_start_ns, 12 * kSecond);
    EXPECT_EQ(s->groups[0].record.forks, 23u);
    EXPECT_EQ(s->groups[0].signals.throttled_us, 17u);
    EXPECT_EQ(s->groups[0].cpu_permille, 0u);
    EXPECT_EQ(s->inference_permille, 0u);
}

TEST(Snapshot, EvictedRecordStartsFromZeroAsAWhole) {
    Reading before(1), now(2);
    before.task_group(28, 1'000, 0, 100);
    now.task_group(28, 5'000, 0, 2);  // only forks shows the new beginning
    const auto s = make(&before, now);
    EXPECT_EQ(s->groups[0].record.run_ns, 5'000u);
    EXPECT_EQ(s->groups[0].record.forks, 2u);
}

TEST(Snapshot, GroupsThatComeAndGo) {
    Reading before(1), now(2);
    before.group(10).run_ns = 50;  // gone from the maps
    before.group(30).run_ns = 50;
    now.group(20).run_ns = 70;  // new
    now.group(30).run_ns = 50;  // did nothing, has no signals: left out
    now.group(40).run_ns = 0;   // did nothing, but has signals
    now.signals(40).cpu_weight = 100;
    now.signals(50).cpu_weight = 200;  // the maps do not know it
    const auto s = make(&before, now);
    ASSERT_EQ(s->n_groups, 3u);
    EXPECT_EQ(s->groups[0].signals.cgroup_id, 20u);
    EXPECT_EQ(s->groups[0].record.run_ns, 70u);
    EXPECT_EQ(s->groups[1].signals.cgroup_id, 40u);
    EXPECT_EQ(s->groups[1].signals.cpu_weight, 100u);
    EXPECT_EQ(s->groups[2].signals.cgroup_id, 50u);
    EXPECT_EQ(s->groups[2].signals.cpu_weight, 200u);
    EXPECT_EQ(s->groups[2].record.run_ns, 0u);
    EXPECT_EQ(s->n_groups_dropped, 0u);
}

TEST(Snapshot, FlagsAndValuesOfSignalsAreCarriedCountersDifferenced) {
    Reading before(1), now(2);
    now.group(5).run_ns = 1;
    llamux_group_signals& old_signals = before.signals(5);
    old_signals.psi.memory.full_us = 1'000;
    old_signals.memory_high_events = LLAMUX_UNKNOWN;
    old_signals.throttled_us = 500;
    old_signals.periods_count = 9;
    llamux_group_signals& signals = now.signals(5);
    signals.flags = LLAMUX_GROUP_PROTECTED | LLAMUX_GROUP_SELF;
    signals.parent_id = 3;
    signals.psi.memory.full_us = 1'250;
    signals.memory_high_events = 4;
    signals.throttled_us = 20;  // went backwards: the group was made anew
    signals.periods_count = LLAMUX_UNKNOWN;
    signals.memory_current_bytes = 4096;
    signals.memory_high_bytes = LLAMUX_NO_LIMIT;

    const auto s = make(&before, now);
    const llamux_group_signals& out = s->groups[0].signals;
    EXPECT_EQ(out.flags, unsigned{LLAMUX_GROUP_PROTECTED | LLAMUX_GROUP_SELF});
    EXPECT_EQ(out.parent_id, 3u);
    EXPECT_EQ(out.psi.memory.full_us, 250u);
    EXPECT_EQ(out.memory_high_events, LLAMUX_UNKNOWN);
    EXPECT_EQ(out.throttled_us, 20u);
    EXPECT_EQ(out.periods_count, LLAMUX_UNKNOWN);
    EXPECT_EQ(out.memory_current_bytes, 4096u);
    EXPECT_EQ(out.memory_high_bytes, LLAMUX_NO_LIMIT);
}

// Regression guard: a group that the agent reports for the first time has old
// totals, and they did not happen in this window.
TEST(Snapshot, CountersOfNewSignalsAreUnknown) {
    Reading before(1), now(2);
    before.signals(6).throttled_us = 1;
    now.signals(5).throttled_us = 1'000'000;
    now->signals.system.swap_in_pages = 5;
    EXPECT_EQ(make(&before, now)->groups[0].signals.throttled_us, LLAMUX_UNKNOWN);
    EXPECT_EQ(make(&before, now)->signals.swap_in_pages, 5u);

    Reading silent(1);  // no signals at all before
    EXPECT_EQ(make(&silent, now)->groups[0].signals.throttled_us, LLAMUX_UNKNOWN);
    EXPECT_EQ(make(&silent, now)->signals.swap_in_pages, LLAMUX_UNKNOWN);
}

TEST(Snapshot, SystemSignals) {
    Reading before(1), now(2);
    before.signals(1);
    now.signals(1);
    before->signals.system.psi.cpu.some_us = 100;
    now->signals.system.psi.cpu.some_us = 130;
    now->signals.system.memory_total_bytes = 1u << 30;
    now->signals.system.flags = LLAMUX_SIGNAL_MGLRU;
    now->signals.system.n_cpus = 4'000'000'000u;  // not believed
    const auto s = make(&before, now, 2);
    EXPECT_EQ(s->signals.psi.cpu.some_us, 30u);
    EXPECT_EQ(s->signals.memory_total_bytes, 1u << 30);
    EXPECT_EQ(s->signals.flags, unsigned{LLAMUX_SIGNAL_MGLRU});
    EXPECT_EQ(s->signals.n_cpus, 2u);

    Reading without(3);
    EXPECT_EQ(make(&now, without)->signals.memory_total_bytes, LLAMUX_UNKNOWN);
    EXPECT_EQ(make(&now, without)->signals.flags, 0u);
    EXPECT_EQ(make(&now, without)->signals.n_cpus, 2u);
}

TEST(Snapshot, MostCpuTimeFirstAndTruncatedWithACount) {
    Reading before(1), now(2);
    std::vector<std::uint64_t> times;
    for (std::uint64_t id = 1; id <= LLAMUX_MAX_CGROUPS; id++) {
        before.group(id).run_ns = 1'000'000 - id;  // the total is not what counts
        times.push_back(id * 7919 % 1031 + 1);
        now.group(id).run_ns = 1'000'000 - id + times.back();
    }
    now.signals(2'000);  // idle, but wanted: last in order, no room
    const auto s = make(&before, now);
    std::sort(times.rbegin(), times.rend());
    ASSERT_EQ(s->n_groups, unsigned{LLAMUX_MAX_GROUPS});
    EXPECT_EQ(s->n_groups_dropped, LLAMUX_MAX_CGROUPS + 1u - LLAMUX_MAX_GROUPS);
    for (unsigned i = 0; i < LLAMUX_MAX_GROUPS; i++) {
        EXPECT_EQ(s->groups[i].record.run_ns, times[i]) << i;
    }
}

TEST(Snapshot, TiesPreferSignalsThenLowerIds) {
    Reading now(2);
    for (std::uint64_t id : {3, 4, 5}) {
        now.group(id).run_ns = 9;
    }
    now.signals(5);
    const auto s = make(nullptr, now);
    ASSERT_EQ(s->n_groups, 3u);
    EXPECT_EQ(s->groups[0].signals.cgroup_id, 5u);
    EXPECT_EQ(s->groups[1].signals.cgroup_id, 3u);
    EXPECT_EQ(s->groups[2].signals.cgroup_id, 4u);
}

TEST(Snapshot, NoMaps) {
    Reading before(1), now(2);
    before->has_maps = now->has_maps = false;
    now.group(3).run_ns = 77;  // leftovers that must not be looked at
    now->system.idle_ns = 77;
    now.signals(9);
    const auto s = make(&before, now);
    EXPECT_EQ(s->flags, unsigned{LLAMUX_SNAPSHOT_NO_MAPS});
    EXPECT_EQ(s->record.idle_ns, 0u);
    ASSERT_EQ(s->n_groups, 1u);
    EXPECT_EQ(s->groups[0].signals.cgroup_id, 9u);
}

TEST(Snapshot, IdleIsWhatNoTaskUsed) {
    Reading before(1), now(2);
    now->system.total.run_ns = kSecond / 2;
    now->system.idle_ns = 3;  // a CPU that still idles has not reported yet
    EXPECT_EQ(make(&before, now, 4)->record.idle_ns, 4 * kSecond - kSecond / 2);
    now->system.total.run_ns = 9 * kSecond;  // more than there was
    EXPECT_EQ(make(&before, now, 4)->record.idle_ns, 0u);
}

TEST(Snapshot, DropsAreFlagged) {
    for (auto field :
         {&llamux_system_record::dropped_records, &llamux_system_record::dropped_wakeups,
          &llamux_system_record::dropped_block_io}) {
        Reading before(1), now(2);
        before->system.*field = 5;
        now->system.*field = 5;
        EXPECT_FALSE(make(&before, now)->flags & LLAMUX_SNAPSHOT_LOST);
        now->system.*field = 6;
        EXPECT_TRUE(make(&before, now)->flags & LLAMUX_SNAPSHOT_LOST);
    }
}

TEST(Snapshot, ClockThatStandsStillOrGoesBack) {
    Reading before(5), now(5);
    now.group(1).run_ns = 10;
    EXPECT_EQ(make(&before, now)->window_ns, 0u);
    EXPECT_EQ(make(&before, now)->groups[0].cpu_permille, 0u);
    now->time_ns = 4 * kSecond;
    EXPECT_EQ(make(&before, now)->window_ns, 0u);
}

TEST(Histogram, P99IsTheUpperBoundOfItsSlot) {
    u64 hist[LLAMUX_HIST_SLOTS] = {};
    EXPECT_EQ(llx_hist_p99_us(hist), 0u);
    hist[0] = 1;
    EXPECT_EQ(llx_hist_p99_us(hist), 2u);
    // 990 of 1000 below: the 990th smallest is in slot 3 [8, 16) us
    std::fill(std::begin(hist), std::end(hist), 0);
    hist[3] = 990;
    hist[10] = 10;
    EXPECT_EQ(llx_hist_p99_us(hist), 16u);
    hist[3] = 989;
    hist[10] = 11;
    EXPECT_EQ(llx_hist_p99_us(hist), 2048u);
    std::fill(std::begin(hist), std::end(hist), 0);
    hist[LLAMUX_HIST_SLOTS - 1] = 1;
    EXPECT_EQ(llx_hist_p99_us(hist), 1u << LLAMUX_HIST_SLOTS);
}

// The same by sorting all values, for random histograms.
TEST(Histogram, P99AgreesWithSortedValues) {
    std::mt19937 random(23);
    for (int round = 0; round < 500; round++) {
        u64 hist[LLAMUX_HIST_SLOTS] = {};
        std::vector<unsigned> slots(1 + random() % 700);
        for (unsigned& slot : slots) {
            slot = std::min(random() % LLAMUX_HIST_SLOTS, random() % LLAMUX_HIST_SLOTS);
            hist[slot]++;
        }
        std::sort(slots.begin(), slots.end());
        // the smallest value that at least 99 % are not above
        const std::size_t rank = (slots.size() * 99 + 99) / 100;
        EXPECT_EQ(llx_hist_p99_us(hist), 2u << slots[rank - 1]) << slots.size();
    }
}

TEST(Signals, MalformedIsRefused) {
    auto signals = std::make_unique<llamux_signals>();
    signals->size = sizeof(*signals);
    signals->n_groups = 2;
    signals->groups[0].cgroup_id = 1;
    signals->groups[1].cgroup_id = 2;
    EXPECT_EQ(llx_signals_check(signals.get()), 0);

    const auto refused = [&](auto change) {
        auto bad = std::make_unique<llamux_signals>(*signals);
        change(*bad);
        return llx_signals_check(bad.get()) == -EINVAL;
    };
    EXPECT_TRUE(refused([](auto& s) { s.size--; }));
    EXPECT_TRUE(refused([](auto& s) { s.size = 0; }));
    EXPECT_TRUE(refused([](auto& s) { s.n_groups = LLAMUX_MAX_GROUPS + 1; }));
    EXPECT_TRUE(refused([](auto& s) { s.n_groups = ~0u; }));
    EXPECT_TRUE(refused([](auto& s) { s.system.flags = 8; }));
    EXPECT_TRUE(refused([](auto& s) { s.groups[1].flags = 0x10; }));
    EXPECT_TRUE(refused([](auto& s) { s.groups[1].reserved = 1; }));
    EXPECT_TRUE(refused([](auto& s) { s.groups[1].cgroup_id = 0; }));
    EXPECT_TRUE(refused([](auto& s) { s.groups[1].cgroup_id = 1; })) << "there twice";
    // what is beyond n_groups is nobody's business
    EXPECT_FALSE(refused([](auto& s) { s.groups[2].flags = ~0u; }));
}

TEST(Record, SumsEveryCounterOfEveryCpu) {
    llamux_system_record sum = {}, one;
    auto* words = reinterpret_cast<u64*>(&one);
    for (std::size_t i = 0; i < sizeof(one) / sizeof(u64); i++) {
        words[i] = i + 1;
    }
    llx_system_record_add(&sum, &one);
    llx_system_record_add(&sum, &one);
    llx_record_add(&sum.total, &one.total);
    EXPECT_EQ(sum.total.run_ns, 3u);
    EXPECT_EQ(sum.total.runq_wait_hist[LLAMUX_HIST_SLOTS - 1],
              3 * one.total.runq_wait_hist[LLAMUX_HIST_SLOTS - 1]);
    EXPECT_EQ(sum.block_io_hist[LLAMUX_HIST_SLOTS - 1],
              2 * one.block_io_hist[LLAMUX_HIST_SLOTS - 1]);
}

// Any bits in maps and signals: ranges hold, order holds, no overflow (run
// under the sanitizers).
TEST(Snapshot, HostileValues) {
    std::mt19937_64 random(7);
    const auto fill = [&](auto& object) {
        auto* bytes = reinterpret_cast<unsigned char*>(&object);
        for (std::size_t i = 0; i < sizeof(object); i++) {
            bytes[i] = random() % 3 ? static_cast<unsigned char>(random()) : 0xff;
        }
    };
    for (int round = 0; round < 200; round++) {
        Reading before(0), now(0);
        for (Reading* reading : {&before, &now}) {
            (*reading)->time_ns = random();
            fill((*reading)->system);
            for (std::uint64_t id = 1; id <= 80; id += 1 + random() % 2) {
                fill(reading->group(id));
            }
            for (std::uint64_t id = 1; id <= 60; id += 1 + random() % 3) {
                llamux_group_signals& signals = reading->signals(id);
                fill(signals);
                signals.cgroup_id = id;
                signals.reserved = 0;
                signals.flags &= LLAMUX_GROUP_FLAGS;
            }
        }
        const auto s = make(round % 5 ? &before : nullptr, now, 1 + random() % 9);
        ASSERT_LE(s->n_groups, unsigned{LLAMUX_MAX_GROUPS});
        for (unsigned i = 0; i < s->n_groups; i++) {
            EXPECT_LE(s->groups[i].cpu_permille, 1000u);
            EXPECT_LE(s->groups[i].runq_wait_p99_us, 1u << LLAMUX_HIST_SLOTS);
            if (i > 0) {
                EXPECT_GE(s->groups[i - 1].record.run_ns, s->groups[i].record.run_ns);
            }
        }
    }
}

}  // namespace
