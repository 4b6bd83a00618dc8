// SPDX-License-Identifier: GPL-2.0-only
//
// See scene.hpp. Each kind of trouble is one small function that changes a
// snapshot; several may hit the same machine. Values are drawn wide, below
// thresholds too: what becomes a fact is the detectors' business.
#include "scene.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace llamux::pilot {
namespace {

constexpr u64 kSecond = 1'000'000'000;
constexpr u64 kMiB = u64{1} << 20;

// A snapshot being made.
class Machine {
  public:
    Machine(llamux_snapshot& snapshot, llx_baseline& baseline, Random& random)
        : s_(snapshot), baseline_(baseline), r_(random) {
        s_.schema = LLAMUX_TELEMETRY_SCHEMA;
        s_.sequence = 2;
        s_.window_start_ns = 100 * kSecond;
        s_.window_ns = r_.between(1, 10) * kSecond;
        auto& m = s_.signals;
        m.n_cpus = static_cast<u32>(1 << r_.between(0, 5));
        s_.record.idle_ns = cpu_ns();
        m.memory_total_bytes = r_.between(1, 64) * 1024 * kMiB;
        m.memory_available_bytes = m.memory_total_bytes / 10 * r_.between(3, 9);
        m.swap_total_bytes = r_.chance(75) ? 2048 * kMiB : 0;
        m.swap_free_bytes = LLAMUX_UNKNOWN;
        m.cpu_mhz_permille = r_.chance(50) ? r_.between(800, 1000) : LLAMUX_UNKNOWN;
        m.vm_swappiness = r_.between(10, 100);
        m.vm_dirty_ratio = r_.between(5, 30);
        m.vm_dirty_background_ratio = m.vm_dirty_ratio / 2;
        m.vm_watermark_scale_factor = r_.chance(80) ? 10 : r_.between(10, 300);
        for (const u32 flag :
             {LLAMUX_SIGNAL_IO_WEIGHT_WORKS, LLAMUX_SIGNAL_SWAP_FAST, LLAMUX_SIGNAL_MGLRU}) {
            m.flags |= r_.chance(50) ? flag : 0;
        }
        psi(m.psi.cpu, 0, 60);
        psi(m.psi.memory, 0, 30);
        psi(m.psi.io, 0, 60);
        for (u64 n = r_.between(0, 5); n > 0; --n) {
            add(r_.spread(0, 80));
        }
    }

    // Memory of the window before, for growth.
    void remember() {
        llx_baseline_update(&baseline_, &s_, false);
        baseline_.end_ns = s_.window_start_ns;
    }

    // Something that ran or failed to be read.
    void blur() {
        if (r_.chance(4)) {
            s_.signals.psi.cpu.some_us = LLAMUX_UNKNOWN;
        }
        if (r_.chance(4)) {
            s_.signals.psi.memory.some_us = LLAMUX_UNKNOWN;
            s_.signals.swap_total_bytes = LLAMUX_UNKNOWN;
        }
        if (r_.chance(3)) {
            s_.signals.psi.io.some_us = LLAMUX_UNKNOWN;
            s_.signals.vm_dirty_ratio = LLAMUX_UNKNOWN;
        }
    }

