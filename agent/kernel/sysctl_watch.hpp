// SPDX-License-Identifier: GPL-2.0-only
//
// Who writes the sysctls that the agent looks after: a BPF program on the root
// cgroup (bpf/sysctl.bpf.c), pinned, so that every llamux-agent sees the same
// and nothing is missed while none runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/knob.hpp"
#include "core/result.hpp"
#include "kernel/files.hpp"

namespace llamux {

class SysctlWatch {
  public:
    // Sees nothing.
    SysctlWatch() = default;

    // Idempotent: what is pinned is used again. Needs CAP_BPF and CAP_NET_ADMIN,
    // or CAP_SYS_ADMIN. The error says in one line why there is none.
    // @cgroup_root: of the tree whose processes are watched.
    static Result<SysctlWatch> ensure(const std::string& pin_directory,
                                      const std::string& cgroup_root);
    // What is pinned, if anything is.
    static SysctlWatch open(const std::string& pin_directory);
    static Status unload(const std::string& pin_directory);

    // @file: "vm/swappiness". Nothing: not written since it is watched.
    std::optional<Writing> last_writing(const std::string& file) const;
    bool is_watching() const { return map_.is_open(); }

  private:
    Fd map_;
};

}  // namespace llamux
