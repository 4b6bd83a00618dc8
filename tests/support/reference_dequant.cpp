// SPDX-License-Identifier: GPL-2.0-only
#include "support/reference_dequant.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace llamux::test {

namespace {

uint16_t read_u16(const uint8_t* p) {
    return static_cast<uint16_t>(p[0] | p[1] << 8);
}

float as_float(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}

// scale * q - minimum, where scale = d * sc and minimum = dmin * m
Weight affine(double d, double sc, double q, double dmin, double m) {
    const float scale = static_cast<float>(d) * static_cast<float>(sc);
    const float minimum = static_cast<float>(dmin) * static_cast<float>(m);
    const float product = scale * static_cast<float>(q);
    return {product - minimum, d * sc * q - dmin * m, std::abs(d * sc * q) + std::abs(dmin * m)};
}

Weight linear(double d, double sc, double q) {
    const float scale = static_cast<float>(d) * static_cast<float>(sc);
    return {scale * static_cast<float>(q), d * sc * q, std::abs(d * sc * q)};
}

Weight plain(double x) {
    return {static_cast<float>(x), x, std::abs(x)};
}

// The eight 6-bit scales and minimums of Q4_K and Q5_K lie in 12 bytes:
// 0..3: low 6 bits scale j; 4..7: low 6 bits minimum j; 8..11: nibbles of
// scale and minimum j + 4, whose upper 2 bits are on top of bytes 0..3, 4..7.
int scale_of(const uint8_t* s, int j) {
    return j < 4 ? s[j] % 64 : s[j + 4] % 16 + s[j - 4] / 64 * 16;
}
int minimum_of(const uint8_t* s, int j) {
    return j < 4 ? s[j + 4] % 64 : s[j + 4] / 16 + s[j] / 64 * 16;
}

void block_q8_0(const uint8_t* b, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b));
    for (int i = 0; i < 32; i++)
        out.push_back(linear(d, 1, static_cast<int8_t>(b[2 + i])));
}

void block_q4_0(const uint8_t* b, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b));
    for (int i = 0; i < 16; i++)
        out.push_back(linear(d, 1, b[2 + i] % 16 - 8));
    for (int i = 0; i < 16; i++)
        out.push_back(linear(d, 1, b[2 + i] / 16 - 8));
}

// d * q + m: as affine() with a minimum of -m.
void block_q4_1(const uint8_t* b, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b));
    const double m = reference_half(read_u16(b + 2));
    for (int i = 0; i < 16; i++)
        out.push_back(affine(d, 1, b[4 + i] % 16, -m, 1));
    for (int i = 0; i < 16; i++)
        out.push_back(affine(d, 1, b[4 + i] / 16, -m, 1));
}

// Bytes: d, [m,] 4 of fifth bits, 16 of nibbles.
void block_q5(const uint8_t* b, bool minimum, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b));
    const double m = minimum ? reference_half(read_u16(b + 2)) : 0.0;
    const uint8_t* qh = b + (minimum ? 4 : 2);
    const uint8_t* qs = qh + 4;
    for (int i = 0; i < 32; i++) {
        const int low = i < 16 ? qs[i] % 16 : qs[i - 16] / 16;
        const int q = low + 16 * (qh[i / 8] >> (i % 8) & 1);
        out.push_back(minimum ? affine(d, 1, q, -m, 1) : linear(d, 1, q - 16));
    }
}

// Bytes: 16 of scales and minimums, 64 of bit pairs, d, dmin.
void block_q2_k(const uint8_t* b, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b + 80));
    const double dmin = reference_half(read_u16(b + 82));
    for (int i = 0; i < 256; i++) {
        const int q = b[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        out.push_back(affine(d, b[i / 16] % 16, q, dmin, b[i / 16] / 16));
    }
}

