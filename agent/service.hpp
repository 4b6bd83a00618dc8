// SPDX-License-Identifier: GPL-2.0-only
//
// Puts the real adapters together into what the loop needs. Used by `run` and
// by every command that measures or writes (apply, rollback).
#pragma once

#include <memory>
#include <string>

#include "config.hpp"
#include "core/hold.hpp"
#include "core/result.hpp"
#include "kernel/audit_log.hpp"
#include "kernel/bpf_source.hpp"
#include "kernel/process.hpp"
#include "kernel/roots.hpp"
#include "kernel/sysctl_watch.hpp"
#include "loop.hpp"

namespace llamux {

// Owns every adapter of one process. Neither copied nor moved: the parts
// refer to each other.
class Service {
  public:
    static Result<std::unique_ptr<Service>> make(const Roots& roots, Config config,
                                                 StepListener listener);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    // Loads BPF telemetry, or uses what is pinned. The error says why there is
    // none; the loop then works from pressure files alone.
    Status start_telemetry();
    // Unloads what is pinned, whoever loaded it; also of start_watch().
    Status stop_telemetry();
    // Notes who writes sysctls, and files of groups once they were changed. Without it
    // a writing shows only by its value.
    Status start_watch();
    const BpfSource* telemetry() const { return telemetry_.get(); }

    // A session with the maps bound and, if configured, the model loaded.
    Result<std::unique_ptr<Device>> open_device();

    Loop make_loop();

    const Config& config() const { return config_; }
    const Journal& journal() const { return *journal_; }
    const Knobs& knobs() const { return knobs_; }
    const SuggestionStore& suggestions() const { return store_; }
    const ExperienceFile& experience() const { return experience_; }
    Sense& sense() { return sense_; }
    Clock& clock() { return clock_; }
    const ProcFs& proc() const { return proc_; }
    const CgroupFs& cgroups() const { return cgroups_; }
    // From the next look on; what is loaded or running stays as it is.
    void reconfigure(const Config& config);
    // As of now, as a line of the audit log; and into that.
    Json record_of(const Event& event);
    Status audit(const Json& record);
    // Knobs that are left alone, as of the journal, the configuration and the
    // other tuners that run.
    std::vector<Hold> holds(const LockedJournal& journal) const;
    bool is_alive(const Owner& owner) const { return proc_.is_alive(owner); }

  private:
    Service(const Roots& roots, Config config, StepListener listener, std::string boot_id);

    Roots roots_;
    Config config_;
    StepListener listener_;
    SystemClock clock_;
    ProcFs proc_;
    CgroupFs cgroups_;
    SysctlWatch watch_;
    std::unique_ptr<UnitBus> units_;  // none: systemd does not run
    CgroupWatch cgroup_watch_;
    KernelKnobs knobs_;
    Sense sense_;
    SuggestionStore store_;
    ExperienceFile experience_;
    AuditLog audit_;
    std::unique_ptr<Journal> journal_;
    std::unique_ptr<BpfSource> telemetry_;
};

}  // namespace llamux
