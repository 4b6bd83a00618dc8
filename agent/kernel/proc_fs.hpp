// SPDX-License-Identifier: GPL-2.0-only
//
// What procfs and sysfs say: pressure, memory, swap, sysctls, processes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/change.hpp"
#include "core/result.hpp"
#include "kernel/roots.hpp"
#include "llamux/telemetry.h"

namespace llamux {

// One pressure file's text; missing lines are LLAMUX_UNKNOWN.
llamux_psi parse_pressure(std::string_view text);
llamux_psi unknown_psi();

class ProcFs {
  public:
    explicit ProcFs(const Roots& roots) : proc_(roots.proc), sys_(roots.sys) {}

    // @resource: cpu, memory, io. ENOENT or EOPNOTSUPP: PSI is off.
    Result<llamux_psi> pressure(const std::string& resource) const;
    Result<std::string> meminfo() const;
    Result<std::string> vmstat() const;
    Result<std::string> sysctl(const std::string& file) const;  // "vm/swappiness"
    Status write_sysctl(const std::string& file, std::string_view text) const;

    Result<std::string> boot_id() const;
    std::string kernel_release() const;  // empty: unknown
    std::uint32_t online_cpus() const;   // 0: unknown
    // Swap exists and is zram, or zswap is on.
    bool swap_is_fast() const;
    bool multi_gen_lru() const;
    std::optional<std::uint64_t> cpu_clock_permille() const;

    Owner this_process() const;
    Owner process(std::int64_t pid) const;  // start 0: it is not there
    bool is_alive(const Owner& owner) const;
    // "/system.slice/x.service" of this process, in the cgroup2 hierarchy.
    Result<std::string> own_cgroup() const { return cgroup_of("self"); }
    // @process: a PID, or "self". ENOENT: no such process.
    Result<std::string> cgroup_of(const std::string& process) const;
    std::uint64_t effective_capabilities() const;

  private:
    std::string proc_;
    std::string sys_;
};

}  // namespace llamux