// Bytes: 32 of third bits, 64 of bit pairs, 12 of scales, d. The 6-bit scales lie
// as 16 nibbles in 8 bytes, bytes 0..7 low first, then 16 bit pairs in 4.
void block_q3_k(const uint8_t* b, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b + 108));
    const uint8_t* scales = b + 96;
    for (int i = 0; i < 256; i++) {
        const int j = i / 16;
        const int nibble = j < 8 ? scales[j] % 16 : scales[j - 8] / 16;
        const int sc = nibble + 16 * (scales[8 + j % 4] >> (j / 4 * 2) & 3) - 32;
        const int low = b[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        const int third = b[i % 32] >> (i / 32) & 1;
        out.push_back(linear(d, sc, low + 4 * third - 4));
    }
}

// Bytes: d, dmin, 12 of scales, [32 of fifth bits,] 128 of nibbles.
void block_q45_k(const uint8_t* b, bool fifth, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b));
    const double dmin = reference_half(read_u16(b + 2));
    const uint8_t* scales = b + 4;
    const uint8_t* qh = b + 16;
    const uint8_t* qs = b + (fifth ? 48 : 16);
    for (int j = 0; j < 8; j++) {
        for (int l = 0; l < 32; l++) {
            const uint8_t byte = qs[j / 2 * 32 + l];
            int q = j % 2 == 0 ? byte % 16 : byte / 16;
            if (fifth && (qh[l] >> j & 1) != 0)
                q += 16;
            out.push_back(affine(d, scale_of(scales, j), q, dmin, minimum_of(scales, j)));
        }
    }
}

void block_q6_k(const uint8_t* b, std::vector<Weight>& out) {
    const double d = reference_half(read_u16(b + 208));
    for (int i = 0; i < 256; i++) {
        const int half = i / 128;
        const int run = i % 128 / 32;
        const int l = i % 32;
        const uint8_t byte = b[half * 64 + run % 2 * 32 + l];
        const int low = run < 2 ? byte % 16 : byte / 16;
        const int high = b[128 + half * 32 + l] >> (2 * run) & 3;
        const int sc = static_cast<int8_t>(b[192 + i / 16]);
        out.push_back(linear(d, sc, low + 16 * high - 32));
    }
}

}  // namespace

double reference_half(uint16_t bits) {
    const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
    const int exponent = bits >> 10 & 31;
    const int mantissa = bits & 1023;
    if (exponent == 31 && mantissa != 0)
        return std::numeric_limits<double>::quiet_NaN();
    if (exponent == 31)
        return sign * std::numeric_limits<double>::infinity();
    if (exponent == 0)
        return sign * std::ldexp(mantissa, -24);
    return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

std::vector<Weight> reference_dequantize(uint32_t type, const uint8_t* row, size_t n) {
    std::vector<Weight> out;
    out.reserve(n);
    while (out.size() < n) {
        switch (type) {
            case 0: {
                uint32_t bits;
                std::memcpy(&bits, row, 4);
                out.push_back(plain(as_float(bits)));
                row += 4;
                break;
            }
            case 1:
                out.push_back(plain(reference_half(read_u16(row))));
                row += 2;
                break;
            case 30:
                out.push_back(plain(as_float(static_cast<uint32_t>(read_u16(row)) << 16)));
                row += 2;
                break;
            case 2:
                block_q4_0(row, out);
                row += 18;
                break;
            case 8:
                block_q8_0(row, out);
                row += 34;
                break;
            case 3:
                block_q4_1(row, out);
                row += 20;
                break;
            case 6:
                block_q5(row, false, out);
                row += 22;
                break;
            case 7:
                block_q5(row, true, out);
                row += 24;
                break;
            case 10:
                block_q2_k(row, out);
                row += 84;
                break;
            case 11:
                block_q3_k(row, out);
                row += 110;
                break;
            case 12:
                block_q45_k(row, false, out);
                row += 144;
                break;
            case 13:
                block_q45_k(row, true, out);
                row += 176;
                break;
            case 14:
                block_q6_k(row, out);
                row += 210;
                break;
            default:
                std::abort();  // the test asked for a type that it does not know
        }
    }
    return out;
}

}  // namespace llamux::test
