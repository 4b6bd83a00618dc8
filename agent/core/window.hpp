// SPDX-License-Identifier: GPL-2.0-only
//
// One measured window: the guard metrics of the system and of each group, as
// rates, taken from a snapshot. For every metric less is better.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "llamux/telemetry.h"

namespace llamux {

// How the system's value is made of its groups' values: parts that add up; time
// that several groups may spend at once; or neither.
enum class Sum { kParts, kTime, kNone };

// X(Id, words, unit, floor, sum): differences below the floor are noise.
#define LLAMUX_METRICS(X)                                                                \
    X(RunqWaitPermille, "waiting for a cpu instead of running", "permille", 10, kNone)   \
    X(PsiCpuSome, "time in which tasks waited for a cpu", "permille", 10, kTime)         \
    X(PsiMemorySome, "time in which tasks waited for memory", "permille", 10, kTime)     \
    X(PsiMemoryFull, "time in which all tasks waited for memory", "permille", 10, kTime) \
    X(PsiIoSome, "time in which tasks waited for the disk", "permille", 10, kTime)       \
    X(PsiIoFull, "time in which all tasks waited for the disk", "permille", 10, kTime)   \
    X(ThrottledPermille, "time held back by its cpu quota", "permille", 10, kNone)       \
    X(DirectReclaimUs, "time in direct reclaim", "us/s", 1000, kParts)                   \
    X(Refaults, "pages read back", "pages/s", 20, kParts)                                \
    X(MemoryHighEvents, "stalls at its own memory limit", "/s", 1, kNone)                \
    X(MemoryGrowthKib, "memory that it took", "KiB/s", 1024, kNone)                      \
    X(BlockIoMeanUs, "mean time of a disk request", "us", 200, kNone)

enum class Metric {
#define LLAMUX_METRIC_ENUM(id, words, unit, floor, sum) k##id,
    LLAMUX_METRICS(LLAMUX_METRIC_ENUM)
#undef LLAMUX_METRIC_ENUM
        kCount
};
constexpr std::size_t kMetrics = static_cast<std::size_t>(Metric::kCount);

struct MetricRow {
    std::string_view name;
    std::string_view words;
    std::string_view unit;
    double floor;
    Sum sum;
};
const MetricRow& metric_row(Metric metric);

struct Readings {
    std::uint64_t cgroup_id = 0;  // 0: the system
    std::uint64_t parent_id = 0;  // 0: none, or child of the root
    std::array<std::optional<double>, kMetrics> values{};

    std::optional<double> of(Metric metric) const {
        return values[static_cast<std::size_t>(metric)];
    }
};

struct Window {
    std::uint64_t start_ns = 0;
    std::uint64_t length_ns = 0;  // 0: a first reading, nothing to measure
    Readings system;
    std::vector<Readings> groups;

    // nullptr: the group was not seen in this window. 0: the system.
    const Readings* find(std::uint64_t cgroup_id) const;
};

// `before`: the snapshot before it, for what only two of them tell; may be nullptr.
Window window_of(const llamux_snapshot& snapshot, const llamux_snapshot* before);

// The group of a snapshot, or nullptr.
const llamux_group_snapshot* find_group(const llamux_snapshot& snapshot, std::uint64_t cgroup_id);

}  // namespace llamux
