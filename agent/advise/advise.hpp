// SPDX-License-Identifier: GPL-2.0-only
//
// The kernel's answer to ADVISE -> Suggestion: checks it, copies it and puts
// the names of groups back. Then weighs it by what this machine has taught.
#pragma once

#include <cstdint>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/suggestion.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/llamux_device.hpp"

namespace llamux {

Result<Suggestion> make_suggestion(const Advice& advice, const CgroupTree& tree, Clock& clock);

// The same suggestion in the light of @experience, which may speak against changes:
// those are not chosen. Of the others, the rules' choice is the next on their list; the
// model's is the engine's rule on probabilities times weights. "No change" weighs in
// full, and what was never tried or always helped leaves the suggestion as it is.
Suggestion weigh(Suggestion suggestion, const Experience& experience);

// The fact that a candidate answers: of those that name its group, or of all, the first
// of its resource, else the first. An empty fact where there is none.
Fact fact_of(const Suggestion& suggestion, const Candidate& candidate);

// The changes of a suggestion in the order in which they are to be tried: the chosen
// one, then the others of the rules' list that nothing speaks against.
std::vector<const Candidate*> changes_in_turn(const Suggestion& suggestion);

// What a later look says of an earlier one's trouble and the change for it.
enum class SecondLook {
    kNothing,   // the trouble is not there
    kSame,      // the change is among the candidates again, or the fact is: who it hurts or who
                // causes it may not be seen in every window
    kOpposite,  // the change the other way is among the candidates, and not this one
};
SecondLook look_again(const llamux_advice& answer, const Candidate& candidate, const Fact& fact);

// Equal for advice about the same trouble and the same remedies, whatever the
// numbers: the model is not asked again for those at once.
std::uint64_t situation_of(const llamux_advice& answer);

}  // namespace llamux
