// SPDX-License-Identifier: GPL-2.0-only
//
// Meaning of control file texts; see knob.hpp for the traps.
#include "core/knob.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "llamux/telemetry.h"

namespace llamux {
namespace {

// The kernel keeps memory limits in whole pages, rounded down (x86-64: 4 KiB).
constexpr std::uint64_t kPageBytes = 4096;

// What the kernel gives cpu.weight when cpu.idle goes back to 0.
constexpr std::string_view kWeightAfterIdle = "100";

constexpr std::string_view kDirtyFiles[] = {"vm/dirty_background_ratio", "vm/dirty_ratio",
                                            "vm/dirty_background_bytes", "vm/dirty_bytes"};

std::string_view first_word(std::string_view text) {
    return text.substr(0, text.find_first_of(" \t\n"));
}

std::string_view after_first_word(std::string_view text) {
    const std::size_t gap = text.find_first_of(" \t\n");
    if (gap == std::string_view::npos) {
        return {};
    }
    text.remove_prefix(gap);
    const std::size_t next = text.find_first_not_of(" \t\n");
    return next == std::string_view::npos ? std::string_view() : text.substr(next);
}

std::optional<std::uint64_t> number_of(std::string_view word) {
    if (word == "max") {
        return LLAMUX_NO_LIMIT;
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) {
        return std::nullopt;
    }
    return value;
}

std::string number_text(std::uint64_t value) {
    return value == LLAMUX_NO_LIMIT ? "max" : std::to_string(value);
}

Error unreadable(const Setting& setting) {
    return Error{0, setting.file + " says '" + setting.value + "', which is no number"};
}

// io.weight has a line per device besides its default; only the default is ours.
Result<Settings> io_weight_in_force(const Setting& text) {
    std::string_view rest = text.value;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        if (first_word(line) == "default") {
            if (!number_of(first_word(after_first_word(line)))) {
                return unreadable(text);
            }
            return Settings{{text.file, std::string(line)}};
        }
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    return Error{0, text.file + " has no default line"};
}

Result<Settings> dirty_in_force(const Settings& texts) {
    Settings settings;
    for (std::size_t half = 0; half < 2; half++) {
        const Setting& ratio = texts[half];
        const Setting& bytes = texts[half + 2];
        const auto in_bytes = number_of(first_word(bytes.value));
        if (!in_bytes) {
            return unreadable(bytes);
        }
        if (!number_of(first_word(ratio.value))) {
            return unreadable(ratio);
        }
        settings.push_back(*in_bytes != 0 ? bytes : ratio);
    }
    return settings;
}

bool is_page_counted(std::string_view file) {
    return file == "memory.high" || file == "memory.low";
}

}  // namespace

std::string writer_words(const Writing& writing) {
    const std::string pid = "(pid " + std::to_string(writing.pid);
    return writing.command.empty()
               ? "a program that has ended " + pid + ")"
               : writing.command + " " + pid + ", uid " + std::to_string(writing.uid) + ")";
}

std::string knob_name(const KnobTarget& target) {
    const ActionRow* row = action_row(target.kind);
    const std::string knob = row ? row->knob() : "?";
    return target.cgroup_path.empty() ? knob : target.cgroup_path + " " + knob;
}

std::vector<std::string_view> knob_files(llamux_action_kind kind) {
    switch (kind) {
        case LLAMUX_ACTION_DIRTY_RATIO:
            return {std::begin(kDirtyFiles), std::end(kDirtyFiles)};
        case LLAMUX_ACTION_CPU_IDLE:
            return {"cpu.idle", "cpu.weight"};
        case LLAMUX_ACTION_MEMORY_RECLAIM:
            return {};
        default: {
            const ActionRow* row = action_row(kind);
            if (!row || row->file.empty()) {
                return {};
            }
            return {row->file};
        }
    }
}

Result<Settings> settings_in_force(llamux_action_kind kind, const Settings& texts) {
    if (texts.size() != knob_files(kind).size()) {
        return Error{0, "not all files of the knob were read"};
    }
    if (kind == LLAMUX_ACTION_DIRTY_RATIO) {
        return dirty_in_force(texts);
    }
    if (kind == LLAMUX_ACTION_IO_WEIGHT) {
        return io_weight_in_force(texts[0]);
    }
    for (const Setting& text : texts) {
        if (!number_of(first_word(text.value))) {
            return unreadable(text);
        }
    }
    return texts;
}

std::uint64_t knob_number(llamux_action_kind kind, const Settings& present) {
    if (present.empty()) {
        return LLAMUX_UNKNOWN;
    }
    std::string_view word = first_word(present[0].value);
    if (kind == LLAMUX_ACTION_DIRTY_RATIO) {
        if (present.size() != 2 || present[1].file != kDirtyFiles[1]) {
            return LLAMUX_UNKNOWN;
        }
        word = first_word(present[1].value);
    } else if (kind == LLAMUX_ACTION_IO_WEIGHT) {
        word = first_word(after_first_word(present[0].value));
    }
    return number_of(word).value_or(LLAMUX_UNKNOWN);
}

Settings settings_for(llamux_action_kind kind, std::uint64_t value, const Settings& present) {
    const ActionRow* row = action_row(kind);
    const std::string file(row->file);
    switch (kind) {
        case LLAMUX_ACTION_CPU_MAX: {
            const std::string_view period =
                present.empty() ? std::string_view() : after_first_word(present[0].value);
            return {
                {file, number_text(value) + " " + std::string(period.empty() ? "100000" : period)}};
        }
        case LLAMUX_ACTION_IO_WEIGHT:
            return {{file, "default " + number_text(value)}};
        case LLAMUX_ACTION_DIRTY_RATIO: {
            // Half of the hard limit, as the kernel's own default has it.
            const std::uint64_t background = std::clamp<std::uint64_t>(value / 2, 2, 10);
            return {{std::string(kDirtyFiles[0]), number_text(background)},
                    {std::string(kDirtyFiles[1]), number_text(value)}};
        }
        default:
            return {{file, number_text(value)}};
    }
}

bool same_setting(const Setting& a, const Setting& b) {
    if (a.file != b.file) {
        return false;
    }
    std::string_view rest_a = a.value;
    std::string_view rest_b = b.value;
    while (!rest_a.empty() || !rest_b.empty()) {
        const std::string_view word_a = first_word(rest_a);
        const std::string_view word_b = first_word(rest_b);
        const auto number_a = number_of(word_a);
        const auto number_b = number_of(word_b);
        if (number_a.has_value() != number_b.has_value()) {
            return false;
        }
        if (!number_a && word_a != word_b) {
            return false;
        }
        if (number_a && *number_a != *number_b) {
            const bool one_is_max = *number_a == LLAMUX_NO_LIMIT || *number_b == LLAMUX_NO_LIMIT;
            if (one_is_max || !is_page_counted(a.file) ||
                *number_a / kPageBytes != *number_b / kPageBytes) {
                return false;
            }
        }
        rest_a = after_first_word(rest_a);
        rest_b = after_first_word(rest_b);
    }
    return true;
}

Holder holder_of(llamux_action_kind kind, const Settings& old_settings,
                 const Settings& new_settings, const Settings& present) {
    const auto is_at = [&](const Settings& wanted, std::size_t i) {
        return i < wanted.size() && i < present.size() && same_setting(wanted[i], present[i]);
    };
    bool all_old = present.size() == old_settings.size();
    bool all_new = true;
    for (std::size_t i = 0; i < old_settings.size(); i++) {
        all_old = all_old && is_at(old_settings, i);
    }
    if (all_old) {
        return Holder::kOld;
    }
    for (std::size_t i = 0; i < new_settings.size(); i++) {
        all_new = all_new && is_at(new_settings, i);
    }
    if (all_new && !new_settings.empty()) {
        return Holder::kOurs;
    }
    if (kind == LLAMUX_ACTION_CPU_IDLE) {
        // An undo cut off between its two writes: idle is back, the weight is
        // what the kernel reset it to.
        const bool reset =
            is_at(old_settings, 0) && present.size() == 2 && present[1].value == kWeightAfterIdle;
        return reset ? Holder::kOurs : Holder::kSomeoneElse;
    }
    for (std::size_t i = 0; i < new_settings.size(); i++) {
        if (!is_at(new_settings, i) && !is_at(old_settings, i)) {
            return Holder::kSomeoneElse;
        }
    }
    return new_settings.size() > 1 ? Holder::kOurs : Holder::kSomeoneElse;
}

bool may_return(llamux_action_kind kind) {
    switch (kind) {
        case LLAMUX_ACTION_CPU_WEIGHT:
        case LLAMUX_ACTION_CPU_MAX:
        case LLAMUX_ACTION_CPU_IDLE:
        case LLAMUX_ACTION_IO_WEIGHT:
            return true;
        default:
            return false;
    }
}

std::vector<std::uint64_t> memory_high_slope(std::uint64_t used, std::uint64_t limit) {
    constexpr std::size_t kMost = 20;
    std::vector<std::uint64_t> slope;
    for (std::uint64_t next = used - used / 20; next > limit && slope.size() < kMost;
         next -= used / 20) {
        slope.push_back(next);
    }
    return slope;
}

bool is_on_slope(llamux_action_kind kind, const Settings& old_settings,
                 const Settings& new_settings, const Settings& present) {
    if (kind != LLAMUX_ACTION_MEMORY_HIGH) {
        return false;
    }
    const std::uint64_t now = knob_number(kind, present);
    const auto [low, high] =
        std::minmax({knob_number(kind, old_settings), knob_number(kind, new_settings)});
    return now > low && now < high;
}

std::string to_text(const Settings& settings) {
    std::string text;
    for (const Setting& setting : settings) {
        text += (text.empty() ? "" : ", ") + setting.file + "=" + setting.value;
    }
    return text;
}

}  // namespace llamux
