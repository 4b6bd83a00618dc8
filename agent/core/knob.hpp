// SPDX-License-Identifier: GPL-2.0-only
//
// What a knob is: which files it has, how their text is read as one number,
// which writes set it and which writes bring it back. Pure; the reading and
// writing is done by kernel/knobs. The traps live here:
//   - vm.dirty_*: setting a ratio zeroes its bytes twin and the other way
//     round, and 0 written to the bytes is refused. The four files are one
//     knob of two halves; each half is restored through the twin in force.
//   - cpu.idle: going back to 0 resets cpu.weight to 100, so that the weight
//     is part of what is restored.
//   - cpu.max keeps its period; io.weight is its "default" line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/catalogue.hpp"
#include "core/result.hpp"

namespace llamux {

// What systemd has for a control file of one of its units (core/unit).
struct UnitValue {
    std::uint64_t value = UINT64_MAX;  // of the property; UINT64_MAX: not set
    // It was set until the next boot by someone, not taken from the unit's files.
    bool at_run_time = false;
    bool operator==(const UnitValue&) const = default;
};

// One control file and its text, without the final newline.
struct Setting {
    std::string file;
    std::string value;
    std::optional<UnitValue> unit{};  // read from systemd; none: its unit's value is not known
    bool operator==(const Setting&) const = default;
};

// The writes, in order, that put a knob into a state.
using Settings = std::vector<Setting>;

struct KnobTarget {
    llamux_action_kind kind = LLAMUX_ACTION_NONE;
    std::string cgroup_path;      // "/system.slice/a.service"; empty: the system
    std::uint64_t cgroup_id = 0;  // inode of its directory; 0: the system
    bool operator==(const KnobTarget&) const = default;
};

// That someone wrote a sysctl, whatever the value.
struct Writing {
    std::uint64_t boot_ns = 0;
    std::int64_t pid = 0;
    std::uint32_t uid = 0;
    std::string command;  // empty: it had ended when it was looked at
};

// "sysctl (pid 312, uid 0)".
std::string writer_words(const Writing& writing);

// "/demo/hog cpu.weight", "vm.swappiness".
std::string knob_name(const KnobTarget& target);

// The files to read to know the knob's state. Empty: write-only knob.
std::vector<std::string_view> knob_files(llamux_action_kind kind);

// From the texts of knob_files(), in that order, to the writes that would put
// the knob back to this state.
Result<Settings> settings_in_force(llamux_action_kind kind, const Settings& texts);

// The knob as one number in the unit of its row; LLAMUX_UNKNOWN where the
// state has none (dirty limits given in bytes).
std::uint64_t knob_number(llamux_action_kind kind, const Settings& present);

// The writes that move the knob from @present to @value.
Settings settings_for(llamux_action_kind kind, std::uint64_t value, const Settings& present);

// May the old value be back for some seconds, to see whether the trouble is? Of
// shares of the CPU or the disk, which act at once and leave nothing behind.
bool may_return(llamux_action_kind kind);

// The limits on the way from the @used bytes of a group down to @limit, a twentieth
// of the use at a time: its tasks are slowed by how far they are above their limit.
// Empty: not worth it. @limit itself is not among them.
std::vector<std::uint64_t> memory_high_slope(std::uint64_t used, std::uint64_t limit);

// Is it a memory.high between both, as a write leaves it that is cut off on its way?
bool is_on_slope(llamux_action_kind kind, const Settings& old_settings,
                 const Settings& new_settings, const Settings& present);

// Whose value a knob has, given what we found before, what we wrote and what
// is there now. Half-written pairs are ours.
enum class Holder { kOld, kOurs, kSomeoneElse };
Holder holder_of(llamux_action_kind kind, const Settings& old_settings,
                 const Settings& new_settings, const Settings& present);

// Compares as the kernel understands it: numbers, "max", whole pages.
bool same_setting(const Setting& a, const Setting& b);

std::string to_text(const Settings& settings);  // "cpu.max=max 100000"

}  // namespace llamux
