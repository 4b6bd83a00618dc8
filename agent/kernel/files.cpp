// SPDX-License-Identifier: GPL-2.0-only
//
// See files.hpp.
#include "kernel/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "llamux/telemetry.h"

namespace llamux {
namespace {

// Control files and tables are small; more than this is not what we asked for.
constexpr std::size_t kMaxText = 4 << 20;

int write_once(int fd, std::string_view text) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0) {
        return errno;
    }
    return static_cast<std::size_t>(written) == text.size() ? 0 : EIO;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        if (fd_ >= 0) {
            ::close(fd_);
        }
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

Fd::~Fd() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

Result<TemporaryDirectory> TemporaryDirectory::make(const std::string& name) {
    std::error_code error;
    const std::filesystem::path base = std::filesystem::temp_directory_path(error);
    std::string path = (error ? std::filesystem::path("/tmp") : base) / (name + "-XXXXXX");
    if (!::mkdtemp(path.data())) {
        return errno_error(errno, path);
    }
    return TemporaryDirectory(std::move(path));
}

TemporaryDirectory::~TemporaryDirectory() {
    if (!path_.empty()) {
        std::error_code left;
        std::filesystem::remove_all(path_, left);
    }
}

Result<Fd> open_at(int directory, const std::string& name, int flags, mode_t mode) {
    const int fd = ::openat(directory, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return errno_error(errno, name);
    }
    return Fd(fd);
}

Result<std::string> read_text_at(int directory, const std::string& name) {
    Result<Fd> fd = open_at(directory, name, O_RDONLY);
    if (!fd) {
        return fd.error();
    }
    std::string text;
    char block[4096];
    for (;;) {
        const ssize_t n = ::read(fd->get(), block, sizeof(block));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error(errno, name);
        }
        if (n == 0) {
            break;
        }
        text.append(block, static_cast<std::size_t>(n));
        if (text.size() > kMaxText) {
            return errno_error(EFBIG, name);
        }
    }
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    return text;
}

Result<std::string> read_text(const std::string& path) {
    return read_text_at(AT_FDCWD, path);
}

Status write_text_at(int directory, const std::string& name, std::string_view text) {
    Result<Fd> fd = open_at(directory, name, O_WRONLY | O_TRUNC);
    if (!fd) {
        return fd.error();
    }
    const int error = write_once(fd->get(), text);
    if (error != 0) {
        return errno_error(error, "write '" + std::string(text) + "' to " + name);
    }
    return {};
}

Status write_text_bounded(int directory, const std::string& name, std::string_view text,
                          std::chrono::milliseconds timeout) {
    Result<Fd> fd = open_at(directory, name, O_WRONLY | O_TRUNC);
    if (!fd) {
        return fd.error();
    }
    const pid_t child = ::fork();
    if (child < 0) {
        return errno_error(errno, "fork");
    }
    if (child == 0) {
        // Only system calls from here: the parent may have threads.
        _exit(write_once(fd->get(), text));
    }
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    bool timed_out = false;
    if (pidfd.is_open()) {
        pollfd exited{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
        int n = 0;
        do {
            n = ::poll(&exited, 1, static_cast<int>(timeout.count()));
        } while (n < 0 && errno == EINTR);
        timed_out = n <= 0;
    }
    if (timed_out) {
        // The kernel's reclaim loops look for a fatal signal.
        ::kill(child, SIGKILL);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (timed_out) {
        return errno_error(ETIMEDOUT, "write '" + std::string(text) + "' to " + name);
    }
    const int error = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    if (error != 0) {
        return errno_error(error, "write '" + std::string(text) + "' to " + name);
    }
    return {};
}

Status sync_directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
    Result<Fd> fd = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!fd) {
        return fd.error();
    }
    if (::fsync(fd->get()) != 0) {
        return errno_error(errno, directory);
    }
    return {};
}

Status replace_file(const std::string& path, std::string_view text, mode_t mode) {
    const std::string draft = path + ".new";
    {
        Result<Fd> fd = open_at(AT_FDCWD, draft, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (!fd) {
            return fd.error();
        }
        const int error = write_once(fd->get(), text);
        if (error != 0 || ::fchmod(fd->get(), mode) != 0 || ::fsync(fd->get()) != 0) {
            const int code = error != 0 ? error : errno;
            ::unlink(draft.c_str());
            return errno_error(code, draft);
        }
    }
    if (::rename(draft.c_str(), path.c_str()) != 0) {
        return errno_error(errno, path);
    }
    return sync_directory_of(path);
}

Status make_directories(const std::string& path, mode_t mode) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        if (::mkdir(part.c_str(), mode) == 0) {
            if (Status synced = sync_directory_of(part); !synced) {
                return synced;
            }
        } else if (errno != EEXIST && !(errno == EROFS && path_exists(part))) {
            return errno_error(errno, part);
        }
        if (end == std::string::npos) {
            return {};
        }
    }
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
    DIR* directory = ::opendir(path.c_str());
    if (!directory) {
        return errno_error(errno, path);
    }
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
    ::closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
}

bool path_exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    if (text.substr(0, 3) == "max") {
        return LLAMUX_NO_LIMIT;
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) {
        return std::nullopt;
    }
    return value;
}

std::optional<std::uint64_t> find_number(std::string_view table, std::string_view key) {
    while (!table.empty()) {
        std::string_view line = table.substr(0, table.find('\n'));
        table.remove_prefix(std::min(table.size(), line.size() + 1));
        if (line.substr(0, key.size()) != key) {
            continue;
        }
        line.remove_prefix(key.size());
        if (!line.empty() && line.front() == ':') {
            line.remove_prefix(1);
        }
        const std::size_t start = line.find_first_not_of(" \t");
        if (start == 0 || start == std::string_view::npos) {
            continue;
        }
        return parse_number(line.substr(start));
    }
    return std::nullopt;
}

}  // namespace llamux
