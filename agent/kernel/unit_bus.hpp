// SPDX-License-Identifier: GPL-2.0-only
//
// What the agent wants of systemd, so that tests can play its part.
#pragma once

#include <cstdint>
#include <string>

#include "core/knob.hpp"
#include "core/result.hpp"
#include "core/unit.hpp"

namespace llamux {

class UnitBus {
  public:
    virtual ~UnitBus() = default;

    // Whether the groups below the unit's own are someone else's to manage.
    virtual Result<bool> delegates(const std::string& unit) = 0;
    // ENOENT: systemd knows no such unit.
    virtual Result<UnitValue> read(const std::string& unit, const UnitProperty& property) = 0;
    // Until the next boot. One that was not @at_run_time leaves nothing behind
    // that would stand in the way of the unit's own files. The unit's group
    // follows a little later.
    virtual Status write(const std::string& unit, const UnitProperty& property,
                         const UnitValue& value) = 0;
};

}  // namespace llamux
