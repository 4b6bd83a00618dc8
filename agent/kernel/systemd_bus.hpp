// SPDX-License-Identifier: GPL-2.0-only
//
// systemd over D-Bus, by libsystemd's sd-bus: properties of units, set as
// `systemctl set-property --runtime` sets them. systemd is the only one that
// writes the cgroups of its units.
#pragma once

#include <memory>
#include <string>

#include "kernel/unit_bus.hpp"

struct sd_bus;

namespace llamux {

// Not shared between threads. Connects at the first call, and again after the
// connection was lost.
class SystemdBus final : public UnitBus {
  public:
    // @run: "/run", where systemd keeps what is set until the next boot.
    explicit SystemdBus(std::string run);
    ~SystemdBus() override;

    // Whether systemd is this machine's process 1 (sd_booted(3)).
    static bool is_here(const std::string& run);

    Result<bool> delegates(const std::string& unit) override;
    Result<UnitValue> read(const std::string& unit, const UnitProperty& property) override;
    Status write(const std::string& unit, const UnitProperty& property,
                 const UnitValue& value) override;

  private:
    struct Close {
        void operator()(sd_bus* bus) const;
    };

    Status connect();
    // Notes whether the connection is of use for the next call.
    Error failed(int code, const std::string& what, const char* message);
    Result<std::string> path_of(const std::string& unit);
    std::string drop_in_directory(const std::string& unit) const;
    std::string drop_in(const std::string& unit, const UnitProperty& property) const;

    std::string run_;
    std::unique_ptr<sd_bus, Close> bus_;
};

}  // namespace llamux
