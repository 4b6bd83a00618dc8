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

// A process name is at most 15 bytes.
struct KnownProcess {
    std::string_view comm;
    Tuner tuner;
};

std::vector<KnownProcess> known_processes() {
    return {
        {"tuned",
         {"tuned",
          "static and dynamic profiles",
          {LLAMUX_ACTION_SWAPPINESS, LLAMUX_ACTION_DIRTY_RATIO}}},
        {"power-profiles-", {"power-profiles-daemon", "cpu and platform power profiles", {}}},
        {"ananicy-cpp",
         {"ananicy-cpp",
          "nice, io class and cpu groups by program name",
          {LLAMUX_ACTION_CPU_WEIGHT, LLAMUX_ACTION_CPU_MAX, LLAMUX_ACTION_CPU_IDLE,
           LLAMUX_ACTION_IO_WEIGHT}}},
        {"bpftune", {"bpftune", "network settings", {}}},
        {"systemd-oomd",
         {"systemd-oomd",
          "kills groups under memory pressure",
          {LLAMUX_ACTION_MEMORY_HIGH, LLAMUX_ACTION_MEMORY_RECLAIM}}},
    };
}

bool is_of_system(const std::string& process, unsigned first_user_id) {
    struct stat attributes {};
    return ::stat(process.c_str(), &attributes) == 0 && attributes.st_uid < first_user_id;
}

void find_processes(const Roots& roots, unsigned first_user_id, std::vector<KnownProcess>& known) {
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
        const auto found = std::find_if(known.begin(), known.end(), [&](const KnownProcess& one) {
            return comm && one.comm == *comm;
        });
        if (found != known.end() && is_of_system(process, first_user_id)) {
            found->tuner.is_here = true;
        }
    }
}

}  // namespace

std::vector<Tuner> find_tuners(const Roots& roots, unsigned first_user_id) {
    std::vector<KnownProcess> known = known_processes();
    find_processes(roots, first_user_id, known);
    std::vector<Tuner> tuners;
    for (KnownProcess& one : known) {
        tuners.push_back(std::move(one.tuner));
    }
    // No daemon: a program that runs when the power source changes.
    tuners.push_back({"tlp", "power saving", {}, path_exists(roots.run + "/tlp")});
    const Result<std::string> state = read_text(roots.sys + "/kernel/sched_ext/state");
    tuners.push_back({"sched_ext",
                      "a scheduler of its own",
                      {LLAMUX_ACTION_CPU_WEIGHT, LLAMUX_ACTION_CPU_IDLE},
                      state && *state == "enabled"});
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
