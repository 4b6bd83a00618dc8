// SPDX-License-Identifier: GPL-2.0-only
//
// Every row function of every table against the generic one, bit for bit.
// Catches: tails that are forgotten or done twice, reads and writes outside the
// row (unmapped pages on both sides), an order of additions that differs, and
// special values (NaN, infinities, subnormals, zeros of both signs) that one
// instruction treats in another way than the plain loop.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "simd/weights.hpp"
#include "support/cpu_features.hpp"
#include "support/reference_dequant.hpp"

namespace llamux::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

enum class Values { kNormal, kWide, kSpecial };

float special(std::mt19937& random) {
    static const std::vector<float> values = {
        0.0F,    -0.0F,   1.0F,     -1.0F,   kInf,   -kInf,   kNan,   1e-45F,
        -1e-45F, 1e-38F,  1.2e-38F, 65504,   65519,  65520,   -65536, 6e-8F,
        3e-8F,   2.9e-8F, 6.1e-5F,  3.4e38F, -3e38F, 88.7F,   88.8F,  104,
        -87.3F,  -103.9F, -104.0F,  -104.1F, 1e30F,  -1e-30F, 0.5F,   -0.5F};
    return values[random() % values.size()];
}

std::vector<float> make(Values kind, size_t n, std::mt19937& random) {
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (float& v : x) {
        if (kind == Values::kNormal)
            v = normal(random);
        else if (kind == Values::kWide)
            v = value_of({static_cast<u32>(random())});  // every bit pattern
        else
            v = random() % 8 == 0 ? special(random) : normal(random);
    }
    return x;
}

bool same(u32 a, u32 b) {
    return a == b || (std::isnan(value_of({a})) && std::isnan(value_of({b})));
}

// One call: three inputs of n values (the third also as f16), one output of n
// values and one number.
struct Call {
    const llx_f32* x;
    const llx_f32* w;
    const u16* half;
    llx_f32* out;
    u16* out_half;
    llx_f32 number;
    u32 n;
};

u32 rows(const Call& c) {
    return std::min(c.n, 6U);
}

struct Function {
    const char* name;
    std::function<void(const llx_kernels&, Call&)> run;
};

// In-place functions work on `out`, which holds a copy of w.
const std::vector<Function> kFunctions = {
    {"sum_squares", [](const llx_kernels& k, Call& c) { c.number = k.sum_squares(c.x, c.n); }},
    {"scale_rows",
     [](const llx_kernels& k, Call& c) { k.scale_rows(c.x, c.number, c.w, c.n, c.out); }},
    // Rows begin one value apart, so that n values hold a few of them.
    {"dot_rows", [](const llx_kernels& k,
                    Call& c) { k.dot_rows(c.x, c.half, 1, rows(c), c.n - rows(c), c.out); }},
    {"axpy_rows", [](const llx_kernels& k,
                     Call& c) { k.axpy_rows(c.w, c.half, 1, rows(c), c.n - rows(c), c.out); }},
    {"add", [](const llx_kernels& k, Call& c) { k.add(c.x, c.n, c.out); }},
    {"scale", [](const llx_kernels& k, Call& c) { k.scale(c.number, c.n, c.out); }},
    {"swiglu", [](const llx_kernels& k, Call& c) { k.swiglu(c.out, c.x, c.n); }},
    {"exp_sum", [](const llx_kernels& k, Call& c) { c.number = k.exp_sum(c.out, c.n, c.number); }},
    {"largest", [](const llx_kernels& k, Call& c) { c.number = k.largest(c.x, c.n); }},
    {"to_f16", [](const llx_kernels& k, Call& c) { k.to_f16(c.x, c.n, c.out_half); }},
    {"from_f16", [](const llx_kernels& k, Call& c) { k.from_f16(c.half, c.n, c.out); }},
    // n values as f16 have the bytes of more than n / 32 blocks.
    {"q8_0_to_f16",
     [](const llx_kernels& k, Call& c) {
         k.q8_0_to_f16(reinterpret_cast<const llx_block_q8_0*>(c.half), c.n / LLX_QK, c.out_half);
     }},
};

struct Result {
    std::vector<u32> out;
    std::vector<u16> half;
    u32 number;
};

