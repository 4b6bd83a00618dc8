// SPDX-License-Identifier: GPL-2.0-only
#include "support/quantize.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "support/engine.hpp"

extern "C" {
#include "engine/quant.h"
}

namespace llamux {

namespace {

uint16_t to_half(float x) {
    llx_f32 bits;
    uint16_t half = 0;
    std::memcpy(&bits, &x, sizeof(x));
    llx_kernels_select(0, "generic")->to_f16(&bits, 1, &half);
    return half;
}

float from_half(uint16_t half) {
    llx_f32 bits;
    float x = 0;
    llx_kernels_select(0, "generic")->from_f16(&half, 1, &bits);
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}

uint16_t to_bfloat(float x) {
    uint32_t bits = 0;
    std::memcpy(&bits, &x, sizeof(x));
    if (std::isnan(x))
        return static_cast<uint16_t>(bits >> 16 | 64);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename Block>
void append(std::vector<uint8_t>& out, const Block& block) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&block);
    out.insert(out.end(), bytes, bytes + sizeof(block));
}

float inverse_or_zero(float d) {
    return d != 0.0F ? 1.0F / d : 0.0F;
}

llx_block_q8_0 block_q8_0(std::span<const float> x) {
    float largest = 0.0F;
    for (const float v : x)
        largest = std::max(largest, std::abs(v));
    const float d = largest / 127.0F;
    const float inverse = inverse_or_zero(d);
    llx_block_q8_0 block{};
    block.d = to_half(d);
    for (size_t i = 0; i < 32; i++)
        block.qs[i] = static_cast<int8_t>(std::round(x[i] * inverse));
    return block;
}

llx_block_q4_0 block_q4_0(std::span<const float> x) {
    float largest = 0.0F;  // with its sign: it becomes -8
    for (const float v : x)
        if (std::abs(v) > std::abs(largest))
            largest = v;
    const float d = largest / -8.0F;
    const float inverse = inverse_or_zero(d);
    const auto quantum = [&](size_t i) {
        return static_cast<uint8_t>(std::min(15, static_cast<int>(x[i] * inverse + 8.5F)));
    };
    llx_block_q4_0 block{};
    block.d = to_half(d);
    for (size_t i = 0; i < 16; i++)
        block.qs[i] = static_cast<uint8_t>(quantum(i) | quantum(i + 16) << 4);
    return block;
}

// --- Scales with an offset: x ~ scale * q - minimum, q in 0..top, minimum >= 0

struct Affine {
    float scale = 0.0F;
    float minimum = 0.0F;
};

int quantum_of(float x, const Affine& a, int top) {
    if (a.scale == 0.0F)
        return 0;
    return std::clamp(static_cast<int>(std::nearbyint((x + a.minimum) / a.scale)), 0, top);
}

double error_of(std::span<const float> x, std::span<const float> weight, const Affine& a, int top) {
    double error = 0.0;
    for (size_t i = 0; i < x.size(); i++) {
        const double off =
            static_cast<double>(a.scale) * quantum_of(x[i], a, top) - a.minimum - x[i];
        error += weight[i] * off * off;
    }
    return error;
}

// The weighted least squares fit for the quanta that `a` assigns.
Affine refit(std::span<const float> x, std::span<const float> weight, const Affine& a, int top) {
    double w = 0.0;
    double wq = 0.0;
    double wqq = 0.0;
    double wx = 0.0;
    double wxq = 0.0;
    for (size_t i = 0; i < x.size(); i++) {
        const double q = quantum_of(x[i], a, top);
        w += weight[i];
        wq += weight[i] * q;
        wqq += weight[i] * q * q;
        wx += static_cast<double>(weight[i]) * x[i];
        wxq += weight[i] * q * x[i];
    }
    const double determinant = w * wqq - wq * wq;
    if (determinant <= 0.0)
        return a;
    const double minimum = (wq * wxq - wqq * wx) / determinant;
    if (minimum >= 0.0)
        return {static_cast<float>((w * wxq - wx * wq) / determinant), static_cast<float>(minimum)};
    return {static_cast<float>(wqq > 0.0 ? wxq / wqq : 0.0), 0.0F};
}

Affine fit_affine(std::span<const float> x, std::span<const float> weight, int top) {
    const float lowest = std::min(0.0F, *std::min_element(x.begin(), x.end()));
    const float highest = *std::max_element(x.begin(), x.end());
    if (highest <= lowest)
        return {0.0F, -lowest};
    Affine best{(highest - lowest) / static_cast<float>(top), -lowest};
    double least = error_of(x, weight, best, top);
    // Grids from one quantum coarser to one finer than the range.
    for (int step = -10; step <= 10; step++) {
        Affine trial{
            (highest - lowest) / (static_cast<float>(top) + 0.1F * static_cast<float>(step)),
            -lowest};
        for (int round = 0; round < 3; round++) {
            trial = refit(x, weight, trial, top);
            if (trial.scale <= 0.0F)
                break;
            const double error = error_of(x, weight, trial, top);
            if (error < least) {
                least = error;
                best = trial;
            }
        }
    }
    return best;
}

// Q4_K and Q5_K up to the place of their bits.
struct SuperBlock {
    uint16_t d = 0;
    uint16_t dmin = 0;
    std::array<uint8_t, 8> scale{};
    std::array<uint8_t, 8> minimum{};
    std::array<uint8_t, LLX_QK_K> q{};
};

// Tries the neighbours of the rounded 6-bit scale and minimum too.
void round_affine(std::span<const float> x, std::span<const float> weight, const Affine& fit,
                  int top, float d, float dmin, uint8_t& scale, uint8_t& minimum) {
    const int near_scale = static_cast<int>(std::nearbyint(fit.scale * inverse_or_zero(d)));
    const int near_minimum = static_cast<int>(std::nearbyint(fit.minimum * inverse_or_zero(dmin)));
    double least = std::numeric_limits<double>::infinity();
    for (int ds = -1; ds <= 1; ds++) {
        for (int dm = -1; dm <= 1; dm++) {
            const int s = std::clamp(near_scale + ds, 0, 63);
            const int m = std::clamp(near_minimum + dm, 0, 63);
            const double error =
                error_of(x, weight, {d * static_cast<float>(s), dmin * static_cast<float>(m)}, top);
            if (error < least) {
                least = error;
                scale = static_cast<uint8_t>(s);
                minimum = static_cast<uint8_t>(m);
            }
        }
    }
}

SuperBlock super_block(std::span<const float> x, int top) {
    std::array<float, LLX_QK_K> weight{};
    std::array<Affine, 8> fits{};
    float max_scale = 0.0F;
    float max_minimum = 0.0F;
    for (size_t j = 0; j < 8; j++) {
        const auto sub = x.subspan(32 * j, 32);
        float squares = 0.0F;
        for (const float v : sub)
            squares += v * v;
        for (size_t i = 0; i < 32; i++)
            weight[32 * j + i] = std::sqrt(squares / 32.0F) + std::abs(sub[i]);
        fits[j] = fit_affine(sub, std::span(weight).subspan(32 * j, 32), top);
        max_scale = std::max(max_scale, fits[j].scale);
        max_minimum = std::max(max_minimum, fits[j].minimum);
    }
    SuperBlock block;
    block.d = to_half(max_scale / 63.0F);
    block.dmin = to_half(max_minimum / 63.0F);
    const float d = from_half(block.d);
    const float dmin = from_half(block.dmin);
    for (size_t j = 0; j < 8; j++) {
        const auto sub = x.subspan(32 * j, 32);
        round_affine(sub, std::span(weight).subspan(32 * j, 32), fits[j], top, d, dmin,
                     block.scale[j], block.minimum[j]);
        const Affine a{d * block.scale[j], dmin * block.minimum[j]};
        for (size_t i = 0; i < 32; i++)
            block.q[32 * j + i] = static_cast<uint8_t>(quantum_of(sub[i], a, top));
    }
    return block;
}

void put_scales(const SuperBlock& from, uint8_t* scales) {
    for (size_t j = 0; j < 4; j++) {
        scales[j] = static_cast<uint8_t>(from.scale[j] | from.scale[j + 4] >> 4 << 6);
        scales[j + 4] = static_cast<uint8_t>(from.minimum[j] | from.minimum[j + 4] >> 4 << 6);
        scales[j + 8] = static_cast<uint8_t>((from.scale[j + 4] & 15) | from.minimum[j + 4] << 4);
    }
}

void put_nibbles(const SuperBlock& from, uint8_t* qs) {
    for (size_t j = 0; j < 8; j += 2)
        for (size_t l = 0; l < 32; l++)
            qs[16 * j + l] = static_cast<uint8_t>((from.q[32 * j + l] & 15) |
                                                  (from.q[32 * j + 32 + l] & 15) << 4);
}

llx_block_q4_k block_q4_k(std::span<const float> x) {
    const SuperBlock from = super_block(x, 15);
    llx_block_q4_k block{};
    block.d = from.d;
    block.dmin = from.dmin;
    put_scales(from, block.scales);
    put_nibbles(from, block.qs);
    return block;
}

llx_block_q5_k block_q5_k(std::span<const float> x) {
    const SuperBlock from = super_block(x, 31);
    llx_block_q5_k block{};
    block.d = from.d;
    block.dmin = from.dmin;
    put_scales(from, block.scales);
    put_nibbles(from, block.qs);
    for (size_t i = 0; i < LLX_QK_K; i++)
        block.qh[i % 32] = static_cast<uint8_t>(block.qh[i % 32] | from.q[i] >> 4 << (i / 32));
    return block;
}

// --- Scales without an offset: x ~ scale * q, q in -32..31 ---------------------

int quantum_of(float x, float scale) {
    if (scale == 0.0F)
        return 0;
    return std::clamp(static_cast<int>(std::nearbyint(x / scale)), -32, 31);
}

// Errors count by the square of the value: large weights matter most.
double error_of(std::span<const float> x, float scale) {
    double error = 0.0;
    for (const float v : x) {
        const double off = static_cast<double>(scale) * quantum_of(v, scale) - v;
        error += static_cast<double>(v) * v * off * off;
    }
    return error;
}

float refit(std::span<const float> x, float scale) {
    double qq = 0.0;
    double xq = 0.0;
    for (const float v : x) {
        const double q = quantum_of(v, scale);
        qq += static_cast<double>(v) * v * q * q;
        xq += static_cast<double>(v) * v * v * q;
    }
    return qq > 0.0 ? static_cast<float>(xq / qq) : scale;
}

float fit_linear(std::span<const float> x) {
    float largest = 0.0F;
    for (const float v : x)
        if (std::abs(v) > std::abs(largest))
            largest = v;
    if (largest == 0.0F)
        return 0.0F;
    float best = largest / -32.0F;
    double least = error_of(x, best);
    for (int step = -9; step <= 9; step++) {
        float trial = -largest / (32.0F + 0.1F * static_cast<float>(step));
        for (int round = 0; round < 3; round++) {
            trial = refit(x, trial);
            const double error = error_of(x, trial);
            if (error < least) {
                least = error;
                best = trial;
            }
        }
    }
    return best;
}

int round_linear(std::span<const float> x, float fit, float d) {
    const int near = static_cast<int>(std::nearbyint(fit * inverse_or_zero(d)));
    double least = std::numeric_limits<double>::infinity();
    int best = 0;
    for (int step = -1; step <= 1; step++) {
        const int scale = std::clamp(near + step, -128, 127);
        const double error = error_of(x, d * static_cast<float>(scale));
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

llx_block_q6_k block_q6_k(std::span<const float> x) {
    std::array<float, 16> fits{};
    float largest = 0.0F;
    for (size_t j = 0; j < 16; j++) {
        fits[j] = fit_linear(x.subspan(16 * j, 16));
        if (std::abs(fits[j]) > std::abs(largest))
            largest = fits[j];
    }
    llx_block_q6_k block{};
    block.d = to_half(largest / -128.0F);
    const float d = from_half(block.d);
    for (size_t i = 0; i < LLX_QK_K; i++) {
        const size_t j = i / 16;
        if (i % 16 == 0)
            block.scales[j] = static_cast<int8_t>(round_linear(x.subspan(i, 16), fits[j], d));
        const int q = quantum_of(x[i], d * block.scales[j]) + 32;
        const size_t run = i % 128 / 32;
        uint8_t& low = block.ql[i / 128 * 64 + run % 2 * 32 + i % 32];
        uint8_t& high = block.qh[i / 128 * 32 + i % 32];
        low = static_cast<uint8_t>(low | (q & 15) << (run / 2 * 4));
        high = static_cast<uint8_t>(high | q >> 4 << (2 * run));
    }
    return block;
}

}  // namespace

std::vector<uint8_t> quantize_row(uint32_t type, std::span<const float> row) {
    const auto* traits = llx_type_traits(type);
    std::vector<uint8_t> out;
    if (traits->tile_block_bytes == 0 || row.size() % traits->block_values != 0)
        std::abort();  // the caller's mistake
    out.reserve(row.size() / traits->block_values * traits->block_bytes);
    for (size_t i = 0; i < row.size(); i += traits->block_values) {
        const auto block = row.subspan(i, traits->block_values);
        switch (type) {
            case LLX_TYPE_F32:
                append(out, block[0]);
                break;
            case LLX_TYPE_F16:
                append(out, to_half(block[0]));
                break;
            case LLX_TYPE_BF16:
                append(out, to_bfloat(block[0]));
                break;
            case LLX_TYPE_Q8_0:
                append(out, block_q8_0(block));
                break;
            case LLX_TYPE_Q4_0:
                append(out, block_q4_0(block));
                break;
            case LLX_TYPE_Q4_K:
                append(out, block_q4_k(block));
                break;
            case LLX_TYPE_Q5_K:
                append(out, block_q5_k(block));
                break;
            case LLX_TYPE_Q6_K:
                append(out, block_q6_k(block));
                break;
            default:
                std::abort();
        }
    }
    return out;
}

std::vector<uint8_t> quantize_rows(uint32_t type, std::span<const float> values, size_t n_cols) {
    std::vector<uint8_t> out;
    for (size_t i = 0; i < values.size(); i += n_cols) {
        const auto row = quantize_row(type, values.subspan(i, n_cols));
        out.insert(out.end(), row.begin(), row.end());
    }
    return out;
}

}  // namespace llamux
