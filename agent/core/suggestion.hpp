// SPDX-License-Identifier: GPL-2.0-only
//
// What the kernel advised, with everything that led to it, as values that own
// their memory. Names of cgroups are put back here, for reports only: they
// never travelled to the model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/catalogue.hpp"
#include "core/experience.hpp"
#include "core/knob.hpp"

namespace llamux {

struct Evidence {
    std::uint32_t source = LLAMUX_SOURCE_NONE;
    std::string cgroup_path;  // whose number; empty: the machine's
    std::uint64_t value = 0;
    std::uint64_t normal = 0;  // LLAMUX_UNKNOWN: not known yet
    std::uint64_t threshold = 0;
};

struct Fact {
    std::uint32_t cause = LLAMUX_CAUSE_NONE;
    std::uint32_t level = 0;  // 1 some, 2 high, 3 severe
    std::uint64_t victim_id = 0;
    std::uint64_t culprit_id = 0;
    std::string victim_path;  // empty: the system, or unknown
    std::string culprit_path;
    std::vector<Evidence> evidence;
};

struct Candidate {
    std::uint32_t kind = LLAMUX_ACTION_NONE;
    std::uint32_t direction = LLAMUX_KEEP;
    std::uint64_t cgroup_id = 0;
    std::string cgroup_path;
    std::uint64_t value_old = 0;
    std::uint64_t value_new = 0;
    std::int32_t score = 0;                  // micro-nats per token over the neutral prompt
    std::uint32_t probability_permille = 0;  // before weighing
    std::string phrase;
    Outcomes here;  // of the like on this machine, when it was suggested

    [[nodiscard]] bool is_change() const { return kind != LLAMUX_ACTION_NONE; }
};

struct Suggestion {
    std::string id;  // of the chosen candidate; empty when it is "no change"
    std::uint64_t boot_ns = 0;
    std::uint64_t wall_ns = 0;
    std::uint64_t snapshot_sequence = 0;
    std::uint64_t window_ns = 0;
    std::uint32_t ranked_by = LLAMUX_RANKED_BY_NOTHING;
    std::uint32_t margin_permille = 0;  // after weighing
    std::uint32_t n_prompt_tokens = 0;
    std::uint64_t detect_ns = 0;
    std::uint64_t rank_ns = 0;
    std::vector<Fact> facts;
    std::vector<Candidate> candidates;
    std::size_t chosen = 0;  // index of candidates
    std::string prompt;      // the very text the model saw

    // nullptr: nothing to do.
    [[nodiscard]] const Candidate* change() const {
        return chosen < candidates.size() && candidates[chosen].is_change() ? &candidates[chosen]
                                                                            : nullptr;
    }
};

// Stable name of a change: 12 hex digits of a hash of kind, target path,
// direction and new value. The same advice has the same id on every tick.
std::string suggestion_id(const Candidate& candidate);

std::string_view ranked_by_word(std::uint32_t ranked_by);

}  // namespace llamux