Result run(const Function& f, const llx_kernels& k, const std::vector<float>& x,
           const std::vector<float>& w, const std::vector<u16>& half, float number, Guard guard,
           size_t shift) {
    const size_t n = x.size();
    const GuardedBuffer in_x(4 * n, guard, shift);
    const GuardedBuffer in_w(4 * n, guard, shift);
    const GuardedBuffer in_half(2 * n, guard, shift);
    const GuardedBuffer out(4 * n, guard, shift);
    const GuardedBuffer out_half(2 * n, guard, shift);
    std::copy(x.begin(), x.end(), in_x.as<float>());
    std::copy(w.begin(), w.end(), in_w.as<float>());
    std::copy(w.begin(), w.end(), out.as<float>());
    std::copy(half.begin(), half.end(), in_half.as<u16>());
    Call call{in_x.as<llx_f32>(), in_w.as<llx_f32>(), in_half.as<u16>(),  out.as<llx_f32>(),
              out_half.as<u16>(), bits_of(number),    static_cast<u32>(n)};
    f.run(k, call);
    Result result{{}, {}, call.number.bits};
    for (size_t i = 0; i < n; i++) {
        result.out.push_back(out.as<llx_f32>()[i].bits);
        result.half.push_back(out_half.as<u16>()[i]);
    }
    return result;
}

TEST(Rows, TablesAgreeBitForBitOnEveryLength) {
    std::mt19937 random(1);
    for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++) {
        if (llx_kernels_select(testable_features(), (*k)->name) == nullptr)
            continue;
        for (const Values kind : {Values::kNormal, Values::kWide, Values::kSpecial}) {
            for (size_t n = 0; n <= 83; n++) {
                const auto x = make(kind, n, random);
                const auto w = make(kind, n, random);
                std::vector<u16> half(n);
                for (u16& h : half)
                    h = static_cast<u16>(random());
                const float number = kind == Values::kSpecial ? special(random) : 0.37F;
                const auto guard = n % 2 == 0 ? Guard::kBehind : Guard::kBefore;
                const size_t shift = random() % 4 * 4;
                for (const Function& f : kFunctions) {
                    const Result expected =
                        run(f, *llx_kernels_select(0, "generic"), x, w, half, number, guard, shift);
                    for (const size_t at : {size_t{0}, shift}) {
                        const Result got = run(f, **k, x, w, half, number, guard, at);
                        ASSERT_TRUE(same(got.number, expected.number))
                            << (*k)->name << ' ' << f.name << " n " << n << ": "
                            << value_of({got.number}) << " instead of "
                            << value_of({expected.number});
                        for (size_t i = 0; i < n; i++)
                            ASSERT_TRUE(same(got.out[i], expected.out[i]))
                                << (*k)->name << ' ' << f.name << " n " << n << " at " << i << ": "
                                << value_of({got.out[i]}) << " instead of "
                                << value_of({expected.out[i]});
                        ASSERT_EQ(got.half, expected.half) << (*k)->name << ' ' << f.name;
                    }
                }
            }
        }
    }
}

// Catches: another rounding of activations, wrong sums, the traps of blocks
// that hold zeros, tiny, huge or no numbers.
TEST(Rows, QuantizeAgreesBitForBit) {
    std::mt19937 random(2);
    const llx_kernels* generic = llx_kernels_select(0, "generic");
    for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++) {
        if (llx_kernels_select(testable_features(), (*k)->name) == nullptr)
            continue;
        for (int round = 0; round < 600; round++) {
            const auto kind = static_cast<Values>(round % 3);
            const u32 n = 32 * (round % 5);
            auto x = make(kind, n, random);
            const float factor = std::ldexp(1.0F, static_cast<int>(random() % 260) - 140);
            if (kind == Values::kNormal)
                for (float& v : x)
                    v *= factor;
            const GuardedBuffer in(4 * n, Guard::kBehind);
            const GuardedBuffer a(n / 32 * sizeof(llx_act_block), Guard::kBehind);
            const GuardedBuffer b(n / 32 * sizeof(llx_act_block), Guard::kBehind);
            std::copy(x.begin(), x.end(), in.as<float>());
            generic->quantize_row(in.as<llx_f32>(), n, a.as<llx_act_block>());
            (*k)->quantize_row(in.as<llx_f32>(), n, b.as<llx_act_block>());
            ASSERT_EQ(0, std::memcmp(a.as<u8>(), b.as<u8>(), n / 32 * sizeof(llx_act_block)))
                << (*k)->name << " round " << round;
        }
    }
}

