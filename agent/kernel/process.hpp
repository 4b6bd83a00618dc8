// SPDX-License-Identifier: GPL-2.0-only
//
// This process: its clock, signals, service manager, priority, capabilities.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/files.hpp"
#include "kernel/proc_fs.hpp"

namespace llamux {

class SystemClock final : public Clock {
  public:
    std::uint64_t boot_ns() override;
    std::uint64_t wall_ns() override;
};

// SIGTERM, SIGINT and SIGHUP wake a file descriptor. They are not blocked, so
// that they also interrupt a long wait for the model (EINTR). One per process.
enum class HangUp { kStops, kReloads };
class StopSignals {
  public:
    static Result<StopSignals> catch_all(HangUp meaning);
    // The signal to stop that came within the time or before, else 0. Returns
    // early when it is to reload.
    int wait(std::chrono::milliseconds timeout);
    // Whether it was asked since the last call.
    bool take_reload();
    int fd() const { return fd_.get(); }  // readable once one came

  private:
    explicit StopSignals(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

// Held for as long as the service runs; EWOULDBLOCK: another one does.
Result<Fd> claim_service(const std::string& state_directory);
bool service_is_running(const std::string& state_directory);

// The service manager; does nothing where there is none.
void notify_service_manager(const std::string& state);  // "READY=1"
void notify_reloading();                                // until the next READY=1
// Half the watchdog's time, or 0 without one.
std::chrono::milliseconds watchdog_interval();
bool started_by_systemd();

// Which of the capabilities the service needs are missing, by name.
std::vector<std::string> missing_capabilities(const ProcFs& proc);
// Gives up, for good, all that is not needed once the telemetry is loaded: this
// process keeps CAP_SYS_ADMIN and CAP_DAC_OVERRIDE, of those it had, and nothing
// that it starts gets more.
Status drop_capabilities();
// For the record: "root", or "root (sudo by jane)".
std::string who_asks();
double cpu_seconds();  // used by this process
Status set_nice(int nice);
// Moves this process into a group of its own, unless systemd made one.
Result<std::string> enter_own_cgroup(const std::string& cgroup_root, const ProcFs& proc);

}  // namespace llamux
