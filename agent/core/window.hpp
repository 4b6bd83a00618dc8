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

// X(Id, words, unit, floor): differences below the floor are noise.
#define LLAMUX_METRICS(X)                                                         \
    X(RunqWaitMeanUs, "mean wait for a cpu", "us", 20)                            \
    X(PsiCpuSome, "time in which tasks waited for a cpu", "permille", 10)         \
    X(PsiMemorySome, "time in which tasks waited for memory", "permille", 10)     \
    X(PsiMemoryFull, "time in which all tasks waited for memory", "permille", 10) \
    X(PsiIoSome, "time in which tasks waited for the disk", "permille", 10)       \
    X(PsiIoFull, "time in which all tasks waited for the disk", "permille", 10)   \
    X(ThrottledPermille, "time held back by its cpu quota", "permille", 10)       \
    X(DirectReclaimUs, "time in direct reclaim", "us/s", 1000)                    \
    X(Refaults, "pages read back", "pages/s", 20)                                 \
    X(SwapPages, "pages swapped", "pages/s", 20)                                  \
    X(MemoryHighEvents, "stalls at its own memory limit", "/s", 1)                \
    X(BlockIoMeanUs, "mean time of a disk request", "us", 200)

enum class Metric {
#define LLAMUX_METRIC_ENUM(id, words, unit, floor) k##id,
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

Window window_of(const llamux_snapshot& snapshot);

// The group of a snapshot, or nullptr.
const llamux_group_snapshot* find_group(const llamux_snapshot& snapshot, std::uint64_t cgroup_id);

}  // namespace llamux