    void cpu_contention() {
        psi(s_.signals.psi.cpu, 80, 1000);
        auto& victim = waiter(mark(LLAMUX_GROUP_LATENCY, 25));
        auto& hog = add(r_.between(240, 950), mark(LLAMUX_GROUP_BACKGROUND, 20));
        never_sleeps(hog);
        // siblings, as most are
        hog.signals.parent_id = victim.signals.parent_id;
        s_.runq_wait_p99_us = victim.runq_wait_p99_us;
    }
    void cpu_quota() {
        auto& g = waiter(mark(LLAMUX_GROUP_LATENCY, 15));
        g.signals.cpu_max_period_us = 100000;
        g.signals.cpu_max_quota_us = r_.between(1, s_.signals.n_cpus * 10) * 10000;
        g.signals.periods_count = s_.window_ns / kSecond * 10;
        g.signals.throttled_count = g.signals.periods_count * r_.between(5, 100) / 100;
        psi(s_.signals.psi.cpu, 20, 600);
    }
    void cpu_saturated() {
        psi(s_.signals.psi.cpu, 250, 1000);
        s_.runq_wait_p99_us = static_cast<u32>(8192 << r_.between(0, 5));
        s_.record.idle_ns = 0;
        for (int i = 0; i < 2; ++i) {
            never_sleeps(add(r_.between(350, 480)));
        }
    }
    void fork_storm() {
        psi(s_.signals.psi.cpu, 80, 900);
        if (r_.chance(70)) {
            waiter(0);
        }
        auto& g = add(r_.between(100, 900), mark(LLAMUX_GROUP_BACKGROUND, 20));
        g.record.forks = r_.spread(150, 8000) * s_.window_ns / kSecond;
    }
    void memory_leak() {
        memory_waits(reclaimer());
        auto& g = add(r_.spread(1, 200));
        s_.signals.memory_available_bytes =
            s_.signals.memory_total_bytes / 1000 * r_.between(10, 160);
        // remember() ran before: give this group a past
        auto& past = baseline_.groups[LLAMUX_MAX_GROUPS - 1];
        past.cgroup_id = g.signals.cgroup_id;
        past.window = baseline_.n_windows;
        past.memory_bytes = g.signals.memory_current_bytes;
        g.signals.memory_current_bytes += r_.spread(8, 400) * kMiB * (s_.window_ns / kSecond);
    }
    void memory_reclaim() {
        auto& g = reclaimer();
        memory_waits(g);
        s_.record.total.direct_reclaim_ns =
            std::max(s_.record.total.direct_reclaim_ns, g.record.direct_reclaim_ns);
    }
    void memory_thrash() {
        auto& g = add(r_.spread(5, 300), mark(LLAMUX_GROUP_LATENCY, 20));
        memory_waits(g);
        g.record.refaults_file = r_.spread(1000, 60000) * s_.window_ns / kSecond;
        s_.record.total.refaults_file = g.record.refaults_file;
    }
    void memory_limit() {
        auto& g = add(r_.spread(5, 300));
        g.signals.memory_high_bytes = g.signals.memory_current_bytes;
        g.signals.memory_high_events = r_.spread(10, 4000) * s_.window_ns / kSecond;
        psi(g.signals.psi.memory, 60, 900);
    }
    void swap_thrash() {
        auto& g = add(r_.spread(5, 300), mark(LLAMUX_GROUP_LATENCY, 20));
        memory_waits(g);
        s_.signals.swap_total_bytes = 2048 * kMiB;
        s_.signals.swap_in_pages = r_.spread(400, 60000) * s_.window_ns / kSecond;
        s_.signals.swap_out_pages = s_.signals.swap_in_pages;
        g.record.refaults_anon = s_.signals.swap_in_pages / r_.between(1, 8);
        if (r_.chance(70)) {
            add(r_.spread(1, 300), mark(LLAMUX_GROUP_BACKGROUND, 20)).signals.memory_current_bytes =
                r_.between(1, 8) * 2048 * kMiB;
        }
    }
    void dirty_stall() {
        auto& m = s_.signals;
        io_waits(add(r_.spread(1, 200)));
        m.memory_dirty_bytes =
            m.memory_available_bytes / 100 * m.vm_dirty_ratio / 100 * r_.between(65, 110);
    }
    void io_contention() {
        io_waits(add(r_.spread(1, 200), mark(LLAMUX_GROUP_LATENCY, 20)));
        auto& g = add(r_.spread(1, 300), mark(LLAMUX_GROUP_BACKGROUND, 20));
        g.record.block_io_bytes = r_.spread(10, 4000) * kMiB;
    }
    void migration_churn() {
        psi(s_.signals.psi.cpu, 60, 500);
        s_.record.total.migrations =
            r_.spread(1500, 40000) * s_.signals.n_cpus * (s_.window_ns / kSecond);
        s_.record.total.switches = s_.record.total.migrations * r_.between(1, 5);
    }
    void irq_load() { s_.record.softirq_ns = cpu_ns() / 100 * r_.between(10, 90); }
    void clock_throttled() {
        s_.signals.cpu_mhz_permille = r_.between(200, 750);
        s_.record.idle_ns = cpu_ns() / 100 * r_.between(0, 35);
    }
    void self() {
        psi(s_.signals.psi.cpu, 80, 900);
        add(r_.between(230, 900), LLAMUX_GROUP_SELF);
    }

