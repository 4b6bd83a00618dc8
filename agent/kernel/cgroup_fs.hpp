// SPDX-License-Identifier: GPL-2.0-only
//
// The cgroup v2 tree. A group is known by the inode of its directory (the
// cgroup id of the kernel), never by its name alone: a group that was removed
// and made again under the same name is another group. Control files are
// reached with openat() on the directory that was checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "kernel/files.hpp"

namespace llamux {

struct CgroupNode {
    std::uint64_t id = 0;
    std::uint64_t parent_id = 0;  // 0: child of the root
    std::string path;             // "/a/b", as in /proc/PID/cgroup
    unsigned n_siblings = 0;      // other children of its parent
};

struct CgroupTree {
    std::vector<CgroupNode> nodes;  // parents before children; without the root
    bool truncated = false;         // more than could be walked

    const CgroupNode* find(std::uint64_t id) const;
    const CgroupNode* find_path(std::string_view path) const;
    // The path of an id for reports: "the system" for 0, "#id" if unknown.
    std::string name_of(std::uint64_t id) const;
};

// One group, held open. Fails cleanly once the group is gone.
class Cgroup {
  public:
    std::uint64_t id() const { return id_; }
    int fd() const { return directory_.get(); }  // of its directory; stays its own
    Result<std::string> read(const std::string& file) const;
    Status write(const std::string& file, std::string_view text) const;
    Status write_bounded(const std::string& file, std::string_view text,
                         std::chrono::milliseconds timeout) const;

  private:
    friend class CgroupFs;
    Cgroup(Fd directory, std::uint64_t id) : directory_(std::move(directory)), id_(id) {}

    Fd directory_;
    std::uint64_t id_ = 0;
};

class CgroupFs {
  public:
    explicit CgroupFs(std::string root) : root_(std::move(root)) {}

    Result<CgroupTree> walk() const;
    // @id 0: whatever group has the path. Errors: ENOENT: gone; ESTALE:
    // another group of the same name is there now.
    Result<Cgroup> open(const std::string& path, std::uint64_t id) const;
    Result<std::string> read_root(const std::string& file) const;

  private:
    std::string root_;
};

// The error says that the group (or its file) is no longer there.
bool means_gone(const Error& error);

}  // namespace llamux
