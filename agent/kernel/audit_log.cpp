// SPDX-License-Identifier: GPL-2.0-only
//
// See audit_log.hpp.
#include "kernel/audit_log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "kernel/files.hpp"

namespace llamux {

Status AuditLog::append(const Json& record) const {
    if (Status made = make_directories(directory_, 0700); !made) {
        return made;
    }
    const std::string line = dump_line(record) + "\n";
    for (;;) {
        const Result<Fd> file = open_at(AT_FDCWD, path_, O_WRONLY | O_APPEND | O_CREAT, 0600);
        if (!file) {
            return file.error();
        }
        struct stat attributes {};
        if (::flock(file->get(), LOCK_EX) != 0 || ::fstat(file->get(), &attributes) != 0) {
            return errno_error(errno, path_);
        }
        struct stat named {};
        if (::stat(path_.c_str(), &named) != 0 || named.st_ino != attributes.st_ino) {
            continue;  // rotated while this one waited for the lock
        }
        const auto size = static_cast<std::size_t>(attributes.st_size);
        if (size > 0 && size + line.size() > kMaxBytes) {
            rotate();
            continue;
        }
        if (::write(file->get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
            return errno_error(errno, path_);
        }
        return {};
    }
}

// Under the lock of the newest file.
void AuditLog::rotate() const {
    for (int i = kOldFiles - 1; i > 0; i--) {
        (void)std::rename((path_ + "." + std::to_string(i)).c_str(),
                          (path_ + "." + std::to_string(i + 1)).c_str());
    }
    (void)std::rename(path_.c_str(), (path_ + ".1").c_str());
}

}  // namespace llamux
