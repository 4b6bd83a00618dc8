// SPDX-License-Identifier: GPL-2.0-only
//
// The tables of include/llamux/actions.h and the evidence sources of the ABI
// as C++ values, with the words that reports print.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "llamux/actions.h"
#include "uapi/llamux.h"

namespace llamux {

struct ActionRow {
    llamux_action_kind kind;
    std::string_view name;    // "CPU_WEIGHT"
    std::string_view phrase;  // "cpu weight"
    std::string_view file;    // "cpu.weight", "vm/swappiness"
    std::string_view unit;
    std::uint64_t min;
    std::uint64_t max;
    std::uint32_t step_permille;  // 0: the row has its own rule
    llamux_tier tier;
    llamux_scope scope;

    // As the administrator writes it: "cpu.weight", "vm.swappiness".
    [[nodiscard]] std::string knob() const;
};

// nullptr: no such kind.
const ActionRow* action_row(std::uint32_t kind);
const ActionRow* action_row_of_knob(std::string_view knob);

// The resource of which at most one change is live at a time.
enum class Resource { kNone, kCpu, kMemory, kIo };
Resource resource_of(llamux_action_kind kind);
// What a cause is a shortage of.
Resource resource_of_cause(std::uint32_t cause);
std::string_view resource_name(Resource resource);

std::string_view cause_name(std::uint32_t cause);   // "CPU_CONTENTION"
std::string_view cause_words(std::uint32_t cause);  // "another group takes the cpu"

// How a source is named, counted and where it was read.
struct SourceRow {
    std::string_view name;    // "PSI_CPU_SOME_PERMILLE"
    std::string_view words;   // "share of time in which tasks waited for a cpu"
    std::string_view unit;    // "permille", "us", "/s", "us/s", "KiB/s"
    std::string_view origin;  // file or map
};
const SourceRow& source_row(std::uint32_t source);

std::string_view direction_word(std::uint32_t direction);  // keep, lower, raise

// A value in the unit of its action, for people: "200 MiB", "max", "20 %".
std::string format_value(llamux_action_kind kind, std::uint64_t value);

}  // namespace llamux
