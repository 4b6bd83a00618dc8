// SPDX-License-Identifier: GPL-2.0-only
//
// What the monitor shows, as a plain struct and as lines of text: what a
// terminal does with them is kernel/screen's business, so that all of it can
// be tested without one. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/change.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/json.hpp"
#include "llamux/telemetry.h"
#include "uapi/llamux.h"

namespace llamux {

struct MonitorPressure {
    std::string resource;                        // "cpu", "memory", "io"
    std::optional<std::uint32_t> some_permille;  // of the last window
    std::optional<std::uint32_t> full_permille;
};

struct MonitorGroup {
    std::string path;
    std::optional<std::uint32_t> cpu_permille;  // of all CPUs
    std::optional<std::uint32_t> runq_wait_p99_us;
    std::optional<std::uint32_t> cpu_some_permille;
    std::optional<std::uint32_t> memory_some_permille;
    std::optional<std::uint32_t> io_some_permille;
    std::optional<std::uint64_t> memory_bytes;
};

struct MonitorModel {
    std::string name;                     // empty: none
    double prompt_tokens_per_second = 0;  // 0: nothing was done yet
    double generated_tokens_per_second = 0;
    std::uint32_t n_queued = 0;
    std::uint32_t n_sessions = 0;
};

struct MonitorView {
    std::uint64_t wall_ns = 0;
    std::string machine;  // kernel, service
    std::string verdict;  // one line; empty: nobody judged
    bool is_healthy = false;
    std::vector<MonitorPressure> pressure;
    std::optional<std::uint32_t> runq_wait_p99_us;
    std::optional<std::uint32_t> block_io_p99_us;
    std::vector<MonitorGroup> groups;   // most CPU time first
    std::optional<MonitorModel> model;  // nullopt: no module
    std::vector<Change> changes;        // in force, newest first
    std::string message;                // what the last key did
};

// The part of a view that a snapshot tells.
void show_snapshot(const llamux_snapshot& snapshot, const CgroupTree& tree, MonitorView& view);

Json to_json(const MonitorView& view);

enum class Tone { kPlain, kBold, kDim, kGood, kBad, kChosen };
struct MonitorLine {
    std::string text;
    Tone tone = Tone::kPlain;
};

// Where the person is.
struct MonitorCursor {
    std::size_t chosen = 0;                  // of the changes
    std::optional<std::uint64_t> asked_for;  // undo this change? 0: all
};

// At most @rows lines of at most @columns characters; the last one is always
// the keys or the question. Wants 80 x 24; with less, groups go first.
std::vector<MonitorLine> monitor_lines(const MonitorView& view, const MonitorCursor& cursor,
                                       std::size_t columns, std::size_t rows);

}  // namespace llamux
