// SPDX-License-Identifier: GPL-2.0-only
//
// Random and extreme weights and activations for the tests of the kernels.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "support/engine.hpp"
#include "support/guarded_buffer.hpp"

namespace llamux::test {

inline const std::vector<uint32_t> kTypes = {
    LLX_TYPE_F32,  LLX_TYPE_F16,  LLX_TYPE_BF16, LLX_TYPE_Q8_0, LLX_TYPE_Q4_0,
    LLX_TYPE_Q4_1, LLX_TYPE_Q5_0, LLX_TYPE_Q5_1, LLX_TYPE_Q2_K, LLX_TYPE_Q3_K,
    LLX_TYPE_Q4_K, LLX_TYPE_Q5_K, LLX_TYPE_Q6_K};

// What fills the quanta: noise, or all bits clear, all set, or Q8_0's -128.
enum class Fill { kRandom, kZeros, kOnes, kTopBit };

inline llx_f32 bits_of(float x) {
    llx_f32 bits;
    std::memcpy(&bits, &x, sizeof(x));
    return bits;
}

inline float value_of(llx_f32 bits) {
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}

// The places of f16 scales in a block of a quantised type.
inline std::vector<size_t> half_places(uint32_t type) {
    switch (type) {
        case LLX_TYPE_Q4_1:
        case LLX_TYPE_Q5_1:
        case LLX_TYPE_Q4_K:
        case LLX_TYPE_Q5_K:
            return {0, 2};
        case LLX_TYPE_Q2_K:
            return {80, 82};
        case LLX_TYPE_Q3_K:
            return {108};
        case LLX_TYPE_Q6_K:
            return {208};
        default:
            return {0};
    }
}

// Rows as a file has them; scales finite, of either sign and all magnitudes.
inline std::vector<uint8_t> random_rows(uint32_t type, size_t n_rows, size_t n_cols, Fill fill,
                                        std::mt19937& random) {
    const auto* t = llx_type_traits(type);
    std::vector<uint8_t> rows(n_rows * n_cols / t->block_values * t->block_bytes);
    for (uint8_t& byte : rows) {
        const auto noise = static_cast<uint8_t>(random());
        byte = fill == Fill::kRandom  ? noise
               : fill == Fill::kZeros ? 0
               : fill == Fill::kOnes  ? 0xff
                                      : 0x80;
    }
    std::normal_distribution<float> normal;
    for (size_t b = 0; b < rows.size(); b += t->block_bytes) {
        if (!t->quantized_input) {
            const float x = normal(random);
            llx_f32 bits = bits_of(x);
            if (type == LLX_TYPE_F16)
                llx_kernels_select(0, "generic")
                    ->to_f16(&bits, 1, reinterpret_cast<u16*>(&rows[b]));
            else if (type == LLX_TYPE_BF16)
                std::memcpy(&rows[b], reinterpret_cast<uint8_t*>(&bits) + 2, 2);
            else
                std::memcpy(&rows[b], &bits, 4);
            continue;
        }
        for (const size_t place : half_places(type)) {
            uint16_t half = 0;
            do
                half = static_cast<uint16_t>(random());
            while ((half & 0x7c00) == 0x7c00);
            std::memcpy(&rows[b + place], &half, 2);
        }
    }
    return rows;
}

// A packed matrix in memory that ends at an unmapped page.
class PackedMatrix {
  public:
    PackedMatrix(uint32_t type, uint32_t n_rows, uint32_t n_cols, const std::vector<uint8_t>& rows)
        : tiles_(bytes(type, n_rows, n_cols, shape), Guard::kBehind) {
        shape.tiles = tiles_.as<u8>();
        const auto* t = llx_type_traits(type);
        const size_t row_bytes = static_cast<size_t>(n_cols) / t->block_values * t->block_bytes;
        for (uint32_t i = 0; i < shape.n_tiles; i++) {
            const uint32_t n = std::min(n_rows - i * LLX_TILE_ROWS, LLX_TILE_ROWS);
            llx_pack_tile(&shape, rows.data() + i * LLX_TILE_ROWS * row_bytes, n,
                          shape.tiles + i * shape.tile_bytes);
        }
    }

    llx_matrix shape{};

  private:
    static size_t bytes(uint32_t type, uint32_t n_rows, uint32_t n_cols, llx_matrix& shape) {
        if (llx_matrix_shape(&shape, type, n_rows, n_cols) != 0)
            throw std::bad_alloc();
        return shape.tile_bytes * shape.n_tiles;
    }
    GuardedBuffer tiles_;
};

inline std::vector<float> random_floats(size_t n, std::mt19937& random) {
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (float& v : x)
        v = normal(random);
    return x;
}

}  // namespace llamux::test
