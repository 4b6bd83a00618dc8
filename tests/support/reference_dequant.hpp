// SPDX-License-Identifier: GPL-2.0-only
//
// Rows of a GGUF file back to numbers, written from the format's definition
// (ggml-quants.c) in the plainest form and sharing nothing with the engine, so
// that it can judge it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llamux::test {

struct Weight {
    float value;       // rounded where llama.cpp rounds
    double exact;      // the same formula in double
    double magnitude;  // sum of the absolute values of the formula's terms
};

// One row of `n` values in ggml type `type` (the number in the file).
std::vector<Weight> reference_dequantize(uint32_t type, const uint8_t* row, size_t n);

// IEEE 754 binary16 to double, by its definition.
double reference_half(uint16_t bits);

}  // namespace llamux::test
