// SPDX-License-Identifier: GPL-2.0-only
//
// Small files, whole: read, write, replace. Owns file descriptors. Knows
// nothing about what the files mean.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace llamux {

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept;
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd();

    int get() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// A directory of its own with mode 0700, removed with all that is in it.
class TemporaryDirectory {
  public:
    // Below $TMPDIR, else /tmp: "@name-XXXXXX".
    static Result<TemporaryDirectory> make(const std::string& name);
    TemporaryDirectory(TemporaryDirectory&& other) noexcept
        : path_(std::exchange(other.path_, {})) {}
    TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
    ~TemporaryDirectory();

    const std::string& path() const { return path_; }

  private:
    explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}

    std::string path_;
};

// @directory: an open directory, or AT_FDCWD. Symbolic links are not followed
// in the last component. Text comes without trailing newlines.
Result<Fd> open_at(int directory, const std::string& name, int flags, mode_t mode = 0);
Result<std::string> read_text_at(int directory, const std::string& name);
Result<std::string> read_text(const std::string& path);

// One write(2) of the whole text, as control files want it.
Status write_text_at(int directory, const std::string& name, std::string_view text);
// The same in a child process that is killed at the timeout: some control
// files work (reclaim) before they return. -ETIMEDOUT says so; the value may
// be in force.
Status write_text_bounded(int directory, const std::string& name, std::string_view text,
                          std::chrono::milliseconds timeout);

// So that the name itself survives a power cut.
Status sync_directory_of(const std::string& path);
// Whole new content or the old one, also over a power cut.
// @mode: whatever the umask.
Status replace_file(const std::string& path, std::string_view text, mode_t mode = 0600);
Status make_directories(const std::string& path, mode_t mode);
Result<std::vector<std::string>> list_directory(const std::string& path);
bool path_exists(const std::string& path);

// The number at @text's start; "max" is LLAMUX_NO_LIMIT.
std::optional<std::uint64_t> parse_number(std::string_view text);
// The number after "key " or "key: " in a table of lines.
std::optional<std::uint64_t> find_number(std::string_view table, std::string_view key);

}  // namespace llamux
