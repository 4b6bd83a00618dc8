// SPDX-License-Identifier: GPL-2.0-only
//
// See knobs.hpp.
#include "kernel/knobs.hpp"

#include <cerrno>
#include <thread>

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

// systemd writes a group's files some time after it was told to. No error: what
// is read back tells.
void wait_until_written(const Cgroup& group, const Settings& settings) {
    constexpr std::chrono::milliseconds kPause{5};
    const auto deadline = std::chrono::steady_clock::now() + KernelKnobs::kWriteTimeout;
    for (const Setting& setting : settings) {
        for (;;) {
            const Result<std::string> text = group.read(setting.file);
            // io.weight: the default is its first line
            if (!text || same_setting(setting, {setting.file, text->substr(0, text->find('\n'))}) ||
                std::chrono::steady_clock::now() > deadline) {
                break;
            }
            std::this_thread::sleep_for(kPause);
        }
    }
}

// The writes that lead to @settings: a lower memory.high is reached in steps. Where
// what the group uses can not be read, at once.
Settings with_slope(const Cgroup& group, const Settings& settings) {
    constexpr llamux_action_kind kKind = LLAMUX_ACTION_MEMORY_HIGH;
    Settings steps;
    for (const Setting& setting : settings) {
        if (setting.file == "memory.high") {
            const Result<std::string> used = group.read("memory.current");
            const std::uint64_t limit = knob_number(kKind, {setting});
            for (const std::uint64_t step :
                 memory_high_slope(used ? knob_number(kKind, {{"", *used}}) : 0, limit)) {
                steps.push_back({setting.file, std::to_string(step)});
            }
        }
        steps.push_back(setting);
    }
    return steps;
}

// All but those that a child writes for us, which nobody could tell from others.
std::vector<std::string> watched_files(llamux_action_kind kind) {
    std::vector<std::string> files;
    for (const std::string_view file : knob_files(kind)) {
        if (!may_block(std::string(file))) {
            files.emplace_back(file);
        }
    }
    return files;
}

std::optional<Writing> newer(const std::optional<Writing>& a, const std::optional<Writing>& b) {
    return !a || (b && a->boot_ns < b->boot_ns) ? b : a;
}

bool is_of_cgroup(const KnobTarget& target) {
    return action_row(target.kind)->scope == LLAMUX_SCOPE_CGROUP;
}

}  // namespace

std::string KernelKnobs::unit_of(const KnobTarget& target) const {
    if (units_ == nullptr || !is_of_cgroup(target)) {
        return {};
    }
    const std::optional<UnitPlace> place = unit_place(target.cgroup_path);
    return place && place->is_own ? place->unit : std::string();
}

Result<std::string> KernelKnobs::keeper(const KnobTarget& target) const {
    if (units_ == nullptr || !is_of_cgroup(target)) {
        return std::string();
    }
    const std::optional<UnitPlace> place = unit_place(target.cgroup_path);
    if (!place) {
        return std::string("-.slice");
    }
    if (place->is_own) {
        return std::string();
    }
    const Result<bool> is_delegated = units_->delegates(place->unit);
    if (!is_delegated) {
        return is_delegated.error();
    }
    return *is_delegated ? std::string() : place->unit;
}

std::optional<Writing> KernelKnobs::last_writing(const KnobTarget& target) const {
    if (is_of_cgroup(target)) {
        return last_writing_of_group(target);
    }
    std::optional<Writing> last;
    if (!last_writing_) {
        return last;
    }
    for (const std::string_view file : knob_files(target.kind)) {
        last = newer(last, last_writing_(std::string(file)));
    }
    return last;
}

std::optional<Writing> KernelKnobs::last_writing_of_group(const KnobTarget& target) const {
    std::optional<Writing> last;
    if (watch_ == nullptr) {
        return last;
    }
    const Result<Cgroup> group = cgroups_.open(target.cgroup_path, target.cgroup_id);
    if (!group) {
        return last;
    }
    for (const std::string& file : watched_files(target.kind)) {
        if (!watch_->is_watching(*group, file)) {
            watch_->begin(*group, file, writers_for_us(target));
        }
        last = newer(last, watch_->last_writing(*group, file));
    }
    return last;
}

