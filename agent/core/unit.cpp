// SPDX-License-Identifier: GPL-2.0-only
//
// See unit.hpp.
#include "core/unit.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace llamux {
namespace {

constexpr std::uint64_t kUsPerSecond = 1'000'000;
// CPUWeight=idle (src/core/cgroup.h, CGROUP_WEIGHT_IDLE; since systemd 252).
constexpr std::uint64_t kWeightIdle = 0;

struct Row {
    std::string_view file;
    UnitProperty property;
};

constexpr std::array<Row, 6> kRows = {{
    {"cpu.weight", {"CPUWeight", "CPUWeight", "100"}},
    {"cpu.idle", {"CPUWeight", "CPUWeight", "0"}},
    {"cpu.max", {"CPUQuotaPerSecUSec", "CPUQuota", "max 100000"}},
    {"memory.high", {"MemoryHigh", "MemoryHigh", "max"}},
    {"memory.low", {"MemoryLow", "MemoryLow", "0"}},
    {"io.weight", {"IOWeight", "IOWeight", "default 100"}},
}};

constexpr std::array<std::string_view, 6> kTypes = {"service", "scope", "slice",
                                                    "socket",  "mount", "swap"};

std::string_view type_of(std::string_view unit) {
    const std::size_t dot = unit.rfind('.');
    return dot == std::string_view::npos ? std::string_view() : unit.substr(dot + 1);
}

bool is_unit_name(std::string_view name) {
    return std::find(kTypes.begin(), kTypes.end(), type_of(name)) != kTypes.end();
}

// The first number of a text; "max" and "default" as the kernel writes them.
std::optional<std::uint64_t> first_number(std::string_view text) {
    constexpr std::string_view kDefault = "default ";
    if (text.starts_with(kDefault)) {
        text.remove_prefix(kDefault.size());
    }
    if (text.starts_with("max")) {
        return kUnitUnset;
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() ? std::optional(value) : std::nullopt;
}

// "QUOTA PERIOD": per second, rounded up, so that systemd, which rounds down,
// comes back to this quota.
Result<std::uint64_t> quota_per_second(const Setting& setting, std::uint64_t quota_us) {
    const std::size_t gap = setting.value.find(' ');
    const auto period_us = gap == std::string::npos
                               ? std::nullopt
                               : first_number(std::string_view(setting.value).substr(gap + 1));
    if (!period_us || *period_us == 0) {
        return Error{EINVAL, setting.file + " has no period: " + setting.value};
    }
    return (quota_us * kUsPerSecond + *period_us - 1) / *period_us;
}

}  // namespace

std::optional<UnitPlace> unit_place(std::string_view path) {
    std::optional<UnitPlace> place;
    while (!path.empty()) {
        path.remove_prefix(1);
        std::string_view name = path.substr(0, path.find('/'));
        path.remove_prefix(name.size());
        if (name.starts_with('_')) {  // cg_escape(): the name would be a control file's
            name.remove_prefix(1);
        }
        if (!is_unit_name(name)) {
            if (place) {
                place->is_own = false;
            }
            return place;
        }
        place = UnitPlace{std::string(name), true};
        if (type_of(name) != "slice") {
            place->is_own = path.empty();
            return place;
        }
    }
    return place;
}

std::string unit_interface(std::string_view unit) {
    std::string type(type_of(unit));
    if (!type.empty()) {
        type[0] = static_cast<char>(type[0] - 'a' + 'A');
    }
    return "org.freedesktop.systemd1." + type;
}

const UnitProperty* unit_property(std::string_view file) {
    const auto* const row =
        std::find_if(kRows.begin(), kRows.end(), [&](const Row& one) { return one.file == file; });
    return row == kRows.end() ? nullptr : &row->property;
}

Result<std::uint64_t> unit_value(const Setting& setting) {
    const auto number = first_number(setting.value);
    if (!number) {
        return Error{EINVAL, setting.file + " says '" + setting.value + "', which is no number"};
    }
    if (setting.file == "cpu.idle") {
        return *number == 0 ? kUnitUnset : kWeightIdle;
    }
    if (setting.file == "cpu.max" && *number != kUnitUnset) {
        return quota_per_second(setting, *number);
    }
    return *number;
}

std::string file_text(std::string_view file, std::uint64_t unit_value) {
    const UnitProperty* property = unit_property(file);
    const bool is_unset = unit_value == kUnitUnset;
    if (file == "cpu.idle") {
        return unit_value == kWeightIdle ? "1" : "0";
    }
    if (is_unset || (file == "cpu.weight" && unit_value == kWeightIdle)) {
        return std::string(property->untouched);
    }
    if (file == "cpu.max") {
        return std::to_string(unit_value / 10) + " 100000";
    }
    return (file == "io.weight" ? "default " : "") + std::to_string(unit_value);
}

std::string unit_assignment(std::string_view file, std::uint64_t unit_value) {
    std::string text = std::string(unit_property(file)->setting) + "=";
    if (unit_value == kUnitUnset) {
        return text + (file == "memory.high" ? "infinity" : "");
    }
    if (file == "cpu.max") {
        const std::string hundredths = std::to_string(unit_value / 100 % 100);
        return text + std::to_string(unit_value / 10000) + "." +
               (hundredths.size() < 2 ? "0" : "") + hundredths + "%";
    }
    if (unit_value == kWeightIdle && text == "CPUWeight=") {
        return text + "idle";
    }
    return text + std::to_string(unit_value);
}

}  // namespace llamux
