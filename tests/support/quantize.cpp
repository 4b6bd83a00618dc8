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

// The value with the largest magnitude.
float largest_of(std::span<const float> x) {
    float largest = 0.0F;
    for (const float v : x)
        if (std::abs(v) > std::abs(largest))
            largest = v;
    return largest;
}

// 32 quanta as a file has them: nibbles, and the fifth bits apart.
struct Quanta {
    std::array<uint8_t, 32> q{};

    void put_nibbles(uint8_t* qs) const {
        for (size_t i = 0; i < 16; i++)
            qs[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
    }
    void put_fifth(uint8_t* qh) const {
        for (size_t i = 0; i < 32; i++)
            qh[i / 8] = static_cast<uint8_t>(qh[i / 8] | q[i] >> 4 << (i % 8));
    }
};

// x ~ d * (q - offset), the largest x at q = 0
Quanta around_zero(std::span<const float> x, int offset, uint16_t& d) {
    const float step = largest_of(x) / static_cast<float>(-offset);
    const float inverse = inverse_or_zero(step);
    Quanta quanta;
    for (size_t i = 0; i < 32; i++) {
        const float near = x[i] * inverse + (static_cast<float>(offset) + 0.5F);
        quanta.q[i] = static_cast<uint8_t>(std::min(2 * offset - 1, static_cast<int>(near)));
    }
    d = to_half(step);
    return quanta;
}

// x ~ d * q + m, the range of x in top + 1 steps
Quanta over_range(std::span<const float> x, int top, uint16_t& d, uint16_t& m) {
    const float lowest = *std::min_element(x.begin(), x.end());
    const float highest = *std::max_element(x.begin(), x.end());
    const float step = (highest - lowest) / static_cast<float>(top);
    const float inverse = inverse_or_zero(step);
    Quanta quanta;
    for (size_t i = 0; i < 32; i++) {
        const float near = (x[i] - lowest) * inverse + 0.5F;
        quanta.q[i] = static_cast<uint8_t>(std::min(top, static_cast<int>(near)));
    }
    d = to_half(step);
    m = to_half(lowest);
    return quanta;
}

llx_block_q4_0 block_q4_0(std::span<const float> x) {
    llx_block_q4_0 block{};
    around_zero(x, 8, block.d).put_nibbles(block.qs);
    return block;
}

llx_block_q4_1 block_q4_1(std::span<const float> x) {
    llx_block_q4_1 block{};
    over_range(x, 15, block.d, block.m).put_nibbles(block.qs);
    return block;
}

llx_block_q5_0 block_q5_0(std::span<const float> x) {
    llx_block_q5_0 block{};
    const Quanta quanta = around_zero(x, 16, block.d);
    quanta.put_nibbles(block.qs);
    quanta.put_fifth(block.qh);
    return block;
}

llx_block_q5_1 block_q5_1(std::span<const float> x) {
    llx_block_q5_1 block{};
    const Quanta quanta = over_range(x, 31, block.d, block.m);
    quanta.put_nibbles(block.qs);
    quanta.put_fifth(block.qh);
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

// Q2_K, Q4_K and Q5_K up to the place of their bits.
struct AffineFormat {
    size_t sub;     // values of a sub-block
    int top;        // largest quantum
    int scale_top;  // largest scale and minimum
};
constexpr AffineFormat kQ2K = {16, 3, 15};
constexpr AffineFormat kQ4K = {32, 15, 63};
constexpr AffineFormat kQ5K = {32, 31, 63};

struct SuperBlock {
    uint16_t d = 0;
    uint16_t dmin = 0;
    std::array<uint8_t, 16> scale{};
    std::array<uint8_t, 16> minimum{};
    std::array<uint8_t, LLX_QK_K> q{};
};

// Tries the neighbours of the rounded scale and minimum too.
void round_affine(std::span<const float> x, std::span<const float> weight, const Affine& fit,
                  const AffineFormat& format, float d, float dmin, uint8_t& scale,
                  uint8_t& minimum) {
    const int near_scale = static_cast<int>(std::nearbyint(fit.scale * inverse_or_zero(d)));
    const int near_minimum = static_cast<int>(std::nearbyint(fit.minimum * inverse_or_zero(dmin)));
    double least = std::numeric_limits<double>::infinity();
    for (int ds = -1; ds <= 1; ds++) {
        for (int dm = -1; dm <= 1; dm++) {
            const int s = std::clamp(near_scale + ds, 0, format.scale_top);
            const int m = std::clamp(near_minimum + dm, 0, format.scale_top);
            const Affine trial{d * static_cast<float>(s), dmin * static_cast<float>(m)};
            const double error = error_of(x, weight, trial, format.top);
            if (error < least) {
                least = error;
                scale = static_cast<uint8_t>(s);
                minimum = static_cast<uint8_t>(m);
            }
        }
    }
}

SuperBlock super_block(std::span<const float> x, const AffineFormat& format) {
    const size_t n = format.sub;
    std::array<float, LLX_QK_K> weight{};
    std::array<Affine, 16> fits{};
    float max_scale = 0.0F;
    float max_minimum = 0.0F;
    for (size_t j = 0; j < LLX_QK_K / n; j++) {
        const auto sub = x.subspan(n * j, n);
        float squares = 0.0F;
        for (const float v : sub)
            squares += v * v;
        for (size_t i = 0; i < n; i++)
            weight[n * j + i] = std::sqrt(squares / static_cast<float>(n)) + std::abs(sub[i]);
        fits[j] = fit_affine(sub, std::span(weight).subspan(n * j, n), format.top);
        max_scale = std::max(max_scale, fits[j].scale);
        max_minimum = std::max(max_minimum, fits[j].minimum);
    }
    SuperBlock block;
    block.d = to_half(max_scale / static_cast<float>(format.scale_top));
    block.dmin = to_half(max_minimum / static_cast<float>(format.scale_top));
    const float d = from_half(block.d);
    const float dmin = from_half(block.dmin);
    for (size_t j = 0; j < LLX_QK_K / n; j++) {
        const auto sub = x.subspan(n * j, n);
        round_affine(sub, std::span(weight).subspan(n * j, n), fits[j], format, d, dmin,
                     block.scale[j], block.minimum[j]);
        const Affine a{d * block.scale[j], dmin * block.minimum[j]};
        for (size_t i = 0; i < n; i++)
            block.q[n * j + i] = static_cast<uint8_t>(quantum_of(sub[i], a, format.top));
    }
    return block;
}

// Bits 2 * run of the byte that value i shares with the other runs of 32.
void put_bit_pair(uint8_t* qs, size_t i, int pair) {
    uint8_t& byte = qs[i / 128 * 32 + i % 32];
    byte = static_cast<uint8_t>(byte | pair << (i % 128 / 32 * 2));
}

llx_block_q2_k block_q2_k(std::span<const float> x) {
    const SuperBlock from = super_block(x, kQ2K);
    llx_block_q2_k block{};
    block.d = from.d;
    block.dmin = from.dmin;
    for (size_t j = 0; j < 16; j++)
        block.scales[j] = static_cast<uint8_t>(from.scale[j] | from.minimum[j] << 4);
    for (size_t i = 0; i < LLX_QK_K; i++)
        put_bit_pair(block.qs, i, from.q[i]);
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
    const SuperBlock from = super_block(x, kQ4K);
    llx_block_q4_k block{};
    block.d = from.d;
    block.dmin = from.dmin;
    put_scales(from, block.scales);
    put_nibbles(from, block.qs);
    return block;
}

llx_block_q5_k block_q5_k(std::span<const float> x) {
    const SuperBlock from = super_block(x, kQ5K);
    llx_block_q5_k block{};
    block.d = from.d;
    block.dmin = from.dmin;
    put_scales(from, block.scales);
    put_nibbles(from, block.qs);
    for (size_t i = 0; i < LLX_QK_K; i++)
        block.qh[i % 32] = static_cast<uint8_t>(block.qh[i % 32] | from.q[i] >> 4 << (i / 32));
    return block;
}

// --- Scales without an offset: x ~ scale * q, q in -low..low - 1 ---------------

// Q3_K and Q6_K up to the place of their bits.
struct LinearFormat {
    int low;         // quanta are -low..low - 1
    int scale_low;   // and scales -scale_low..scale_low - 1
    bool by_square;  // errors count by the square of the value: large weights
                     // matter most, but wide steps lose too much of the others
};
constexpr LinearFormat kQ3K = {4, 32, false};
constexpr LinearFormat kQ6K = {32, 128, true};

int quantum_of(float x, float scale, const LinearFormat& format) {
    if (scale == 0.0F)
        return 0;
    return std::clamp(static_cast<int>(std::nearbyint(x / scale)), -format.low, format.low - 1);
}

double importance(double x, const LinearFormat& format) {
    return format.by_square ? x * x : 1.0;
}

double error_of(std::span<const float> x, float scale, const LinearFormat& format) {
    double error = 0.0;
    for (const float v : x) {
        const double off = static_cast<double>(scale) * quantum_of(v, scale, format) - v;
        error += importance(v, format) * off * off;
    }
    return error;
}

float refit(std::span<const float> x, float scale, const LinearFormat& format) {
    double qq = 0.0;
    double xq = 0.0;
    for (const float v : x) {
        const double q = quantum_of(v, scale, format);
        qq += importance(v, format) * q * q;
        xq += importance(v, format) * v * q;
    }
    return qq > 0.0 ? static_cast<float>(xq / qq) : scale;
}

float fit_linear(std::span<const float> x, const LinearFormat& format) {
    const float largest = largest_of(x);
    if (largest == 0.0F)
        return 0.0F;
    float best = largest / static_cast<float>(-format.low);
    double least = error_of(x, best, format);
    for (int step = -9; step <= 9; step++) {
        float trial = -largest / (static_cast<float>(format.low) + 0.1F * static_cast<float>(step));
        for (int round = 0; round < 3; round++) {
            trial = refit(x, trial, format);
            const double error = error_of(x, trial, format);
            if (error < least) {
                least = error;
                best = trial;
            }
        }
    }
    return best;
}

struct LinearSuperBlock {
    uint16_t d = 0;
    std::array<int8_t, 16> scale{};
    std::array<int8_t, LLX_QK_K> q{};
};

int round_linear(std::span<const float> x, float fit, float d, const LinearFormat& format) {
    const int near = static_cast<int>(std::nearbyint(fit * inverse_or_zero(d)));
    double least = std::numeric_limits<double>::infinity();
    int best = 0;
    for (int step = -1; step <= 1; step++) {
        const int scale = std::clamp(near + step, -format.scale_low, format.scale_low - 1);
        const double error = error_of(x, d * static_cast<float>(scale), format);
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

LinearSuperBlock linear_super_block(std::span<const float> x, const LinearFormat& format) {
    std::array<float, 16> fits{};
    for (size_t j = 0; j < 16; j++)
        fits[j] = fit_linear(x.subspan(16 * j, 16), format);
    LinearSuperBlock block;
    block.d = to_half(largest_of(fits) / static_cast<float>(-format.scale_low));
    const float d = from_half(block.d);
    for (size_t i = 0; i < LLX_QK_K; i++) {
        const size_t j = i / 16;
        if (i % 16 == 0)
            block.scale[j] =
                static_cast<int8_t>(round_linear(x.subspan(i, 16), fits[j], d, format));
        block.q[i] = static_cast<int8_t>(quantum_of(x[i], d * block.scale[j], format));
    }
    return block;
}

llx_block_q3_k block_q3_k(std::span<const float> x) {
    const LinearSuperBlock from = linear_super_block(x, kQ3K);
    llx_block_q3_k block{};
    block.d = from.d;
    for (size_t j = 0; j < 16; j++) {
        const int scale = from.scale[j] + 32;
        uint8_t& low = block.scales[j % 8];
        uint8_t& high = block.scales[8 + j % 4];
        low = static_cast<uint8_t>(low | (scale & 15) << (j / 8 * 4));
        high = static_cast<uint8_t>(high | scale >> 4 << (j / 4 * 2));
    }
    for (size_t i = 0; i < LLX_QK_K; i++) {
        const int q = from.q[i] + 4;
        uint8_t& third = block.hmask[i % 32];
        put_bit_pair(block.qs, i, q & 3);
        third = static_cast<uint8_t>(third | q >> 2 << (i / 32));
    }
    return block;
}

llx_block_q6_k block_q6_k(std::span<const float> x) {
    const LinearSuperBlock from = linear_super_block(x, kQ6K);
    llx_block_q6_k block{};
    block.d = from.d;
    std::copy(from.scale.begin(), from.scale.end(), block.scales);
    for (size_t i = 0; i < LLX_QK_K; i++) {
        const int q = from.q[i] + 32;
        const size_t run = i % 128 / 32;
        uint8_t& low = block.ql[i / 128 * 64 + run % 2 * 32 + i % 32];
        low = static_cast<uint8_t>(low | (q & 15) << (run / 2 * 4));
        put_bit_pair(block.qh, i, q >> 4);
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
            case LLX_TYPE_Q4_1:
                append(out, block_q4_1(block));
                break;
            case LLX_TYPE_Q5_0:
                append(out, block_q5_0(block));
                break;
            case LLX_TYPE_Q5_1:
                append(out, block_q5_1(block));
                break;
            case LLX_TYPE_Q2_K:
                append(out, block_q2_k(block));
                break;
            case LLX_TYPE_Q3_K:
                append(out, block_q3_k(block));
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
