// SPDX-License-Identifier: GPL-2.0-only
//
// What the machine can do at most: the bounds that speeds are compared with.
#pragma once

#include <string>

namespace llamux::test {

// GB/s that @n_threads read together from memory in 2 MB pages, each a part of
// its own from beginning to end: the bound of decoding.
[[nodiscard]] double read_bound(unsigned n_threads);

// 1e9 multiply-adds of 8-bit integers per second of @n_threads together, from
// registers to 16-bit sums (vpmaddubsw and vpaddw) or, where the CPU has it, to
// 32-bit sums (vpdpbusd): the bound of prefill. 0: the CPU has neither.
[[nodiscard]] double multiply_bound(unsigned n_threads);

}  // namespace llamux::test
