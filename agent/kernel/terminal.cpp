// SPDX-License-Identifier: GPL-2.0-only
//
// See terminal.hpp.
#include "kernel/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace llamux {
namespace {

std::size_t columns_of(int fd) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 80;
    }
    return std::clamp<std::size_t>(size.ws_col, 40, 100);
}

}  // namespace

bool wants_colour() {
    const char* no_colour = std::getenv("NO_COLOR");
    return (no_colour == nullptr || *no_colour == '\0') && ::isatty(STDOUT_FILENO) == 1;
}

std::size_t output_columns() {
    return columns_of(STDOUT_FILENO);
}

std::size_t error_columns() {
    return columns_of(STDERR_FILENO);
}

}  // namespace llamux
