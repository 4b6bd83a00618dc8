// SPDX-License-Identifier: GPL-2.0-only
//
// The probes of the BPF telemetry: which programs make up each, what is lost
// without it, and which of them this kernel can have. Loads nothing.
#pragma once

#include <string>
#include <vector>

struct bpf_object;
struct btf;

namespace llamux {

// One or more programs that together deliver one signal.
struct Probe {
    std::string name;
    bool required = false;
    bool active = false;
    std::string reason;   // why it is not active
    std::string missing;  // what the telemetry lacks then

    // "probe refaults: not active (...); missing: ...", or "... active".
    std::string line() const;
};

struct ProbePlan {
    Probe probe;
    std::vector<std::string> programs;  // to load and attach; empty: none

    void give_up(std::string reason);
};

// All probes, in the order in which they must be attached: the first one gives
// each new task its storage.
// @object: opened, not loaded. @types: BTF of the kernel. @leave_out: names of
// optional probes not to use.
std::vector<ProbePlan> plan_probes(const bpf_object* object, const btf* types,
                                   const std::vector<std::string>& leave_out);

}  // namespace llamux