  private:
    u64 cpu_ns() const { return s_.window_ns * s_.signals.n_cpus; }
    u32 mark(u32 flag, unsigned percent) { return r_.chance(percent) ? flag : 0; }

    void psi(llamux_psi& p, u64 low, u64 high) {
        p.some_us = r_.between(low, high) * (s_.window_ns / 1'000'000);
        p.full_us = p.some_us / 2;
    }
    u64 weight() {
        if (r_.chance(65)) {
            return 100;
        }
        return r_.pick(std::vector<u64>{20, 25, 50, 75, 200, 400, 500, LLAMUX_UNKNOWN});
    }
    llamux_group_snapshot& add(u64 cpu, u32 flags = 0) {
        auto& g = s_.groups[s_.n_groups++];
        g.signals.cgroup_id = 1000 + r_.next() % 1'000'000'000;
        g.signals.flags = flags | mark(LLAMUX_GROUP_PROTECTED, 6);
        g.signals.cpu_weight = weight();
        g.signals.io_weight = r_.chance(60) ? 100 : weight();
        g.signals.cpu_max_quota_us = LLAMUX_NO_LIMIT;
        g.signals.cpu_max_period_us = 100000;
        g.signals.memory_high_bytes = LLAMUX_NO_LIMIT;
        g.signals.memory_current_bytes = r_.spread(8, 4096) * kMiB;
        g.signals.memory_low_bytes =
            r_.chance(85) ? 0 : g.signals.memory_current_bytes / 4096 * 4096;
        g.cpu_permille = static_cast<u32>(cpu);
        g.record.run_ns = cpu_ns() / 1000 * cpu;
        g.record.switches = r_.between(100, 500) * (s_.window_ns / kSecond);
        g.runq_wait_p99_us = static_cast<u32>(64 << r_.between(0, 5));
        s_.record.idle_ns -= std::min(s_.record.idle_ns, g.record.run_ns);
        return g;
    }
    llamux_group_snapshot& waiter(u32 flags) {
        auto& g = add(r_.spread(20, 500), flags);
        g.runq_wait_p99_us = static_cast<u32>(2048 << r_.between(0, 7));
        g.record.runq_wait_ns = g.record.run_ns / 100 * r_.between(10, 400);
        g.record.runq_wait_count = r_.between(10, 400) * (s_.window_ns / kSecond);
        return g;
    }
    void never_sleeps(llamux_group_snapshot& g) {
        g.record.preempted_by_self = g.record.switches / 2;
        g.record.preempted_by_other = g.record.switches - g.record.preempted_by_self;
        g.record.runq_wait_ns = g.record.run_ns;
        g.record.runq_wait_count = g.record.switches;
        g.runq_wait_p99_us = static_cast<u32>(1024 << r_.between(0, 6));
    }
    llamux_group_snapshot& reclaimer() {
        auto& g = add(r_.spread(5, 300), mark(LLAMUX_GROUP_LATENCY, 20));
        g.record.direct_reclaim_ns = r_.spread(10, 900) * 1'000'000 * (s_.window_ns / kSecond);
        return g;
    }
    void memory_waits(llamux_group_snapshot& g) {
        psi(s_.signals.psi.memory, 40, 800);
        psi(g.signals.psi.memory, 40, 800);
    }
    void io_waits(llamux_group_snapshot& g) {
        psi(s_.signals.psi.io, 80, 900);
        psi(g.signals.psi.io, 80, 900);
    }

