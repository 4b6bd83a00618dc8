// SPDX-License-Identifier: GPL-2.0-only
//
// A snapshot from files alone, for commands that do their work without the
// module: no maps, and only pressure is a difference over the window.
#pragma once

#include <cstdint>

#include "kernel/llamux_device.hpp"
#include "sense/sense.hpp"

namespace llamux {

// @before: nullptr: no window, pressure is unknown. @window_ns: between both.
SnapshotPtr snapshot_of_files(const Sensed* before, const Sensed& now, std::uint64_t window_ns);

}  // namespace llamux
