// SPDX-License-Identifier: GPL-2.0-only
//
// What this machine has taught (core/experience), in one file of the state
// directory. It outlives the journal and reboots, and no undo depends on it: who
// loses it loses experience only.
#pragma once

#include <string>

#include "core/change.hpp"
#include "core/experience.hpp"
#include "core/result.hpp"

namespace llamux {

class ExperienceFile {
  public:
    explicit ExperienceFile(const std::string& state_directory);

    // No file: nothing is known yet. EBADMSG: it is damaged. Needs no lock: the file
    // is replaced as a whole.
    Result<Experience> load() const;

    // Counts a change, if it teaches(), just after it was closed and under the same
    // exclusive lock of the journal: a crash in between loses it, nothing counts it
    // twice. A damaged file is begun anew.
    Status learn(const Change& change) const;
    // Whoever gives a knob back wants it tried anew. Needs the same lock.
    Status forget(llamux_action_kind kind) const;

  private:
    Result<Experience> load_or_begin() const;
    Status save(const Experience& experience) const;

    std::string path_;
};

}  // namespace llamux