std::optional<Writing> KernelKnobs::last_writing_of_any() const {
    std::optional<Writing> last = watch_ == nullptr ? std::nullopt : watch_->last_writing();
    for (std::uint32_t i = 0; i < LLAMUX_N_ACTIONS; i++) {
        const KnobTarget system{static_cast<llamux_action_kind>(i), "", 0};
        if (!is_of_cgroup(system)) {
            last = newer(last, last_writing(system));
        }
    }
    return last;
}

// systemd writes the files of its units for whoever asks it to, and does not say
// for whom: there only values tell.
std::vector<pid_t> KernelKnobs::writers_for_us(const KnobTarget& target) const {
    constexpr pid_t kSystemd = 1;
    return unit_of(target).empty() ? std::vector<pid_t>{} : std::vector<pid_t>{kSystemd};
}

void KernelKnobs::watch(const KnobTarget& target, const Cgroup& group) const {
    if (watch_ == nullptr) {
        return;
    }
    for (const std::string& file : watched_files(target.kind)) {
        watch_->begin(group, file, writers_for_us(target));
    }
}

Result<Settings> KernelKnobs::read(const KnobTarget& target) const {
    const std::string unit = unit_of(target);
    Result<Settings> settings = read_files(target);
    if (unit.empty()) {
        return settings;
    }
    if (!settings) {
        return target.cgroup_id == 0 && means_gone(settings.error())
                   ? read_without_group(unit, target)
                   : settings;
    }
    for (Setting& setting : *settings) {
        if (const UnitProperty* property = unit_property(setting.file)) {
            Result<UnitValue> value = units_->read(unit, *property);
            if (!value) {
                return value.error();
            }
            setting.unit = *value;
        }
    }
    return settings;
}

Result<Settings> KernelKnobs::read_files(const KnobTarget& target) const {
    const auto files = knob_files(target.kind);
    Settings texts;
    if (is_of_cgroup(target)) {
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

Result<Settings> KernelKnobs::read_without_group(const std::string& unit,
                                                 const KnobTarget& target) const {
    Settings settings;
    for (const std::string_view file : knob_files(target.kind)) {
        const Result<UnitValue> value = units_->read(unit, *unit_property(file));
        if (!value) {
            return value.error();
        }
        settings.push_back({std::string(file), file_text(file, value->value), *value});
    }
    return settings;
}

Status KernelKnobs::write(const KnobTarget& target, const Settings& settings,
                          const std::function<void()>& between) const {
    const std::string unit = unit_of(target);
    if (!unit.empty() && target.kind != LLAMUX_ACTION_MEMORY_RECLAIM) {
        return write_unit(unit, target, settings, between);
    }
    const bool in_cgroup = is_of_cgroup(target);
    Result<Cgroup> group =
        in_cgroup ? cgroups_.open(target.cgroup_path, target.cgroup_id) : Result<Cgroup>(Error{});
    if (in_cgroup && !group) {
        return group.error();
    }
    if (in_cgroup) {
        watch(target, *group);
    }
    const Settings steps = in_cgroup ? with_slope(*group, settings) : settings;
    for (std::size_t i = 0; i < steps.size(); i++) {
        Status written = in_cgroup ? write_cgroup_file(*group, steps[i])
                                   : proc_.write_sysctl(steps[i].file, steps[i].value);
        if (!written) {
            return in_cgroup ? written.error().in(target.cgroup_path) : written.error();
        }
        if (between && i + 1 < steps.size()) {
            between();
        }
    }
    return {};
}

Status KernelKnobs::write_unit(const std::string& unit, const KnobTarget& target,
                               const Settings& settings,
                               const std::function<void()>& between) const {
    const Result<Cgroup> group = cgroups_.open(target.cgroup_path, target.cgroup_id);
    if (!group && !(target.cgroup_id == 0 && means_gone(group.error()))) {
        return group.error();
    }
    if (group) {
        watch(target, *group);
    }
    const Settings steps = group ? with_slope(*group, settings) : settings;
    for (std::size_t i = 0; i < steps.size(); i++) {
        UnitValue value = steps[i].unit.value_or(UnitValue{});
        if (!steps[i].unit) {
            const Result<std::uint64_t> wanted = unit_value(steps[i]);
            if (!wanted) {
                return wanted.error();
            }
            value = {*wanted, true};
        }
        Status written = units_->write(unit, *unit_property(steps[i].file), value);
        if (!written) {
            return written;
        }
        if (between && i + 1 < steps.size()) {
            between();
        }
    }
    if (group) {
        wait_until_written(*group, settings);
    }
    return {};
}

}  // namespace llamux
