// SPDX-License-Identifier: GPL-2.0-only
//
// Our own quantiser: rows of floats to GGUF blocks, for the training export and
// for tests. The float types, Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 give the bytes that
// llama.cpp gives; the K formats search for the scales with the least weighted squared error, as
// llama.cpp's quantize_row_*_ref do, and then once more around the scales that
// the format can hold. tests/simd/quantize_test.cpp compares the errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace llamux {

// One row, finite values, a multiple of the type's block. `type` is the number
// in the file (enum llx_type) of a type that the engine can run.
std::vector<uint8_t> quantize_row(uint32_t type, std::span<const float> row);

// Rows of `n_cols` values one after another.
std::vector<uint8_t> quantize_rows(uint32_t type, std::span<const float> values, size_t n_cols);

}  // namespace llamux
