// SPDX-License-Identifier: GPL-2.0-only
//
// The BPF telemetry: puts programs and maps in place, pinned below a directory
// of a BPF file system, and hands out the maps' file descriptors. What is
// pinned goes on counting without the agent. Decides nothing and reads no
// counters (the module does).
//
// Layout of the directory, all made by ensure() and removed by unload():
//   llamux_cgroups, llamux_system   the maps of include/llamux/telemetry.h
//   llamux_meta                     says what the rest is; pinned last, so a
//                                   set without it is not whole
//   links/PROGRAM                   one for each attached program
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"
#include "kernel/bpf_probes.hpp"
#include "kernel/files.hpp"
#include "llamux/telemetry.h"

namespace llamux {

struct BpfOptions {
    std::string pin_directory = LLAMUX_BPFFS_DIR;
    std::string kernel_btf = "/sys/kernel/btf/vmlinux";
    std::vector<std::string> leave_out;  // names of optional probes not to use
};

class BpfSource {
  public:
    // Idempotent. What is pinned is used again if it is whole and comes from
    // this very build (reused()); counters survive a change of the programs as
    // long as the record layout is the same; else everything is made anew.
    // Optional probes that this kernel cannot have are left out: see probes().
    // On error nothing stays behind. Needs root, or CAP_BPF and CAP_PERFMON
    // and the right to write to the directory. Errors are one line: ENOTSUP: no
    // BTF or a required hook is missing; EPERM: names the capability; ENOTDIR:
    // no BPF file system.
    static Result<BpfSource> ensure(const BpfOptions& options);

    // Detaches and unpins everything. Fine if there is nothing.
    static Status unload(const std::string& pin_directory);

    // What this kernel can do, judged by its BTF, and by what it refused if the
    // telemetry runs already; changes nothing and needs no privileges.
    static Result<std::vector<Probe>> survey(const BpfOptions& options);

    int cgroups_fd() const { return cgroups_.get(); }
    int system_fd() const { return system_.get(); }
    bool reused() const { return reused_; }
    const std::vector<Probe>& probes() const { return probes_; }

  private:
    Fd cgroups_;
    Fd system_;
    bool reused_ = false;
    std::vector<Probe> probes_;
};

}  // namespace llamux
