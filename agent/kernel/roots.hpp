// SPDX-License-Identifier: GPL-2.0-only
//
// Where the world is. The only place in the agent that spells these paths;
// everything else gets them injected, so that tests run on a temporary tree.
#pragma once

#include <string>

namespace llamux {

struct Roots {
    std::string cgroup;      // cgroup2 mount
    std::string proc;        // procfs mount
    std::string sys;         // sysfs mount
    std::string bpf_pin;     // directory of the pinned maps
    std::string sysctl_pin;  // of those that tell who writes sysctls
    std::string device;      // character device of the module
    std::string state;       // journal, lock, suggestions
    std::string config;      // configuration file
    std::string run;         // where programs leave that they run
    std::string data;        // model manifest and shipped models

    static Roots of_this_machine();
    // The same layout below a directory (tests).
    static Roots below(const std::string& directory);
};

}  // namespace llamux
