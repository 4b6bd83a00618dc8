// SPDX-License-Identifier: GPL-2.0-only
//
// See sense.hpp.
#include "sense/sense.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernel/files.hpp"

namespace llamux {
namespace {

// What an administrator needs to get at the machine when all else is slow.
// Their ancestors are protected with them: slowing a slice slows all in it.
constexpr const char* kProtected[] = {
    "/init.scope",       "*/init.scope",        "*/ssh.service",
    "*/sshd.service",    "*/ssh@*.service",     "*/sshd@*.service",
    "*/session-*.scope", "*/systemd-*.service", "*/dbus.service",
};

bool matches(const std::string& path, const char* pattern) {
    return ::fnmatch(pattern, path.c_str(), 0) == 0;
}

bool matches_any(const std::string& path, const std::vector<std::string>& patterns) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches(path, pattern.c_str()); });
}

std::uint64_t number_or_unknown(const Result<std::string>& text) {
    return text ? parse_number(*text).value_or(LLAMUX_UNKNOWN) : LLAMUX_UNKNOWN;
}

std::uint64_t number_or_unknown(const Result<std::string>& table, std::string_view key) {
    return table ? find_number(*table, key).value_or(LLAMUX_UNKNOWN) : LLAMUX_UNKNOWN;
}

llamux_psi psi_or_unknown(const Result<std::string>& text) {
    return text ? parse_pressure(*text) : unknown_psi();
}

std::uint64_t kib_to_bytes(std::uint64_t kib) {
    return kib == LLAMUX_UNKNOWN ? kib : kib * 1024;
}

llamux_group_signals read_group(const Cgroup& group, const CgroupNode& node, std::uint32_t flags) {
    llamux_group_signals signals{};
    signals.cgroup_id = node.id;
    signals.parent_id = node.parent_id;
    signals.flags = flags;
    signals.psi.cpu = psi_or_unknown(group.read("cpu.pressure"));
    signals.psi.memory = psi_or_unknown(group.read("memory.pressure"));
    signals.psi.io = psi_or_unknown(group.read("io.pressure"));
    const Result<std::string> cpu_stat = group.read("cpu.stat");
    signals.throttled_us = number_or_unknown(cpu_stat, "throttled_usec");
    signals.throttled_count = number_or_unknown(cpu_stat, "nr_throttled");
    signals.periods_count = number_or_unknown(cpu_stat, "nr_periods");
    signals.memory_current_bytes = number_or_unknown(group.read("memory.current"));
    signals.memory_swap_bytes = number_or_unknown(group.read("memory.swap.current"));
    signals.memory_high_events = number_or_unknown(group.read("memory.events"), "high");
    signals.cpu_weight = number_or_unknown(group.read("cpu.weight"));
    signals.cpu_idle = number_or_unknown(group.read("cpu.idle"));
    signals.memory_low_bytes = number_or_unknown(group.read("memory.low"));
    signals.memory_high_bytes = number_or_unknown(group.read("memory.high"));
    signals.io_weight = number_or_unknown(group.read("io.weight"), "default");
    signals.cpu_max_quota_us = LLAMUX_UNKNOWN;
    signals.cpu_max_period_us = LLAMUX_UNKNOWN;
    if (const Result<std::string> cpu_max = group.read("cpu.max")) {
        const std::size_t gap = cpu_max->find(' ');
        if (gap != std::string::npos) {
            signals.cpu_max_quota_us = parse_number(*cpu_max).value_or(LLAMUX_UNKNOWN);
            signals.cpu_max_period_us =
                parse_number(std::string_view(*cpu_max).substr(gap + 1)).value_or(LLAMUX_UNKNOWN);
        }
    }
    return signals;
}

std::uint64_t sum_of_lines(const std::string& table, std::string_view prefix) {
    std::uint64_t sum = 0;
    bool found = false;
    std::string_view rest = table;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const std::size_t gap = line.find(' ');
        if (line.substr(0, prefix.size()) == prefix && gap != std::string_view::npos) {
            sum += parse_number(line.substr(gap + 1)).value_or(0);
            found = true;
        }
    }
    return found ? sum : LLAMUX_UNKNOWN;
}

}  // namespace

