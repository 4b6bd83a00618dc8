// SPDX-License-Identifier: GPL-2.0-only
//
// Reads and writes knobs: core/knob says what the texts mean, this file
// carries them to cgroup files and sysctls, or to another place that has knobs
// (a replay). Opens the target anew for each operation and checks its
// identity, so that a vanished or re-created group is never written.
#pragma once

#include <chrono>
#include <functional>

#include "core/knob.hpp"
#include "core/result.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/proc_fs.hpp"

namespace llamux {

class Knobs {
  public:
    virtual ~Knobs() = default;

    // The settings in force; empty for a write-only knob.
    virtual Result<Settings> read(const KnobTarget& target) const = 0;
    // Writes one after the other; stops at the first failure. @between is
    // called after each write but the last.
    virtual Status write(const KnobTarget& target, const Settings& settings,
                         const std::function<void()>& between = {}) const = 0;
};

// Those of this machine.
class KernelKnobs final : public Knobs {
  public:
    KernelKnobs(CgroupFs cgroups, ProcFs proc)
        : cgroups_(std::move(cgroups)), proc_(std::move(proc)) {}

    Result<Settings> read(const KnobTarget& target) const override;
    Status write(const KnobTarget& target, const Settings& settings,
                 const std::function<void()>& between = {}) const override;

    // Longest time one write may take.
    static constexpr std::chrono::milliseconds kWriteTimeout{2000};

  private:
    CgroupFs cgroups_;
    ProcFs proc_;
};

}  // namespace llamux
