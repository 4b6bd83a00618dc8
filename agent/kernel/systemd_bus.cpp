// SPDX-License-Identifier: GPL-2.0-only
//
// See systemd_bus.hpp. SetUnitProperties with runtime=true writes a drop-in
// below /run/systemd/system.control (src/core/unit.c, unit_write_setting()),
// which comes before the unit's own files. After an undo it would hold the old
// value against what an administrator edits later; so it is removed, and
// systemd forgets it when it reads its files the next time.
#include "kernel/systemd_bus.hpp"

#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernel/files.hpp"

namespace llamux {
namespace {

constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr std::uint64_t kTimeoutUs = 2'000'000;

struct Unref {
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;

class BusError {
  public:
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error_); }

    sd_bus_error* get() { return &error_; }
    const char* text() const { return error_.message; }

  private:
    sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

}  // namespace

void SystemdBus::Close::operator()(sd_bus* bus) const {
    sd_bus_flush_close_unref(bus);
}

SystemdBus::SystemdBus(std::string run) : run_(std::move(run)) {}
SystemdBus::~SystemdBus() = default;

bool SystemdBus::is_here(const std::string& run) {
    return path_exists(run + "/systemd/system");
}

Status SystemdBus::connect() {
    if (bus_) {
        return {};
    }
    sd_bus* bus = nullptr;
    if (const int code = sd_bus_open_system(&bus); code < 0) {
        return errno_error(-code, "systemd can not be asked: no system bus (dbus)");
    }
    bus_.reset(bus);
    sd_bus_set_method_call_timeout(bus, kTimeoutUs);
    return {};
}

Error SystemdBus::failed(int code, const std::string& what, const char* message) {
    if (code == -ENOTCONN || code == -ECONNRESET || code == -EPIPE) {
        bus_.reset();
    }
    return Error{-code, what + ": " + (message ? message : std::strerror(-code))};
}

Result<std::string> SystemdBus::path_of(const std::string& unit) {
    if (Status connected = connect(); !connected) {
        return connected.error();
    }
    BusError error;
    sd_bus_message* raw = nullptr;
    int code = sd_bus_call_method(bus_.get(), kService, kManagerPath, kManager, "LoadUnit",
                                  error.get(), &raw, "s", unit.c_str());
    const Message reply(raw);
    const char* path = nullptr;
    if (code >= 0) {
        code = sd_bus_message_read(reply.get(), "o", &path);
    }
    if (code < 0) {
        return failed(code, unit, error.text());
    }
    char* state = nullptr;
    code = sd_bus_get_property_string(bus_.get(), kService, path, "org.freedesktop.systemd1.Unit",
                                      "LoadState", error.get(), &state);
    const std::unique_ptr<char, decltype(&::free)> owned(state, ::free);
    if (code < 0) {
        return failed(code, unit, error.text());
    }
    if (std::strcmp(state, "loaded") != 0) {
        return Error{ENOENT, unit + ": systemd has no such unit"};
    }
    return std::string(path);
}

Result<bool> SystemdBus::delegates(const std::string& unit) {
    if (unit.ends_with(".slice")) {
        return false;  // Delegate= is for services and scopes
    }
    const Result<std::string> path = path_of(unit);
    if (!path) {
        return path.error();
    }
    BusError error;
    int is_delegated = 0;
    const int code = sd_bus_get_property_trivial(bus_.get(), kService, path->c_str(),
                                                 unit_interface(unit).c_str(), "Delegate",
                                                 error.get(), 'b', &is_delegated);
    if (code < 0) {
        return failed(code, unit + " Delegate", error.text());
    }
    return is_delegated != 0;
}

Result<UnitValue> SystemdBus::read(const std::string& unit, const UnitProperty& property) {
    const Result<std::string> path = path_of(unit);
    if (!path) {
        return path.error();
    }
    BusError error;
    UnitValue value;
    const int code = sd_bus_get_property_trivial(
        bus_.get(), kService, path->c_str(), unit_interface(unit).c_str(),
        std::string(property.name).c_str(), error.get(), 't', &value.value);
    if (code < 0) {
        return failed(code, unit + " " + std::string(property.name), error.text());
    }
    value.at_run_time = path_exists(drop_in(unit, property));
    return value;
}

Status SystemdBus::write(const std::string& unit, const UnitProperty& property,
                         const UnitValue& value) {
    if (Status connected = connect(); !connected) {
        return connected.error();
    }
    constexpr int kRuntime = 1;
    BusError error;
    const int code = sd_bus_call_method(
        bus_.get(), kService, kManagerPath, kManager, "SetUnitProperties", error.get(), nullptr,
        "sba(sv)", unit.c_str(), kRuntime, 1, std::string(property.name).c_str(), "t", value.value);
    if (code < 0) {
        return failed(code, unit + " " + std::string(property.name), error.text());
    }
    if (!value.at_run_time && ::unlink(drop_in(unit, property).c_str()) == 0) {
        (void)::rmdir(drop_in_directory(unit).c_str());  // stays if others are in it
    }
    return {};
}

std::string SystemdBus::drop_in_directory(const std::string& unit) const {
    return run_ + "/systemd/system.control/" + unit + ".d";
}

std::string SystemdBus::drop_in(const std::string& unit, const UnitProperty& property) const {
    return drop_in_directory(unit) + "/50-" + std::string(property.setting) + ".conf";
}

}  // namespace llamux
