// SPDX-License-Identifier: GPL-2.0-only
//
// Reads and writes knobs: core/knob says what the texts mean, this file
// carries them to cgroup files and sysctls and those of a systemd unit to
// systemd, or to another place that has knobs (a replay). Opens the target anew
// for each operation and checks its identity, so that a vanished or re-created
// group is never written.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "core/knob.hpp"
#include "core/result.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/cgroup_watch.hpp"
#include "kernel/proc_fs.hpp"
#include "kernel/unit_bus.hpp"

namespace llamux {

class Knobs {
  public:
    virtual ~Knobs() = default;

    // Who must not be interfered with: the unit that has the group and has not
    // delegated what is below it. Empty: the knob can be written.
    virtual Result<std::string> keeper(const KnobTarget&) const { return std::string(); }

    // The last one of any of the knob's files; nothing: none was seen. Of a sysctl
    // by whomever; of a group's file by another process, and since we wrote it or
    // first asked.
    virtual std::optional<Writing> last_writing(const KnobTarget&) const { return std::nullopt; }
    // Of all sysctls, and of all groups' files that are watched.
    virtual std::optional<Writing> last_writing_of_any() const { return std::nullopt; }

    // The settings in force; empty for a write-only knob. A target without a
    // cgroup id may be a unit that has no group at this moment.
    virtual Result<Settings> read(const KnobTarget& target) const = 0;
    // Writes one after the other; stops at the first failure. @between is
    // called after each write but the last.
    virtual Status write(const KnobTarget& target, const Settings& settings,
                         const std::function<void()>& between = {}) const = 0;
};

// Those of this machine.
class KernelKnobs final : public Knobs {
  public:
    using LastWriting = std::function<std::optional<Writing>(const std::string& sysctl)>;

    // @units is not owned and outlives this; nullptr: systemd does not run, and
    // every group's files are written. @last_writing may be empty: nobody
    // watches sysctls. @watch is not owned; nullptr: nobody watches groups.
    KernelKnobs(CgroupFs cgroups, ProcFs proc, UnitBus* units = nullptr,
                LastWriting last_writing = {}, CgroupWatch* watch = nullptr)
        : cgroups_(std::move(cgroups)),
          proc_(std::move(proc)),
          units_(units),
          last_writing_(std::move(last_writing)),
          watch_(watch) {}

    Result<std::string> keeper(const KnobTarget& target) const override;
    std::optional<Writing> last_writing(const KnobTarget& target) const override;
    std::optional<Writing> last_writing_of_any() const override;
    Result<Settings> read(const KnobTarget& target) const override;
    Status write(const KnobTarget& target, const Settings& settings,
                 const std::function<void()>& between = {}) const override;

    // Longest time one write may take.
    static constexpr std::chrono::milliseconds kWriteTimeout{2000};

  private:
    // The unit whose own group it is, and whose properties are its knobs.
    std::string unit_of(const KnobTarget& target) const;
    std::optional<Writing> last_writing_of_group(const KnobTarget& target) const;
    // Who besides this process may write the group's files on our behalf.
    std::vector<pid_t> writers_for_us(const KnobTarget& target) const;
    // From before our own write on.
    void watch(const KnobTarget& target, const Cgroup& group) const;
    Result<Settings> read_files(const KnobTarget& target) const;
    Result<Settings> read_without_group(const std::string& unit, const KnobTarget& target) const;
    Status write_unit(const std::string& unit, const KnobTarget& target, const Settings& settings,
                      const std::function<void()>& between) const;

    CgroupFs cgroups_;
    ProcFs proc_;
    UnitBus* units_;
    LastWriting last_writing_;
    CgroupWatch* watch_;
};

}  // namespace llamux
