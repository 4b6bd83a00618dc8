// SPDX-License-Identifier: GPL-2.0-only
//
// Who writes the files of cgroups that Llamux has changed: fanotify(7), which
// names the process of every write, also of the same value. Seen only while this
// object lives. What is missed (a queue that overflows, a group that vanishes)
// still shows where it is another value.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/knob.hpp"
#include "core/result.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/files.hpp"

namespace llamux {

class CgroupWatch {
  public:
    // Sees nothing before open(). @proc_root: where a writer's name is looked up.
    // @clock: not owned.
    CgroupWatch(std::string proc_root, Clock& clock)
        : proc_root_(std::move(proc_root)), clock_(clock) {}

    // Needs CAP_SYS_ADMIN. The error says why nothing is seen.
    Status open();

    // From now on, and what was seen of the file before is forgotten. Writes of
    // this process and of @ours are not seen. A file that can not be watched is not.
    void begin(const Cgroup& group, const std::string& file, const std::vector<pid_t>& ours);
    bool is_watching(const Cgroup& group, const std::string& file) const;

    // The newest one since begin(). Its time is that of the look before the one
    // that saw it: it was written after that.
    std::optional<Writing> last_writing(const Cgroup& group, const std::string& file);
    std::optional<Writing> last_writing();  // of any file

  private:
    // Of a file of a cgroup: its number, which the kernel gives no other one.
    using Inode = std::uint64_t;
    struct File {
        std::vector<pid_t> ours;
        std::optional<Writing> last;
    };

    void look();

    std::string proc_root_;
    Clock& clock_;
    Fd events_;
    std::uint64_t looked_ns_ = 0;
    std::map<Inode, File> files_;
};

}  // namespace llamux
