// SPDX-License-Identifier: GPL-2.0-only
//
// Hand-written snapshots for tests: start from a quiet machine, then change
// what the case is about.
#pragma once

#include <array>
#include <cstring>
#include <memory>

#include "support/engine.hpp"

namespace llamux::test {

inline constexpr __u64 kSecond = 1'000'000'000;
inline constexpr __u64 kGiB = __u64{1} << 30;
inline constexpr __u64 kMiB = __u64{1} << 20;

// A snapshot is 40 KiB: on the heap.
class SnapshotBuilder {
  public:
    // Four seconds of a machine with two CPUs and nothing to do.
    SnapshotBuilder() : s_(std::make_unique<llamux_snapshot>()) {
        s_->schema = LLAMUX_TELEMETRY_SCHEMA;
        s_->sequence = 2;
        s_->window_start_ns = 100 * kSecond;
        s_->window_ns = 4 * kSecond;
        s_->record.idle_ns = 8 * kSecond;
        auto& m = s_->signals;
        m.n_cpus = 2;
        m.memory_total_bytes = 4 * kGiB;
        m.memory_available_bytes = 3 * kGiB;
        m.swap_total_bytes = kGiB;
        m.swap_free_bytes = kGiB;
        m.cpu_mhz_permille = LLAMUX_UNKNOWN;
        m.vm_swappiness = 60;
        m.vm_dirty_background_ratio = 10;
        m.vm_dirty_ratio = 20;
        m.vm_watermark_scale_factor = 10;
    }

    // A group with default knobs that used `cpu` permille of all CPUs.
    llamux_group_snapshot& add(__u64 id, __u32 cpu, __u32 flags = 0) {
        auto& g = s_->groups[s_->n_groups++];
        g.signals.cgroup_id = id;
        g.signals.flags = flags;
        g.signals.cpu_weight = 100;
        g.signals.io_weight = 100;
        g.signals.cpu_max_quota_us = LLAMUX_NO_LIMIT;
        g.signals.cpu_max_period_us = 100000;
        g.signals.memory_high_bytes = LLAMUX_NO_LIMIT;
        g.signals.memory_current_bytes = 256 * kMiB;
        g.cpu_permille = cpu;
        g.record.run_ns = cpu * 8 * kSecond / 1000;
        g.record.switches = 400;
        s_->record.idle_ns -= std::min<__u64>(s_->record.idle_ns, g.record.run_ns);
        return g;
    }

    // Tasks of the group wake often and then wait.
    static void waits(llamux_group_snapshot& g, __u32 p99_us) {
        g.runq_wait_p99_us = p99_us;
        g.record.runq_wait_ns = g.record.run_ns;
        g.record.runq_wait_count = 400;
    }

    // Tasks of the group never sleep.
    static void never_sleeps(llamux_group_snapshot& g) {
        g.record.switches = 2000;
        g.record.preempted_by_self = 1500;
        g.record.preempted_by_other = 500;
        g.record.runq_wait_ns = g.record.run_ns;
        g.record.runq_wait_count = 2000;
        g.runq_wait_p99_us = 16384;
    }

    // The demo's case: group 20 answers requests, group 30 burns CPU.
    static SnapshotBuilder noisy_neighbour() {
        SnapshotBuilder b;
        b.psi(900, 0, 0);
        b->runq_wait_p99_us = 16384;
        waits(b.add(20, 200), 32768);
        never_sleeps(b.add(30, 780));
        return b;
    }

    // Share of the window in which some task waited, in permille.
    void psi(__u64 cpu, __u64 memory, __u64 io) {
        const __u64 us = s_->window_ns / 1'000'000;
        s_->signals.psi = {{cpu * us, 0}, {memory * us, 0}, {io * us, 0}};
    }

    llamux_snapshot* operator->() { return s_.get(); }
    llamux_snapshot& operator*() { return *s_; }
    const llamux_snapshot* get() const { return s_.get(); }

  private:
    std::unique_ptr<llamux_snapshot> s_;
};

// What the detectors say about it.
struct Found {
    std::array<llamux_fact, LLAMUX_MAX_FACTS> facts{};
    u32 n = 0;

    explicit Found(const SnapshotBuilder& b, const llx_baseline* baseline = nullptr)
        : n(llx_detect(b.get(), baseline, facts.data())) {}
    const llamux_fact& operator[](u32 i) const { return facts[i]; }
};

// NULL: the fact has none of that source.
inline const llamux_evidence* evidence(const llamux_fact& fact, u32 source) {
    for (u32 i = 0; i < fact.n_evidence; ++i) {
        if (fact.evidence[i].source == source) {
            return &fact.evidence[i];
        }
    }
    return nullptr;
}

}  // namespace llamux::test
