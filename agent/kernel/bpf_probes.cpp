// SPDX-License-Identifier: GPL-2.0-only
//
// See bpf_probes.hpp.

#include "kernel/bpf_probes.hpp"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace llamux {
namespace {

struct ProbeSpec {
    const char* name;
    bool required;
    bool any_of;  // the programs are for different kernels: the first that fits
    std::array<const char*, 2> programs;
    const char* missing;
};

constexpr bool kRequired = true;
constexpr bool kAnyOf = true;

constexpr ProbeSpec kProbes[] = {
    {"task birth", kRequired, false, {"llamux_newtask"}, "everything about tasks; forks"},
    {"wake-ups", kRequired, false, {"llamux_wakeup", "llamux_wakenew"}, "run-queue waits"},
    {"context switches",
     kRequired,
     false,
     {"llamux_switch"},
     "run time, switches, preemption, run-queue waits, major faults, idle time"},
    {"tick",
     false,
     kAnyOf,
     {"llamux_tick", "llamux_tick_old"},
     "run time of a task that never leaves its CPU, until it does"},
    {"migrations", false, false, {"llamux_migrate"}, "migrations"},
    {"throttling", false, false, {"llamux_throttle"}, "throttled_count (cpu.stat has it, too)"},
    {"softirq", false, false, {"llamux_sirq_in", "llamux_sirq_out"}, "softirq time"},
    {"direct reclaim",
     false,
     false,
     {"llamux_dr_begin", "llamux_dr_end"},
     "direct reclaim when the machine is short of memory"},
    {"cgroup reclaim",
     false,
     false,
     {"llamux_mr_begin", "llamux_mr_end"},
     "direct reclaim at a cgroup's own limit"},
    {"kswapd", false, false, {"llamux_ksw_wake", "llamux_ksw_slp"}, "kswapd wakes and time"},
    {"compaction", false, false, {"llamux_cmp_beg", "llamux_cmp_end"}, "compaction"},
    {"refaults", false, false, {"llamux_refault"}, "refaults of file and anonymous pages"},
    {"oom", false, false, {"llamux_oom"}, "OOM victims"},
    {"block I/O", false, false, {"llamux_blk_iss", "llamux_blk_done"}, "block I/O"},
};

// @section: "tp_btf/NAME", "fentry/NAME" or "fexit/NAME".
bool has_hook(const btf* types, std::string_view section) {
    const std::size_t slash = section.find('/');
    const std::string name(section.substr(slash + 1));
    if (section.substr(0, slash) == "tp_btf") {
        return btf__find_by_name_kind(types, ("btf_trace_" + name).c_str(), BTF_KIND_TYPEDEF) > 0;
    }
    return btf__find_by_name_kind(types, name.c_str(), BTF_KIND_FUNC) > 0;
}

ProbePlan plan_probe(const ProbeSpec& spec, const bpf_object* object, const btf* types) {
    ProbePlan plan{{spec.name, spec.required, true, "", spec.missing}, {}};
    std::string absent;
    for (const char* name : spec.programs) {
        if (!name) {
            continue;
        }
        const bpf_program* program = bpf_object__find_program_by_name(object, name);
        const char* section = bpf_program__section_name(program);
        if (!has_hook(types, section)) {
            absent += (absent.empty() ? "" : ", ") + std::string(section);
        } else if (!spec.any_of || plan.programs.empty()) {
            plan.programs.emplace_back(name);
        }
    }
    if (plan.programs.empty() || (!absent.empty() && !spec.any_of)) {
        plan.give_up("this kernel has no " + absent);
    }
    return plan;
}

}  // namespace

std::string Probe::line() const {
    if (active) {
        return "probe " + name + ": active";
    }
    return "probe " + name + ": not active (" + reason + "); missing: " + missing;
}

void ProbePlan::give_up(std::string reason) {
    probe.active = false;
    probe.reason = std::move(reason);
    programs.clear();
}

std::vector<ProbePlan> plan_probes(const bpf_object* object, const btf* types,
                                   const std::vector<std::string>& leave_out) {
    std::vector<ProbePlan> plans;
    for (const ProbeSpec& spec : kProbes) {
        ProbePlan plan = plan_probe(spec, object, types);
        const bool unwanted =
            std::find(leave_out.begin(), leave_out.end(), spec.name) != leave_out.end();
        if (plan.probe.active && unwanted && !spec.required) {
            plan.give_up("switched off");
        }
        plans.push_back(std::move(plan));
    }
    return plans;
}

}  // namespace llamux
