// SPDX-License-Identifier: GPL-2.0-only
//
// The policy's word on a change that a person asks for, for tests of what comes
// after it: only the policy makes Actions.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "validate/policy.hpp"

namespace llamux {

// A window of a second with one group, of which nothing else is known.
inline llamux_snapshot snapshot_of_group(std::uint64_t cgroup_id) {
    llamux_snapshot snapshot;
    std::memset(&snapshot, 0, sizeof(snapshot));
    snapshot.window_ns = kNsPerSecond;
    snapshot.n_groups = 1;
    snapshot.groups[0].signals.cgroup_id = cgroup_id;
    return snapshot;
}

// With an empty journal, and limits as they are without a configuration.
inline Decision decide_for_a_person(const Candidate& candidate, const llamux_snapshot& snapshot,
                                    const Settings& present, std::uint64_t now_boot_ns,
                                    const std::string& keeper = {}) {
    const std::vector<Change> changes;
    const PolicyInput input{.snapshot = snapshot,
                            .present = present,
                            .keeper = keeper,
                            .n_siblings = 1,
                            .changes = changes,
                            .holds = {},
                            .journal_damage = {},
                            .boot_id = "boot-1",
                            .now_boot_ns = now_boot_ns,
                            .by_person = true};
    return Policy(PolicyLimits{}).decide(candidate, Fact{}, input);
}

}  // namespace llamux
