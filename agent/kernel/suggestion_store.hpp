// SPDX-License-Identifier: GPL-2.0-only
//
// Suggestions with everything that led to them (prompt, candidates, scores,
// evidence), one file each below the state directory, so that `explain` and
// `apply` work after the fact. The newest kMaxStored are kept. Informative
// only: no knob depends on it.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/suggestion.hpp"

namespace llamux {

class SuggestionStore {
  public:
    static constexpr std::size_t kMaxStored = 64;

    explicit SuggestionStore(const std::string& state_directory);

    Status save(const Suggestion& suggestion) const;
    // ENOENT: no such suggestion (any more). @id may be a unique prefix.
    Result<Suggestion> load(const std::string& id) const;
    // Newest first. Unreadable files are left out.
    Result<std::vector<Suggestion>> list() const;

  private:
    std::string directory_;
};

}  // namespace llamux
