// SPDX-License-Identifier: GPL-2.0-only
//
// A snapshot as JSON, field by field under the names of
// include/llamux/telemetry.h. A field that is 0 is left out.
#pragma once

#include "core/result.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/json.hpp"
#include "kernel/llamux_device.hpp"

namespace llamux {

// A snapshot, and the names and siblings of its groups.
struct NamedSnapshot {
    SnapshotPtr snapshot;
    CgroupTree tree;  // only groups of the snapshot
};

// @tree: of the moment of the snapshot; groups that it lacks get no name.
Json to_json(const llamux_snapshot& snapshot, const CgroupTree& tree);

// @json is input: every field is checked for its type and range; any value
// that fits is taken, as the detectors do.
Result<NamedSnapshot> named_snapshot_from_json(const Json& json);

}  // namespace llamux
