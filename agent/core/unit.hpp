// SPDX-License-Identifier: GPL-2.0-only
//
// systemd's units and their cgroups: which unit a group belongs to, and which
// of a unit's properties is behind which control file. Pure;
// kernel/systemd_bus talks to systemd. The names are those of
// systemd.resource-control(5) and org.freedesktop.systemd1(5).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/knob.hpp"
#include "core/result.hpp"

namespace llamux {

// The value of a property that is not set in any unit file.
constexpr std::uint64_t kUnitUnset = UINT64_MAX;

struct UnitPlace {
    std::string unit;    // the lowest one that has the group: "a.service"
    bool is_own = true;  // the unit's own group, not one that was made below it
};

// @path: "/system.slice/a.service/sub". Nothing: a group that no unit has.
std::optional<UnitPlace> unit_place(std::string_view path);

// "org.freedesktop.systemd1.Service" for "a.service".
std::string unit_interface(std::string_view unit);

struct UnitProperty {
    std::string_view name;       // "CPUQuotaPerSecUSec", on the bus
    std::string_view setting;    // "CPUQuota", in unit files and names of drop-ins
    std::string_view untouched;  // text of the control file when it is not set
};

// nullptr: no property is behind the file; it does something, but keeps nothing.
const UnitProperty* unit_property(std::string_view file);

// What the property must be for the file to say this.
Result<std::uint64_t> unit_value(const Setting& setting);

// The other way: the file's text, as far as the property tells it.
std::string file_text(std::string_view file, std::uint64_t unit_value);

// "CPUQuota=40%", as `systemctl set-property` takes it.
std::string unit_assignment(std::string_view file, std::uint64_t unit_value);

}  // namespace llamux
