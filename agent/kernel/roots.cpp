// SPDX-License-Identifier: GPL-2.0-only
//
// See roots.hpp.
#include "kernel/roots.hpp"

#include "llamux/sysctl.h"
#include "llamux/telemetry.h"
#include "uapi/llamux.h"

namespace llamux {

Roots Roots::of_this_machine() {
    return Roots{
        .cgroup = "/sys/fs/cgroup",
        .proc = "/proc",
        .sys = "/sys",
        .bpf_pin = LLAMUX_BPFFS_DIR,
        .sysctl_pin = LLAMUX_SYSCTL_BPFFS_DIR,
        .device = LLAMUX_DEVICE,
        .state = "/var/lib/llamux",
        .config = "/etc/llamux/agent.json",
        .run = "/run",
        .data = LLAMUX_DATA_DIR,  // where the build installs them
    };
}

Roots Roots::below(const std::string& directory) {
    return Roots{
        .cgroup = directory + "/cgroup",
        .proc = directory + "/proc",
        .sys = directory + "/sys",
        .bpf_pin = directory + "/bpf",
        .sysctl_pin = directory + "/bpf-sysctl",
        .device = directory + "/llamux",
        .state = directory + "/state",
        .config = directory + "/agent.json",
        .run = directory + "/run",
        .data = directory + "/share",
    };
}

}  // namespace llamux
