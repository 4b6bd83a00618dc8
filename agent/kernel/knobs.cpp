// SPDX-License-Identifier: GPL-2.0-only
//
// See knobs.hpp.
#include "kernel/knobs.hpp"

#include <cerrno>

namespace llamux {
namespace {

// These reclaim in the writer before they return.
bool may_block(const std::string& file) {
    return file == "memory.high" || file == "memory.reclaim";
}

Status write_cgroup_file(const Cgroup& group, const Setting& setting) {
    if (!may_block(setting.file)) {
        return group.write(setting.file, setting.value);
    }
    Status written = group.write_bounded(setting.file, setting.value, KernelKnobs::kWriteTimeout);
    if (written.ok()) {
        return written;
    }
    // memory.high is in force before the reclaim that we cut short; the
    // read-back will tell. memory.reclaim gave less than it was asked for,
    // which is normal (EAGAIN), and what it did can not be taken back.
    const int code = written.error().code;
    if (code == ETIMEDOUT || (setting.file == "memory.reclaim" && code == EAGAIN)) {
        return {};
    }
    return written;
}

}  // namespace

Result<Settings> KernelKnobs::read(const KnobTarget& target) const {
    const ActionRow* row = action_row(target.kind);
    const auto files = knob_files(target.kind);
    Settings texts;
    if (row->scope == LLAMUX_SCOPE_CGROUP) {
        Result<Cgroup> group = cgroups_.open(target.cgroup_path, target.cgroup_id);
        if (!group) {
            return group.error();
        }
        for (const std::string_view file : files) {
            Result<std::string> text = group->read(std::string(file));
            if (!text) {
                return text.error().in(target.cgroup_path);
            }
            texts.push_back({std::string(file), std::move(*text)});
        }
    } else {
        for (const std::string_view file : files) {
            Result<std::string> text = proc_.sysctl(std::string(file));
            if (!text) {
                return text.error();
            }
            texts.push_back({std::string(file), std::move(*text)});
        }
    }
    if (texts.empty()) {
        return texts;
    }
    return settings_in_force(target.kind, texts);
}

Status KernelKnobs::write(const KnobTarget& target, const Settings& settings,
                          const std::function<void()>& between) const {
    const ActionRow* row = action_row(target.kind);
    const bool in_cgroup = row->scope == LLAMUX_SCOPE_CGROUP;
    Result<Cgroup> group =
        in_cgroup ? cgroups_.open(target.cgroup_path, target.cgroup_id) : Result<Cgroup>(Error{});
    if (in_cgroup && !group) {
        return group.error();
    }
    for (std::size_t i = 0; i < settings.size(); i++) {
        Status written = in_cgroup ? write_cgroup_file(*group, settings[i])
                                   : proc_.write_sysctl(settings[i].file, settings[i].value);
        if (!written) {
            return in_cgroup ? written.error().in(target.cgroup_path) : written.error();
        }
        if (between && i + 1 < settings.size()) {
            between();
        }
    }
    return {};
}

}  // namespace llamux
