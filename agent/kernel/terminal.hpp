// SPDX-License-Identifier: GPL-2.0-only
//
// Where standard output goes: a person's terminal, or a file or pipe.
#pragma once

#include <cstddef>

namespace llamux {

// A terminal, and NO_COLOR is not set (no-color.org).
bool wants_colour();

// Characters in a line: the terminal's, at most 100; 80 where there is none.
std::size_t output_columns();
std::size_t error_columns();  // of standard error

}  // namespace llamux
