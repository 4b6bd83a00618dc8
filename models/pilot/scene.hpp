// SPDX-License-Identifier: GPL-2.0-only
//
// Machines in trouble, and well ones: snapshots as a kernel would hand them
// out, and what the engine's own code makes of them.
#pragma once

#include <memory>
#include <string>

#include "random.hpp"
#include "support/engine.hpp"

namespace llamux::pilot {

struct Scene {
    std::unique_ptr<llamux_snapshot> snapshot;
    llamux_advice advice{};  // as the rules see it
    // Any order of the facts and letters, so that the model has to read them: where the
    // worst fact came first and the victim had the first letter, it learned just that.
    u32 order[LLAMUX_MAX_FACTS]{};
    llx_letters letters{};

    bool has_fact() const { return advice.n_facts != 0; }
    char letter(u64 cgroup_id) const { return llx_letters_of(&letters, cgroup_id); }
};

// `trouble`: how many things go wrong at once, 0 to 3.
Scene make_scene(Random& random, unsigned trouble);

// The worst fact first and letters in order of mention instead.
void tell_as_service(Scene& scene);

// Index of the candidate that should be chosen. The rules' first, except where
// the worst trouble is one that no setting cures and the rest is small, or
// where everything that could be turned has been turned.
u32 best_candidate(const Scene& scene);

}  // namespace llamux::pilot
