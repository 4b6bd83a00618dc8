// SPDX-License-Identifier: GPL-2.0-only
//
// See files_only.hpp.
#include "sense/files_only.hpp"

#include <cstring>

namespace llamux {
namespace {

void subtract(const __u64& before, __u64& now) {
    const bool is_known = before != LLAMUX_UNKNOWN && now != LLAMUX_UNKNOWN && now >= before;
    now = is_known ? now - before : LLAMUX_UNKNOWN;
}

void subtract(const llamux_pressure& before, llamux_pressure& now) {
    subtract(before.cpu.some_us, now.cpu.some_us);
    subtract(before.cpu.full_us, now.cpu.full_us);
    subtract(before.memory.some_us, now.memory.some_us);
    subtract(before.memory.full_us, now.memory.full_us);
    subtract(before.io.some_us, now.io.some_us);
    subtract(before.io.full_us, now.io.full_us);
}

llamux_pressure unknown_pressure() {
    return {unknown_psi(), unknown_psi(), unknown_psi()};
}

// What the group had before; unknown for a new one.
llamux_pressure pressure_before(const Sensed* before, std::uint64_t cgroup_id) {
    for (std::uint32_t i = 0; before && i < before->signals->n_groups; i++) {
        if (before->signals->groups[i].cgroup_id == cgroup_id) {
            return before->signals->groups[i].psi;
        }
    }
    return unknown_pressure();
}

}  // namespace

SnapshotPtr snapshot_of_files(const Sensed* before, const Sensed& now, std::uint64_t window_ns) {
    auto snapshot = std::make_shared<llamux_snapshot>();
    std::memset(snapshot.get(), 0, sizeof(*snapshot));
    snapshot->schema = LLAMUX_TELEMETRY_SCHEMA;
    snapshot->flags = LLAMUX_SNAPSHOT_NO_MAPS | (before ? 0 : LLAMUX_SNAPSHOT_FIRST);
    snapshot->window_ns = before ? window_ns : 0;
    snapshot->signals = now.signals->system;
    subtract(before ? before->signals->system.psi : unknown_pressure(), snapshot->signals.psi);
    snapshot->n_groups = now.signals->n_groups;
    for (std::uint32_t i = 0; i < now.signals->n_groups; i++) {
        llamux_group_signals& signals = snapshot->groups[i].signals;
        signals = now.signals->groups[i];
        subtract(pressure_before(before, signals.cgroup_id), signals.psi);
    }
    return snapshot;
}

}  // namespace llamux