Sense::Sense(CgroupFs cgroups, ProcFs proc, GroupMarks marks)
    : cgroups_(std::move(cgroups)), proc_(std::move(proc)), marks_(std::move(marks)) {
    const Result<std::string> own = proc_.own_cgroup();
    own_path_ = own && *own != "/" ? *own : std::string();
}

Result<Sensed> Sense::read() {
    Result<CgroupTree> tree = cgroups_.walk();
    if (!tree) {
        return tree.error().in("cgroup v2");
    }
    Sensed sensed;
    sensed.tree = std::move(*tree);
    sensed.signals = std::make_shared<llamux_signals>();
    std::memset(sensed.signals.get(), 0, sizeof(llamux_signals));
    sensed.signals->size = sizeof(llamux_signals);
    read_system(sensed);

    const std::vector<std::uint32_t> flags = flags_of(sensed.tree);
    for (const std::size_t i : choose(sensed.tree, flags)) {
        const CgroupNode& node = sensed.tree.nodes[i];
        const Result<Cgroup> group = cgroups_.open(node.path, node.id);
        if (group) {  // else: gone since the walk
            sensed.signals->groups[sensed.signals->n_groups++] = read_group(*group, node, flags[i]);
        }
    }
    return sensed;
}

void Sense::read_system(Sensed& sensed) const {
    llamux_system_signals& system = sensed.signals->system;
    system.n_cpus = proc_.online_cpus();
    const Result<llamux_psi> cpu = proc_.pressure("cpu");
    const Result<llamux_psi> memory = proc_.pressure("memory");
    const Result<llamux_psi> io = proc_.pressure("io");
    sensed.has_pressure = cpu.ok();
    system.psi.cpu = cpu ? *cpu : unknown_psi();
    system.psi.memory = memory ? *memory : unknown_psi();
    system.psi.io = io ? *io : unknown_psi();

    const Result<std::string> meminfo = proc_.meminfo();
    system.memory_total_bytes = kib_to_bytes(number_or_unknown(meminfo, "MemTotal"));
    system.memory_available_bytes = kib_to_bytes(number_or_unknown(meminfo, "MemAvailable"));
    system.memory_dirty_bytes = kib_to_bytes(number_or_unknown(meminfo, "Dirty"));
    system.memory_writeback_bytes = kib_to_bytes(number_or_unknown(meminfo, "Writeback"));
    system.swap_total_bytes = kib_to_bytes(number_or_unknown(meminfo, "SwapTotal"));
    system.swap_free_bytes = kib_to_bytes(number_or_unknown(meminfo, "SwapFree"));
    const Result<std::string> vmstat = proc_.vmstat();
    system.swap_in_pages = number_or_unknown(vmstat, "pswpin");
    system.swap_out_pages = number_or_unknown(vmstat, "pswpout");
    system.allocstalls = vmstat ? sum_of_lines(*vmstat, "allocstall") : LLAMUX_UNKNOWN;
    system.dirty_throttle_us = LLAMUX_UNKNOWN;  // no file has it
    system.cpu_mhz_permille = proc_.cpu_clock_permille().value_or(LLAMUX_UNKNOWN);

    system.vm_swappiness = number_or_unknown(proc_.sysctl("vm/swappiness"));
    system.vm_dirty_background_ratio = number_or_unknown(proc_.sysctl("vm/dirty_background_ratio"));
    system.vm_dirty_ratio = number_or_unknown(proc_.sysctl("vm/dirty_ratio"));
    system.vm_dirty_background_bytes = number_or_unknown(proc_.sysctl("vm/dirty_background_bytes"));
    system.vm_dirty_bytes = number_or_unknown(proc_.sysctl("vm/dirty_bytes"));
    system.vm_watermark_scale_factor = number_or_unknown(proc_.sysctl("vm/watermark_scale_factor"));

    // io.weight is iocost's; BFQ reads io.bfq.weight, which is not in the
    // catalogue.
    const Result<std::string> cost = cgroups_.read_root("io.cost.qos");
    if (cost && cost->find("enable=1") != std::string::npos) {
        system.flags |= LLAMUX_SIGNAL_IO_WEIGHT_WORKS;
    }
    if (proc_.swap_is_fast()) {
        system.flags |= LLAMUX_SIGNAL_SWAP_FAST;
    }
    if (proc_.multi_gen_lru()) {
        system.flags |= LLAMUX_SIGNAL_MGLRU;
    }
}