    llamux_snapshot& s_;
    llx_baseline& baseline_;
    Random& r_;
};

using Trouble = void (Machine::*)();

// The more there is to decide, the more often.
constexpr std::array<Trouble, 28> kTroubles = {
    &Machine::cpu_contention,
    &Machine::cpu_contention,
    &Machine::cpu_contention,
    &Machine::cpu_contention,
    &Machine::cpu_quota,
    &Machine::cpu_quota,
    &Machine::fork_storm,
    &Machine::fork_storm,
    &Machine::memory_leak,
    &Machine::memory_leak,
    &Machine::memory_reclaim,
    &Machine::memory_thrash,
    &Machine::memory_thrash,
    &Machine::memory_limit,
    &Machine::swap_thrash,
    &Machine::swap_thrash,
    &Machine::dirty_stall,
    &Machine::dirty_stall,
    &Machine::io_contention,
    &Machine::io_contention,
    &Machine::cpu_saturated,
    &Machine::cpu_saturated,
    &Machine::irq_load,
    &Machine::irq_load,
    &Machine::clock_throttled,
    &Machine::clock_throttled,
    &Machine::self,
    &Machine::self,
};

bool is_curable(u32 cause) {
    switch (cause) {
        case LLAMUX_CAUSE_CPU_SATURATED:
        case LLAMUX_CAUSE_MIGRATION_CHURN:
        case LLAMUX_CAUSE_IRQ_LOAD:
        case LLAMUX_CAUSE_CLOCK_THROTTLED:
        case LLAMUX_CAUSE_SELF:
            return false;
        default:
            return true;
    }
}

void tell_in_order(Scene& scene) {
    const auto& advice = scene.advice;
    std::iota(scene.order, scene.order + advice.n_facts, 0);
    llx_letters_assign(&scene.letters, advice.facts, advice.n_facts);
}

void build_candidates(Scene& scene) {
    auto& advice = scene.advice;
    advice.n_candidates = llx_candidates_build(scene.snapshot.get(), advice.facts, advice.n_facts,
                                               &scene.letters, advice.candidates);
}

template <typename T>
void permute(T* values, u32 n, Random& random) {
    for (u32 i = n; i > 1; --i) {
        std::swap(values[i - 1], values[random.next() % i]);
    }
}

}  // namespace

Scene make_scene(Random& random, unsigned trouble) {
    Scene scene;
    scene.snapshot = std::make_unique<llamux_snapshot>();
    auto baseline = std::make_unique<llx_baseline>();
    llx_baseline_init(baseline.get());
    Machine machine(*scene.snapshot, *baseline, random);
    machine.remember();
    for (unsigned i = 0; i < trouble; ++i) {
        if (random.chance(3)) {
            machine.migration_churn();
        } else {
            (machine.*kTroubles[random.next() % kTroubles.size()])();
        }
    }
    machine.blur();

    auto& advice = scene.advice;
    advice.n_facts = llx_detect(scene.snapshot.get(), baseline.get(), advice.facts);
    tell_in_order(scene);
    permute(scene.order, advice.n_facts, random);
    permute(scene.letters.id, scene.letters.n, random);
    build_candidates(scene);
    advice.chosen = best_candidate(scene);
    return scene;
}

void tell_as_service(Scene& scene) {
    tell_in_order(scene);
    build_candidates(scene);
}

u32 best_candidate(const Scene& scene) {
    const auto& advice = scene.advice;
    const u32 nothing = advice.n_candidates - 1;
    if (nothing == 0) {
        return nothing;
    }
    const bool small_rest = advice.n_facts < 2 || advice.facts[1].level == u32{LLX_LEVEL_SOME};
    if (!is_curable(advice.facts[0].cause) && small_rest) {
        return nothing;
    }
    const auto& fact = advice.facts[0];
    const auto* victim = llx_measure_group(scene.snapshot.get(), fact.victim_id);
    const auto* culprit = llx_measure_group(scene.snapshot.get(), fact.culprit_id);
    const bool turned = victim != nullptr && culprit != nullptr &&
                        fact.cause == LLAMUX_CAUSE_CPU_CONTENTION &&
                        llx_known(victim->signals.cpu_weight) && victim->signals.cpu_weight > 100 &&
                        culprit->signals.cpu_weight < 100;
    if (turned && fact.level == u32{LLX_LEVEL_SOME} && small_rest) {
        return nothing;
    }
    return 0;
}

}  // namespace llamux::pilot
