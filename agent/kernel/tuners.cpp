// SPDX-License-Identifier: GPL-2.0-only
//
// See tuners.hpp. What each tuner writes was read in its source: tuned's
// profiles set vm.swappiness and the dirty limits; ananicy-cpp sets nice, the
// io class and cpu cgroups; power-profiles-daemon, TLP and bpftune write
// nothing of the catalogue. systemd-oomd only reads, but it kills for pressure
// that memory.high and memory.reclaim make. A sched_ext scheduler decides for
// itself what a weight means.
#include "kernel/tuners.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "kernel/files.hpp"

namespace llamux {
namespace {

bool is_of_system(const std::string& process, unsigned first_user_id) {
    struct stat attributes {};
    return ::stat(process.c_str(), &attributes) == 0 && attributes.st_uid < first_user_id;
}

void find_processes(const Roots& roots, unsigned first_user_id, std::vector<Tuner>& tuners) {
    const Result<std::vector<std::string>> names = list_directory(roots.proc);
    if (!names) {
        return;
    }
    for (const std::string& name : *names) {
        if (name.find_first_not_of("0123456789") != std::string::npos) {
            continue;
        }
        const std::string process = roots.proc + "/" + name;
        const Result<std::string> comm = read_text(process + "/comm");
        const auto found = std::find_if(tuners.begin(), tuners.end(), [&](const Tuner& one) {
            return comm && !one.comm.empty() && one.comm == *comm;
        });
        if (found != tuners.end() && is_of_system(process, first_user_id)) {
            found->is_here = true;
        }
    }
}

}  // namespace

std::vector<Tuner> known_tuners() {
    return {
        {.name = "tuned",
         .what = "static and dynamic profiles",
         .knobs = {LLAMUX_ACTION_SWAPPINESS, LLAMUX_ACTION_DIRTY_RATIO},
         .comm = "tuned"},
        {.name = "power-profiles-daemon",
         .what = "cpu and platform power profiles",
         .knobs = {},
         .comm = "power-profiles-"},
        {.name = "ananicy-cpp",
         .what = "nice, io class and cpu groups by program name",
         .knobs = {LLAMUX_ACTION_CPU_WEIGHT, LLAMUX_ACTION_CPU_MAX, LLAMUX_ACTION_CPU_IDLE,
                   LLAMUX_ACTION_IO_WEIGHT},
         .comm = "ananicy-cpp"},
        {.name = "bpftune", .what = "network settings", .knobs = {}, .comm = "bpftune"},
        {.name = "systemd-oomd",
         .what = "kills groups under memory pressure",
         .knobs = {LLAMUX_ACTION_MEMORY_HIGH, LLAMUX_ACTION_MEMORY_RECLAIM},
         .comm = "systemd-oomd"},
        // No daemon: a program that runs when the power source changes.
        {.name = "tlp", .what = "power saving", .knobs = {}},
        {.name = "sched_ext",
         .what = "a scheduler of its own",
         .knobs = {LLAMUX_ACTION_CPU_WEIGHT, LLAMUX_ACTION_CPU_IDLE}},
    };
}

std::vector<Tuner> find_tuners(const Roots& roots, unsigned first_user_id) {
    std::vector<Tuner> tuners = known_tuners();
    find_processes(roots, first_user_id, tuners);
    const Result<std::string> state = read_text(roots.sys + "/kernel/sched_ext/state");
    for (Tuner& tuner : tuners) {
        if (tuner.name == "tlp") {
            tuner.is_here = path_exists(roots.run + "/tlp");
        } else if (tuner.name == "sched_ext") {
            tuner.is_here = state && *state == "enabled";
        }
    }
    return tuners;
}

std::vector<Hold> holds_of(const std::vector<Tuner>& tuners) {
    std::vector<Hold> holds;
    for (const Tuner& tuner : tuners) {
        for (const llamux_action_kind kind : tuner.knobs) {
            if (tuner.is_here) {
                holds.push_back({HoldReason::kOtherTuner,
                                 {kind, "", 0},
                                 0,
                                 std::string(tuner.name),
                                 std::string(tuner.what)});
            }
        }
    }
    return holds;
}

}  // namespace llamux
