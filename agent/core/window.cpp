// SPDX-License-Identifier: GPL-2.0-only
//
// Snapshot -> guard metrics; see window.hpp.
#include "core/window.hpp"

#include <algorithm>

namespace llamux {
namespace {

constexpr MetricRow kMetricRows[] = {
#define LLAMUX_ROW(id, words, unit, floor, sum) {#id, words, unit, floor, Sum::sum},
    LLAMUX_METRICS(LLAMUX_ROW)
#undef LLAMUX_ROW
};

constexpr double kUsPerSecond = 1e6;

class ReadingsBuilder {
  public:
    ReadingsBuilder(Readings& readings, double seconds) : readings_(readings), seconds_(seconds) {}

    void set(Metric metric, double value) {
        readings_.values[static_cast<std::size_t>(metric)] = value;
    }
    void set_rate(Metric metric, std::uint64_t count) {
        if (count != LLAMUX_UNKNOWN) {
            set(metric, static_cast<double>(count) / seconds_);
        }
    }
    // Microseconds of stall in the window -> permille of the window.
    void set_share(Metric metric, std::uint64_t us) {
        if (us != LLAMUX_UNKNOWN) {
            set(metric, 1000.0 * static_cast<double>(us) / (seconds_ * kUsPerSecond));
        }
    }
    // Permille that `part` is of both; 0: neither happened.
    void set_part(Metric metric, std::uint64_t part, std::uint64_t rest) {
        const double both = static_cast<double>(part) + static_cast<double>(rest);
        set(metric, both > 0 ? 1000.0 * static_cast<double>(part) / both : 0.0);
    }
    void set_mean(Metric metric, std::uint64_t sum_ns, std::uint64_t count) {
        set(metric, count ? static_cast<double>(sum_ns) / 1e3 / static_cast<double>(count) : 0.0);
    }

    void set_pressure(const llamux_pressure& psi) {
        set_share(Metric::kPsiCpuSome, psi.cpu.some_us);
        set_share(Metric::kPsiMemorySome, psi.memory.some_us);
        set_share(Metric::kPsiMemoryFull, psi.memory.full_us);
        set_share(Metric::kPsiIoSome, psi.io.some_us);
        set_share(Metric::kPsiIoFull, psi.io.full_us);
    }
    void set_growth(const llamux_group_snapshot& now, const llamux_group_snapshot* before) {
        const std::uint64_t bytes = now.signals.memory_current_bytes;
        if (!before || bytes == LLAMUX_UNKNOWN ||
            before->signals.memory_current_bytes == LLAMUX_UNKNOWN) {
            return;
        }
        const std::uint64_t less = before->signals.memory_current_bytes;
        set_rate(Metric::kMemoryGrowthKib, bytes > less ? (bytes - less) / 1024 : 0);
    }
    void set_record(const llamux_cgroup_record& record) {
        set_part(Metric::kRunqWaitPermille, record.runq_wait_ns, record.run_ns);
        set_rate(Metric::kDirectReclaimUs, record.direct_reclaim_ns / 1000);
        set_rate(Metric::kRefaults, record.refaults_anon + record.refaults_file);
        set_mean(Metric::kBlockIoMeanUs, record.block_io_ns, record.block_io_count);
    }

  private:
    Readings& readings_;
    double seconds_;
};

}  // namespace

const MetricRow& metric_row(Metric metric) {
    static constexpr MetricRow kNone = {"None", "nothing that could be measured", "", 0,
                                        Sum::kNone};
    return metric == Metric::kCount ? kNone : kMetricRows[static_cast<std::size_t>(metric)];
}

const Readings* Window::find(std::uint64_t cgroup_id) const {
    if (cgroup_id == 0) {
        return &system;
    }
    for (const Readings& readings : groups) {
        if (readings.cgroup_id == cgroup_id) {
            return &readings;
        }
    }
    return nullptr;
}

Window window_of(const llamux_snapshot& snapshot, const llamux_snapshot* before) {
    Window window;
    window.start_ns = snapshot.window_start_ns;
    window.length_ns = snapshot.window_ns;
    if (snapshot.window_ns == 0 || (snapshot.flags & LLAMUX_SNAPSHOT_FIRST)) {
        window.length_ns = 0;
        return window;
    }
    const double seconds = static_cast<double>(snapshot.window_ns) / 1e9;
    const bool has_maps = !(snapshot.flags & LLAMUX_SNAPSHOT_NO_MAPS);
    const bool has_signals = !(snapshot.flags & LLAMUX_SNAPSHOT_NO_SIGNALS);
    const bool is_next = before && !(before->flags & LLAMUX_SNAPSHOT_NO_SIGNALS) &&
                         before->window_start_ns + before->window_ns == snapshot.window_start_ns;

    ReadingsBuilder system(window.system, seconds);
    if (has_maps) {
        system.set_record(snapshot.record.total);
    }
    if (has_signals) {
        system.set_pressure(snapshot.signals.psi);
    }
    const std::uint32_t n_groups = std::min<std::uint32_t>(snapshot.n_groups, LLAMUX_MAX_GROUPS);
    for (std::uint32_t i = 0; i < n_groups; i++) {
        const llamux_group_snapshot& group = snapshot.groups[i];
        Readings readings;
        readings.cgroup_id = group.signals.cgroup_id;
        readings.parent_id = group.signals.parent_id;
        ReadingsBuilder builder(readings, seconds);
        if (has_maps) {
            builder.set_record(group.record);
        }
        if (has_signals) {
            builder.set_pressure(group.signals.psi);
            builder.set_share(Metric::kThrottledPermille, group.signals.throttled_us);
            builder.set_rate(Metric::kMemoryHighEvents, group.signals.memory_high_events);
            builder.set_growth(group,
                               is_next ? find_group(*before, group.signals.cgroup_id) : nullptr);
        }
        window.groups.push_back(readings);
    }
    return window;
}

const llamux_group_snapshot* find_group(const llamux_snapshot& snapshot, std::uint64_t cgroup_id) {
    const std::uint32_t n_groups = std::min<std::uint32_t>(snapshot.n_groups, LLAMUX_MAX_GROUPS);
    for (std::uint32_t i = 0; i < n_groups; i++) {
        if (snapshot.groups[i].signals.cgroup_id == cgroup_id) {
            return &snapshot.groups[i];
        }
    }
    return nullptr;
}

}  // namespace llamux
