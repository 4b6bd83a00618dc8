// SPDX-License-Identifier: GPL-2.0-only
//
// See thread_io.hpp.
#include "kernel/thread_io.hpp"

#include <charconv>
#include <string_view>

#include "kernel/files.hpp"

namespace llamux {

std::optional<std::uint64_t> bytes_read_by(pid_t thread, const std::string& proc_root) {
    constexpr std::string_view kField = "rchar: ";
    const Result<std::string> io =
        read_text(proc_root + "/self/task/" + std::to_string(thread) + "/io");
    if (!io || !io->starts_with(kField)) {
        return std::nullopt;
    }
    std::uint64_t bytes = 0;
    const auto [end, error] =
        std::from_chars(io->data() + kField.size(), io->data() + io->size(), bytes);
    return error == std::errc() ? std::optional(bytes) : std::nullopt;
}

}  // namespace llamux
