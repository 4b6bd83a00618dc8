// SPDX-License-Identifier: GPL-2.0-only
//
// The models of the manifest as files: where they are, whether they are what
// the manifest says, and how they get here. A file that has the model's name
// was verified before it got it; what is not complete ends in ".part".
#pragma once

#include <string>
#include <vector>

#include "core/model.hpp"
#include "core/result.hpp"
#include "kernel/http.hpp"

namespace llamux {

// Every field is checked: names are used as file names.
Result<std::vector<ModelEntry>> read_manifest(const std::string& path);

class ModelStore {
  public:
    // @fetched: where fetched models go (made when needed); @shipped: where
    // the package's own are.
    ModelStore(std::string fetched, std::string shipped)
        : fetched_(std::move(fetched)), shipped_(std::move(shipped)) {}

    // Where the model is; if it is nowhere, where it would go.
    std::string path_of(const ModelEntry& entry) const;
    bool is_here(const ModelEntry& entry) const;
    std::uint64_t partial_bytes(const ModelEntry& entry) const;

    // Size, then SHA-256. ENOENT: not here; EBADMSG: not what the manifest says.
    Status verify(const ModelEntry& entry) const;

    // Downloads, verifies, and only then gives the file its name. What came of
    // a failed try is kept and gone on from, unless its hash is wrong. EBUSY:
    // another fetch of it is under way; ENOSPC: there is not enough room.
    Status fetch(const ModelEntry& entry, const std::string& host,
                 const OnProgress& progress) const;

  private:
    std::string partial_path(const ModelEntry& entry) const;

    std::string fetched_;
    std::string shipped_;
};

}  // namespace llamux
