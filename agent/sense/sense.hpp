// SPDX-License-Identifier: GPL-2.0-only
//
// Reads what only files tell (pressure, limits, present knob values) into the
// struct that the kernel merges with the BPF maps. Marks the groups that must
// not be tightened. Measures nothing itself and decides nothing.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/limits.hpp"
#include "core/result.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/proc_fs.hpp"
#include "llamux/telemetry.h"

namespace llamux {

struct Sensed {
    std::shared_ptr<llamux_signals> signals;
    CgroupTree tree;            // names for reports, siblings for the policy
    bool has_pressure = false;  // PSI is on
};

class Sense {
  public:
    Sense(CgroupFs cgroups, ProcFs proc, GroupMarks marks);

    // Fails only where there is no cgroup v2 tree; any other missing file
    // gives LLAMUX_UNKNOWN.
    Result<Sensed> read();

    // From the next reading on.
    void set_marks(GroupMarks marks) { marks_ = std::move(marks); }

    // LLAMUX_GROUP_* of each node, in the tree's order.
    std::vector<std::uint32_t> flags_of(const CgroupTree& tree) const;

  private:
    void read_system(Sensed& sensed) const;
    // Indices of the nodes to report, at most LLAMUX_MAX_GROUPS: where there
    // are more, those that used most CPU since the last call and most memory.
    std::vector<std::size_t> choose(const CgroupTree& tree,
                                    const std::vector<std::uint32_t>& flags);

    CgroupFs cgroups_;
    ProcFs proc_;
    GroupMarks marks_;
    std::string own_path_;
    std::unordered_map<std::uint64_t, std::uint64_t> last_usage_us_;
};

}  // namespace llamux