// Catches: a scale or a sum that does not belong to the quanta; an error above
// half a step; -128, which no kernel expects.
TEST(Rows, QuantizeIsWithinHalfAStep) {
    std::mt19937 random(3);
    const auto x = random_floats(32 * 300, random);
    std::vector<llx_act_block> blocks(300);
    std::vector<llx_f32> bits(x.size());
    std::memcpy(bits.data(), x.data(), 4 * x.size());
    llx_kernels_select(0, "generic")->quantize_row(bits.data(), x.size(), blocks.data());
    for (size_t i = 0; i < x.size(); i++) {
        const llx_act_block& block = blocks[i / 32];
        EXPECT_GE(block.q[i % 32], -127);
        EXPECT_NEAR(block.q[i % 32] * value_of(block.d), x[i], value_of(block.d) * 0.50001F);
    }
    for (const llx_act_block& block : blocks)
        for (int half = 0; half < 2; half++) {
            int sum = 0;
            for (int i = 0; i < 16; i++)
                sum += block.q[16 * half + i];
            EXPECT_EQ(block.bsum[half], sum);
        }
}

// Catches: a conversion that is wrong for some f16: all 65536 are tried, there
// and back, against the definition of the format.
TEST(Rows, HalfConversionIsExactBothWays) {
    std::vector<u16> half(65536);
    for (size_t i = 0; i < half.size(); i++)
        half[i] = static_cast<u16>(i);
    for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++) {
        if (llx_kernels_select(testable_features(), (*k)->name) == nullptr)
            continue;
        std::vector<llx_f32> wide(half.size());
        std::vector<u16> back(half.size());
        (*k)->from_f16(half.data(), half.size(), wide.data());
        (*k)->to_f16(wide.data(), half.size(), back.data());
        for (size_t i = 0; i < half.size(); i++) {
            const double expected = reference_half(half[i]);
            if (std::isnan(expected)) {
                EXPECT_TRUE(std::isnan(value_of(wide[i])));
                continue;
            }
            ASSERT_EQ(value_of(wide[i]), expected) << (*k)->name << " of " << i;
            ASSERT_EQ(back[i], half[i]) << (*k)->name;
        }
    }
}

// Catches: rounding to f16 that is not to the nearest, or not to even at ties.
TEST(Rows, HalfRoundsToNearestEven) {
    const llx_kernels* generic = llx_kernels_select(0, "generic");
    for (u16 h = 0; h < 0x7bff; h++) {
        const double low = reference_half(h);
        const double high = reference_half(static_cast<u16>(h + 1));
        const float middle = static_cast<float>((low + high) / 2);  // exact in f32
        const std::vector<llx_f32> x = {bits_of(middle), bits_of(std::nextafter(middle, 0.0F)),
                                        bits_of(std::nextafter(middle, kInf))};
        std::vector<u16> out(3);
        generic->to_f16(x.data(), 3, out.data());
        ASSERT_EQ(out[0], h % 2 == 0 ? h : h + 1);
        ASSERT_EQ(out[1], h);
        ASSERT_EQ(out[2], h + 1);
    }
}

// Catches: an exponential off by more than 2 units in the last place anywhere,
// and wrong ends (0, infinity, subnormal results).
TEST(Rows, ExpIsWithinTwoUlp) {
    const llx_kernels* generic = llx_kernels_select(0, "generic");
    double worst = 0.0;
    for (double at = -105.0; at < 90.0; at += 0.000731) {
        const auto x = static_cast<float>(at);
        llx_f32 value = bits_of(x);
        generic->exp_sum(&value, 1, bits_of(0.0F));
        const long double exact = std::exp(static_cast<long double>(x));
        if (exact > 3.4028235e38L) {
            ASSERT_EQ(value_of(value), kInf) << x;
            continue;
        }
        const float nearest = std::max(static_cast<float>(exact), 1.17549435e-38F);
        const double ulp = std::nextafter(nearest, kInf) - static_cast<double>(nearest);
        worst = std::max(worst, static_cast<double>(std::abs(value_of(value) - exact)) / ulp);
    }
    EXPECT_LE(worst, 2.0);
    RecordProperty("worst_ulp", std::to_string(worst));
}

}  // namespace
}  // namespace llamux::test
