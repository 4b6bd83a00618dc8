// SPDX-License-Identifier: GPL-2.0-only
//
// What Llamux saw, weighed, did and found, as JSON lines for people and their
// tools. Informative: the journal is what undo relies on. Rotated by size, so
// that it never fills a disk.
#pragma once

#include <cstddef>
#include <string>

#include "core/result.hpp"
#include "kernel/json.hpp"

namespace llamux {

class AuditLog {
  public:
    // About 2000 changes with their evidence in all.
    static constexpr std::size_t kMaxBytes = 1 << 20;  // of one file
    static constexpr int kOldFiles = 4;                // audit.jsonl.1 is the newest

    explicit AuditLog(const std::string& state_directory)
        : directory_(state_directory), path_(state_directory + "/audit.jsonl") {}

    // One line; processes may append at the same time.
    Status append(const Json& record) const;

  private:
    void rotate() const;

    std::string directory_;
    std::string path_;
};

}  // namespace llamux
