// SPDX-License-Identifier: GPL-2.0-only
//
// What a thread has read (proc_pid_io(5)). The kernel counts for it, too, what it
// reads on its behalf in a system call that has not returned yet.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace llamux {

// Of a thread of this process; nothing: the kernel does not count it.
std::optional<std::uint64_t> bytes_read_by(pid_t thread, const std::string& proc_root);

}  // namespace llamux
