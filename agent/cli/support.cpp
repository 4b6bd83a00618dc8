// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent support: what this machine can and cannot do, and why.
#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "cli/consult.hpp"
#include "kernel/terminal.hpp"
#include "kernel/tuners.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

struct Item {
    std::string what;
    bool available = false;
    std::string why;  // what it is for, or why it is not there
};

void add_telemetry(const Globals& globals, std::vector<Item>& items) {
    BpfOptions options;
    options.pin_directory = globals.roots.bpf_pin;
    options.kernel_btf = globals.roots.sys + "/kernel/btf/vmlinux";
    const Result<std::vector<Probe>> probes = BpfSource::survey(options);
    if (!probes) {
        items.push_back({"BPF telemetry", false, probes.error().message});
        return;
    }
    for (const Probe& probe : *probes) {
        items.push_back({"probe " + probe.name, probe.active,
                         probe.active ? "" : probe.reason + "; missing: " + probe.missing});
    }
}

void add_module(const Globals& globals, std::vector<Item>& items) {
    const Result<std::unique_ptr<Device>> device = LlamuxDevice::open(globals.roots.device);
    if (!device) {
        items.push_back({"module", false, device.error().message});
        return;
    }
    items.push_back({"module", true, "ABI and telemetry schema match"});
    const Result<llamux_model_info> model = (*device)->model_info();
    items.push_back({"model", model.ok(),
                     model ? fmt::format("{}, {}", printable(model->name), printable(model->isa))
                           : model.error().message});
}

std::string_view mode_word(KnobMode mode) {
    switch (mode) {
        case KnobMode::kOff:
            return "switched off";
        case KnobMode::kAdvise:
            return "advice only";
        case KnobMode::kApply:
            break;
    }
    return "may be applied";
}

// A knob counts as present when at least one group, or the system, has it.
void add_knobs(const Service& service, const llamux_signals& signals, std::vector<Item>& items) {
    const llamux_system_signals& system = signals.system;
    const auto any = [&](__u64 llamux_group_signals::*field) {
        for (std::uint32_t i = 0; i < signals.n_groups; ++i) {
            if (signals.groups[i].*field != LLAMUX_UNKNOWN) {
                return true;
            }
        }
        return false;
    };
    const auto add = [&](llamux_action_kind kind, bool present, std::string_view lacking) {
        const KnobMode mode = service.config().policy.knobs[kind];
        items.push_back({"knob " + action_row(kind)->knob(), present,
                         std::string(present ? mode_word(mode) : lacking)});
    };
    const bool io = (system.flags & LLAMUX_SIGNAL_IO_WEIGHT_WORKS) != 0;
    add(LLAMUX_ACTION_CPU_WEIGHT, any(&llamux_group_signals::cpu_weight),
        "no group has the cpu controller");
    add(LLAMUX_ACTION_CPU_MAX, any(&llamux_group_signals::cpu_max_quota_us),
        "no group has the cpu controller");
    add(LLAMUX_ACTION_CPU_IDLE, any(&llamux_group_signals::cpu_idle),
        "no group has the cpu controller");
    add(LLAMUX_ACTION_MEMORY_HIGH, any(&llamux_group_signals::memory_high_bytes),
        "no group has the memory controller");
    add(LLAMUX_ACTION_MEMORY_LOW, any(&llamux_group_signals::memory_low_bytes),
        "no group has the memory controller");
    add(LLAMUX_ACTION_MEMORY_RECLAIM, any(&llamux_group_signals::memory_current_bytes),
        "no group has the memory controller");
    add(LLAMUX_ACTION_IO_WEIGHT, io && any(&llamux_group_signals::io_weight),
        io ? "no group has the io controller"
           : "it would have no effect: neither iocost nor BFQ is in force");
    add(LLAMUX_ACTION_SWAPPINESS, system.vm_swappiness != LLAMUX_UNKNOWN, "not readable");
    add(LLAMUX_ACTION_DIRTY_RATIO, system.vm_dirty_ratio != LLAMUX_UNKNOWN, "not readable");
    add(LLAMUX_ACTION_WATERMARK_SCALE, system.vm_watermark_scale_factor != LLAMUX_UNKNOWN,
        "not readable");
}

// One item for each that runs, with what is left to it.
void add_tuners(const Roots& roots, std::vector<Item>& items) {
    std::string known;
    bool is_any_here = false;
    for (const Tuner& tuner : find_tuners(roots)) {
        known += (known.empty() ? "" : ", ") + std::string(tuner.name);
        if (!tuner.is_here) {
            continue;
        }
        is_any_here = true;
        std::string knobs;
        for (const llamux_action_kind kind : tuner.knobs) {
            knobs += (knobs.empty() ? "" : ", ") + action_row(kind)->knob();
        }
        items.push_back(
            {"tuner " + std::string(tuner.name), true,
             fmt::format("{}; {}", tuner.what,
                         knobs.empty() ? "no knob in common" : "left to it: " + knobs)});
    }
    if (!is_any_here) {
        items.push_back({"other tuners", true, "none runs of " + known});
    }
}

int support(const Globals& globals) {
    Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    std::vector<Item> items;
    const std::vector<std::string> missing = missing_capabilities((*service)->proc());
    items.push_back({"permissions", missing.empty(),
                     missing.empty() ? "" : fmt::format("missing: {}", fmt::join(missing, " "))});
    add_module(globals, items);
    add_telemetry(globals, items);
    if (service_is_running(globals.roots.state)) {
        const bool watched = SysctlWatch::open(globals.roots.sysctl_pin).is_watching();
        items.push_back({"writers of sysctls", watched,
                         watched ? "" : "not seen, only what they are set to; see the log"});
    }
    const Result<Sensed> sensed = (*service)->sense().read();
    if (!sensed) {
        items.push_back({"cgroup v2", false, sensed.error().message});
    } else {
        items.push_back({"cgroup v2", true, fmt::format("{} groups", sensed->tree.nodes.size())});
        items.push_back({"pressure (PSI)", sensed->has_pressure,
                         sensed->has_pressure ? "" : "off: boot with psi=1"});
        add_knobs(**service, *sensed->signals, items);
    }
    add_tuners(globals.roots, items);
    bool everything = true;
    Json list = Json::array();
    const Style style(wants_colour());
    for (const Item& item : items) {
        everything = everything && item.available;
        if (globals.json) {
            list.push_back(
                Json{{"what", item.what}, {"available", item.available}, {"why", item.why}});
        } else {
            const std::string mark = item.available ? style.good("yes") : style.bad("no ");
            std::printf("%s  %-28s %s\n", mark.c_str(), item.what.c_str(),
                        printable(item.why).c_str());
        }
    }
    if (globals.json) {
        print_json(Json{{"support", list}});
    }
    return everything ? kExitHealthy : kExitProblem;
}

}  // namespace

void add_support(CLI::App& app, Globals& globals) {
    CLI::App* command =
        app.add_subcommand("support", "What this machine can and cannot do, and why");
    command->callback([&globals] { globals.exit_status = support(globals); });
}

}  // namespace llamux