std::vector<std::uint32_t> Sense::flags_of(const CgroupTree& tree) const {
    std::vector<std::uint32_t> flags(tree.nodes.size(), 0);
    std::unordered_map<std::uint64_t, std::size_t> index_of;
    for (std::size_t i = 0; i < tree.nodes.size(); i++) {
        const std::string& path = tree.nodes[i].path;
        index_of[tree.nodes[i].id] = i;
        const bool is_protected =
            std::any_of(std::begin(kProtected), std::end(kProtected),
                        [&](const char* pattern) { return matches(path, pattern); });
        if (is_protected || matches_any(path, marks_.protect)) {
            flags[i] |= LLAMUX_GROUP_PROTECTED;
        }
        if (!own_path_.empty() && path == own_path_) {
            flags[i] |= LLAMUX_GROUP_SELF;
        }
        if (matches_any(path, marks_.background)) {
            flags[i] |= LLAMUX_GROUP_BACKGROUND;
        }
        if (matches_any(path, marks_.latency)) {
            flags[i] |= LLAMUX_GROUP_LATENCY;
        }
    }
    // Children come after their parents, so one pass backwards reaches the top.
    for (std::size_t i = tree.nodes.size(); i-- > 0;) {
        const auto parent = index_of.find(tree.nodes[i].parent_id);
        if ((flags[i] & LLAMUX_GROUP_PROTECTED) && parent != index_of.end()) {
            flags[parent->second] |= LLAMUX_GROUP_PROTECTED;
        }
    }
    return flags;
}

std::vector<std::size_t> Sense::choose(const CgroupTree& tree,
                                       const std::vector<std::uint32_t>& flags) {
    std::vector<std::size_t> all(tree.nodes.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    if (all.size() <= LLAMUX_MAX_GROUPS) {
        last_usage_us_.clear();
        return all;
    }
    constexpr std::uint64_t kMiB = 1 << 20;
    std::vector<std::uint64_t> rank(all.size(), 0);
    std::unordered_map<std::uint64_t, std::uint64_t> usage_us;
    for (const std::size_t i : all) {
        const CgroupNode& node = tree.nodes[i];
        const Result<Cgroup> group = cgroups_.open(node.path, node.id);
        if (!group) {
            continue;
        }
        const Result<std::string> stat = group->read("cpu.stat");
        const std::uint64_t usage = stat ? find_number(*stat, "usage_usec").value_or(0) : 0;
        const auto last = last_usage_us_.find(node.id);
        const std::uint64_t used = last == last_usage_us_.end() ? 0 : usage - last->second;
        usage_us[node.id] = usage;
        const Result<std::string> memory = group->read("memory.current");
        const std::uint64_t bytes = memory ? parse_number(*memory).value_or(0) : 0;
        // A millisecond of CPU weighs as much as a MiB; what the
        // administrator marked always has a place.
        rank[i] = used / 1000 + bytes / kMiB;
        if (flags[i] & (LLAMUX_GROUP_BACKGROUND | LLAMUX_GROUP_LATENCY)) {
            rank[i] = UINT64_MAX;
        }
    }
    last_usage_us_ = std::move(usage_us);
    std::stable_sort(all.begin(), all.end(),
                     [&](std::size_t a, std::size_t b) { return rank[a] > rank[b]; });
    all.resize(LLAMUX_MAX_GROUPS);
    std::sort(all.begin(), all.end());
    return all;
}

}  // namespace llamux
