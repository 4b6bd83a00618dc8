// SPDX-License-Identifier: GPL-2.0-only
//
// See service.hpp.
#include "service.hpp"

#include <cerrno>

#include "audit.hpp"
#include "kernel/systemd_bus.hpp"
#include "kernel/tuners.hpp"

namespace llamux {

Service::Service(const Roots& roots, Config config, StepListener listener, std::string boot_id)
    : roots_(roots),
      config_(std::move(config)),
      listener_(std::move(listener)),
      proc_(roots),
      cgroups_(roots.cgroup),
      watch_(SysctlWatch::open(roots.sysctl_pin)),
      units_(SystemdBus::is_here(roots.run) ? std::make_unique<SystemdBus>(roots.run) : nullptr),
      cgroup_watch_(roots.proc, clock_),
      knobs_(
          cgroups_, proc_, units_.get(),
          [this](const std::string& sysctl) { return watch_.last_writing(sysctl); },
          &cgroup_watch_),
      sense_(cgroups_, proc_, config_.groups),
      store_(roots.state),
      experience_(roots.state),
      audit_(roots.state),
      journal_(std::make_unique<Journal>(
          roots.state, JournalWriter{std::move(boot_id), proc_.this_process()}, clock_)) {}

Result<std::unique_ptr<Service>> Service::make(const Roots& roots, Config config,
                                               StepListener listener) {
    Result<std::string> boot_id = ProcFs(roots).boot_id();
    if (!boot_id) {
        return boot_id.error().in("which boot this is");
    }
    return std::unique_ptr<Service>(
        new Service(roots, std::move(config), std::move(listener), std::move(*boot_id)));
}

Status Service::start_telemetry() {
    BpfOptions options;
    options.pin_directory = roots_.bpf_pin;
    options.kernel_btf = roots_.sys + "/kernel/btf/vmlinux";
    Result<BpfSource> source = BpfSource::ensure(options);
    if (!source) {
        return source.error();
    }
    telemetry_ = std::make_unique<BpfSource>(std::move(*source));
    return {};
}

Status Service::stop_telemetry() {
    telemetry_.reset();
    watch_ = SysctlWatch();
    const Status unwatched = SysctlWatch::unload(roots_.sysctl_pin);
    const Status unloaded = BpfSource::unload(roots_.bpf_pin);
    return unloaded ? unwatched : unloaded;
}

Status Service::start_watch() {
    const Status of_groups = cgroup_watch_.open();
    Result<SysctlWatch> watch = SysctlWatch::ensure(roots_.sysctl_pin, roots_.cgroup);
    if (!watch) {
        return watch.error();
    }
    watch_ = std::move(*watch);
    return of_groups;
}

Result<std::unique_ptr<Device>> Service::open_device() {
    Result<std::unique_ptr<Device>> device = LlamuxDevice::open(roots_.device);
    if (!device) {
        return device;
    }
    if (telemetry_) {
        Status bound = (*device)->bind_maps(telemetry_->cgroups_fd(), telemetry_->system_fd());
        if (!bound) {
            return bound.error();
        }
    }
    if (!config_.model.empty()) {
        const Result<llamux_model_info> model = (*device)->model_info();
        if (!model && model.error().code == ENODATA) {
            if (Status loaded = (*device)->load_model(config_.model, LLAMUX_TEMPLATE_BY_FILE);
                !loaded) {
                return loaded.error();
            }
        }
    }
    return device;
}

std::vector<Hold> Service::holds(const LockedJournal& journal) const {
    std::vector<Hold> holds =
        holds_of(journal.entries(), journal.changes(), journal.writer().boot_id,
                 config_.policy.quarantine_after_failures);
    const std::vector<Hold> of_tuners = holds_of(find_tuners(roots_));
    holds.insert(holds.end(), of_tuners.begin(), of_tuners.end());
    return holds;
}

void Service::reconfigure(const Config& config) {
    config_ = config;
    sense_.set_marks(config.groups);
}

Json Service::record_of(const Event& event) {
    return audit_record(event, journal_->writer(), clock_);
}

Status Service::audit(const Json& record) {
    return audit_.append(record);
}

Loop Service::make_loop() {
    LoopParts parts{
        .sense = [this] { return sense_.read(); },
        .knobs = knobs_,
        .journal = *journal_,
        .store = store_,
        .experience = experience_,
        .clock = clock_,
        .open_device = [this] { return open_device(); },
        .is_alive = [this](const Owner& owner) { return proc_.is_alive(owner); },
        .listener = listener_,
        .other_tuners = [this] { return holds_of(find_tuners(roots_)); },
    };
    return Loop(std::move(parts), config_);
}

}  // namespace llamux
