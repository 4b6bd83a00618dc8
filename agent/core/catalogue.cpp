// SPDX-License-Identifier: GPL-2.0-only
//
// Expands the X-macros of the contract headers; see catalogue.hpp.
#include "core/catalogue.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "llamux/telemetry.h"

namespace llamux {
namespace {

constexpr ActionRow kActions[] = {
#define LLAMUX_ROW(id, phrase, file, unit, min, max, step, tier, scope)                \
    {LLAMUX_ACTION_##id,  #id, phrase, file, unit, min, max, step, LLAMUX_TIER_##tier, \
     LLAMUX_SCOPE_##scope},
    LLAMUX_ACTIONS(LLAMUX_ROW)
#undef LLAMUX_ROW
};

struct CauseRow {
    std::string_view name;
    std::string_view words;
};

constexpr CauseRow kCauses[] = {
#define LLAMUX_ROW(id, words) {#id, words},
    LLAMUX_CAUSES(LLAMUX_ROW)
#undef LLAMUX_ROW
};

constexpr SourceRow kSources[] = {
    {"NONE", "nothing", "", ""},
    {"PSI_CPU_SOME_PERMILLE", "time in which tasks waited for a cpu", "permille", "cpu.pressure"},
    {"PSI_MEMORY_SOME_PERMILLE", "time in which tasks waited for memory", "permille",
     "memory.pressure"},
    {"PSI_MEMORY_FULL_PERMILLE", "time in which all tasks waited for memory", "permille",
     "memory.pressure"},
    {"PSI_IO_SOME_PERMILLE", "time in which tasks waited for the disk", "permille", "io.pressure"},
    {"PSI_IO_FULL_PERMILLE", "time in which all tasks waited for the disk", "permille",
     "io.pressure"},
    {"CPU_PERMILLE", "share of all cpus", "permille", "llamux_cgroups.run_ns"},
    {"RUNQ_WAIT_P99_US", "longest wait for a cpu (99 of 100)", "us",
     "llamux_cgroups.runq_wait_hist"},
    {"PREEMPTED_BY_OTHER_PER_SECOND", "times another group took the cpu", "/s",
     "llamux_cgroups.preempted_by_other"},
    {"MIGRATIONS_PER_SECOND", "moves between cpus", "/s", "llamux_cgroups.migrations"},
    {"THROTTLED_PERMILLE", "time held back by its cpu quota", "permille", "cpu.stat"},
    {"DIRECT_RECLAIM_US_PER_SECOND", "time in direct reclaim", "us/s",
     "llamux_cgroups.direct_reclaim_ns"},
    {"REFAULTS_PER_SECOND", "pages read back soon after they were dropped", "/s",
     "llamux_cgroups.refaults"},
    {"SWAP_PAGES_PER_SECOND", "pages moved to and from swap", "/s", "vmstat"},
    {"DIRTY_PERMILLE", "share of memory waiting to be written", "permille", "meminfo"},
    {"MEMORY_AVAILABLE_PERMILLE", "share of memory available", "permille", "meminfo"},
    {"MEMORY_GROWTH_KIB_PER_SECOND", "growth of its memory", "KiB/s", "memory.current"},
    {"MEMORY_HIGH_EVENTS_PER_SECOND", "stalls at its own memory limit", "/s", "memory.events"},
    {"BLOCK_IO_P99_US", "longest disk request (99 of 100)", "us", "llamux_system.block_io_hist"},
    {"FORKS_PER_SECOND", "tasks started", "/s", "llamux_cgroups.forks"},
    {"SOFTIRQ_PERMILLE", "time in soft interrupts", "permille", "llamux_system.softirq_ns"},
    {"CLOCK_PERMILLE", "present cpu clock of the highest", "permille", "cpufreq"},
    {"RUNQ_WAIT_PERMILLE", "time its tasks waited for a cpu rather than ran", "permille",
     "llamux_cgroups.runq_wait_ns"},
};
static_assert(std::size(kSources) == LLAMUX_N_SOURCES, "every source of the ABI has a row");

std::string format_bytes(std::uint64_t bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    double scaled = static_cast<double>(bytes);
    while (scaled >= 1024 && unit + 1 < std::size(kUnits)) {
        scaled /= 1024;
        unit++;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), scaled < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", scaled,
                  kUnits[unit]);
    return text.data();
}

}  // namespace

std::string ActionRow::knob() const {
    std::string dotted(file);
    if (scope == LLAMUX_SCOPE_SYSTEM) {
        std::replace(dotted.begin(), dotted.end(), '/', '.');
    }
    return dotted;
}

const ActionRow* action_row(std::uint32_t kind) {
    return kind < std::size(kActions) ? &kActions[kind] : nullptr;
}

const ActionRow* action_row_of_knob(std::string_view knob) {
    for (const ActionRow& row : kActions) {
        if (row.kind != LLAMUX_ACTION_NONE && row.knob() == knob) {
            return &row;
        }
    }
    return nullptr;
}

Resource resource_of(llamux_action_kind kind) {
    switch (kind) {
        case LLAMUX_ACTION_CPU_WEIGHT:
        case LLAMUX_ACTION_CPU_MAX:
        case LLAMUX_ACTION_CPU_IDLE:
            return Resource::kCpu;
        case LLAMUX_ACTION_MEMORY_HIGH:
        case LLAMUX_ACTION_MEMORY_LOW:
        case LLAMUX_ACTION_MEMORY_RECLAIM:
        case LLAMUX_ACTION_SWAPPINESS:
        case LLAMUX_ACTION_WATERMARK_SCALE:
            return Resource::kMemory;
        case LLAMUX_ACTION_IO_WEIGHT:
        case LLAMUX_ACTION_DIRTY_RATIO:
            return Resource::kIo;
        case LLAMUX_ACTION_NONE:
        case LLAMUX_N_ACTIONS:
            break;
    }
    return Resource::kNone;
}

Resource resource_of_cause(std::uint32_t cause) {
    switch (cause) {
        case LLAMUX_CAUSE_NONE:
            return Resource::kNone;
        case LLAMUX_CAUSE_MEMORY_LEAK:
        case LLAMUX_CAUSE_MEMORY_RECLAIM:
        case LLAMUX_CAUSE_MEMORY_THRASH:
        case LLAMUX_CAUSE_MEMORY_LIMIT:
        case LLAMUX_CAUSE_SWAP_THRASH:
            return Resource::kMemory;
        case LLAMUX_CAUSE_DIRTY_STALL:
        case LLAMUX_CAUSE_IO_CONTENTION:
            return Resource::kIo;
        default:
            return Resource::kCpu;
    }
}

std::string_view resource_name(Resource resource) {
    switch (resource) {
        case Resource::kCpu:
            return "cpu";
        case Resource::kMemory:
            return "memory";
        case Resource::kIo:
            return "io";
        case Resource::kNone:
            break;
    }
    return "none";
}

std::string_view cause_name(std::uint32_t cause) {
    return cause < std::size(kCauses) ? kCauses[cause].name : "UNKNOWN";
}

std::string_view cause_words(std::uint32_t cause) {
    return cause < std::size(kCauses) ? kCauses[cause].words : "a cause this agent does not know";
}

const SourceRow& source_row(std::uint32_t source) {
    return kSources[source < std::size(kSources) ? source : 0];
}

std::string_view direction_word(std::uint32_t direction) {
    switch (direction) {
        case LLAMUX_LOWER:
            return "lower";
        case LLAMUX_RAISE:
            return "raise";
        default:
            return "keep";
    }
}

std::string format_value(llamux_action_kind kind, std::uint64_t value) {
    if (value == LLAMUX_UNKNOWN) {
        return "unknown";
    }
    if (value == LLAMUX_NO_LIMIT) {
        return "max";
    }
    const ActionRow* row = action_row(kind);
    const std::string_view unit = row ? row->unit : std::string_view();
    if (unit == "bytes") {
        return format_bytes(value);
    }
    if (unit == "us") {
        return std::to_string(value) + " us";
    }
    if (unit == "percent") {
        return std::to_string(value) + " %";
    }
    return std::to_string(value);
}

}  // namespace llamux
