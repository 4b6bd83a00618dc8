// SPDX-License-Identifier: GPL-2.0-only
//
// See cgroup_watch.hpp.
#include "kernel/cgroup_watch.hpp"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace llamux {
namespace {

// A mark keeps its file's inode in memory, also of a group that is gone.
constexpr std::size_t kMaxFiles = 256;

std::optional<std::uint64_t> inode_of(int fd) {
    struct stat attributes {};
    return ::fstat(fd, &attributes) == 0 ? std::optional(attributes.st_ino) : std::nullopt;
}

std::optional<std::uint64_t> inode_of(const Cgroup& group, const std::string& file) {
    struct stat attributes {};
    return ::fstatat(group.fd(), file.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) == 0
               ? std::optional(attributes.st_ino)
               : std::nullopt;
}

// Without a name where the process has ended.
Writing writing_of(pid_t pid, std::uint64_t boot_ns, const std::string& proc_root) {
    Writing writing{boot_ns, pid, 0, ""};
    const std::string process = proc_root + "/" + std::to_string(pid);
    struct stat attributes {};
    const Result<std::string> comm = read_text(process + "/comm");
    if (comm && ::stat(process.c_str(), &attributes) == 0) {
        writing.command = *comm;
        writing.uid = attributes.st_uid;
    }
    return writing;
}

}  // namespace

Status CgroupWatch::open() {
    events_ =
        Fd(::fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC));
    return events_.is_open() ? Status() : errno_error(errno, "fanotify");
}

void CgroupWatch::begin(const Cgroup& group, const std::string& file,
                        const std::vector<pid_t>& ours) {
    look();
    if (files_.size() >= kMaxFiles) {
        // Those that still matter are asked about, and so begun, again.
        files_.clear();
        (void)open();
    }
    const std::optional<Inode> inode = inode_of(group, file);
    if (inode && events_.is_open() &&
        ::fanotify_mark(events_.get(), FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, FAN_MODIFY, group.fd(),
                        file.c_str()) == 0) {
        files_[*inode] = File{ours, std::nullopt};
    }
}

bool CgroupWatch::is_watching(const Cgroup& group, const std::string& file) const {
    const std::optional<Inode> inode = inode_of(group, file);
    return inode && files_.count(*inode) != 0;
}

std::optional<Writing> CgroupWatch::last_writing(const Cgroup& group, const std::string& file) {
    look();
    const std::optional<Inode> inode = inode_of(group, file);
    const auto found = inode ? files_.find(*inode) : files_.end();
    return found == files_.end() ? std::nullopt : found->second.last;
}

std::optional<Writing> CgroupWatch::last_writing() {
    look();
    std::optional<Writing> newest;
    for (const auto& [inode, file] : files_) {
        if (file.last && (!newest || newest->boot_ns < file.last->boot_ns)) {
            newest = file.last;
        }
    }
    return newest;
}

void CgroupWatch::look() {
    const std::uint64_t now_ns = clock_.boot_ns();
    alignas(fanotify_event_metadata) char buffer[4096];
    while (events_.is_open()) {
        ssize_t left = ::read(events_.get(), buffer, sizeof(buffer));
        if (left == 0 || (left < 0 && errno == EAGAIN)) {
            break;
        }
        // Any other error was one event, whose group is gone.
        const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer);
        for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
            const Fd fd(event->fd);  // none: the queue has overflowed
            const std::optional<Inode> inode = fd.is_open() ? inode_of(fd.get()) : std::nullopt;
            const auto found = inode ? files_.find(*inode) : files_.end();
            if (found == files_.end() || event->pid == ::getpid()) {
                continue;
            }
            File& file = found->second;
            if (std::find(file.ours.begin(), file.ours.end(), event->pid) == file.ours.end()) {
                file.last = writing_of(event->pid, looked_ns_, proc_root_);
            }
        }
    }
    looked_ns_ = now_ns;
}

}  // namespace llamux
