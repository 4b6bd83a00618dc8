// SPDX-License-Identifier: GPL-2.0-only
//
// The transformer's row operations and the way from logits to a token, against
// plain formulas in long double. Catches: a wrong formula or order of sampling
// steps, functions of our own that are less exact than they say, results that
// depend on the table of kernels, and logits that are infinite or no numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "support/cpu_features.hpp"
#include "support/engine.hpp"

extern "C" {
#include "math/mathf.h"
}

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

llx_f32 bits_of(float x) {
    return mathf_put(x);
}
float value_of(llx_f32 x) {
    return mathf_get(x);
}

std::vector<llx_f32> to_bits(const std::vector<float>& x) {
    std::vector<llx_f32> bits(x.size());
    std::transform(x.begin(), x.end(), bits.begin(), bits_of);
    return bits;
}

std::vector<float> normal_values(size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (float& v : x)
        v = normal(random);
    return x;
}

const llx_kernels& generic() {
    return *llx_kernels_select(0, "generic");
}

std::vector<const llx_kernels*> tables() {
    std::vector<const llx_kernels*> found;
    for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++)
        if (llx_kernels_select(llamux::test::testable_features(), (*k)->name) == *k)
            found.push_back(*k);
    return found;
}

// The error in units of the last place of the exact result.
double ulps(double got, long double exact) {
    const double x = std::abs(static_cast<double>(exact));
    const double ulp = std::nextafter(x, std::numeric_limits<double>::infinity()) - x;
    return static_cast<double>(std::abs(got - exact) / ulp);
}

// --- Elementary functions ------------------------------------------------------

TEST(Mathf, ExpIsExactToOneUlp) {
    double worst = 0.0;
    for (double x = -708.0; x < 709.7; x += 0.00317)
        worst = std::max(worst, ulps(llx_mathf_exp(x), std::exp(static_cast<long double>(x))));
    EXPECT_LT(worst, 1.0);
    EXPECT_EQ(llx_mathf_exp(0.0), 1.0);
    EXPECT_EQ(llx_mathf_exp(-1000.0), 0.0);
    EXPECT_EQ(llx_mathf_exp(-std::numeric_limits<double>::infinity()), 0.0);
    EXPECT_EQ(llx_mathf_exp(1000.0), std::numeric_limits<double>::infinity());
    EXPECT_NEAR(llx_mathf_exp(-745.0), std::exp(-745.0), 5e-324);
    EXPECT_TRUE(std::isnan(llx_mathf_exp(kNan)));
}

TEST(Mathf, LogIsExactToOneUlp) {
    double worst = 0.0;
    for (double x = 1e-310; x < 1e308; x *= 1.00037)
        worst = std::max(worst, ulps(llx_mathf_log(x), std::log(static_cast<long double>(x))));
    for (double x = 0.5; x < 2.0; x += 0.0000117)
        worst = std::max(worst, ulps(llx_mathf_log(x), std::log(static_cast<long double>(x))));
    EXPECT_LT(worst, 1.0);
    EXPECT_EQ(llx_mathf_log(1.0), 0.0);
    EXPECT_EQ(llx_mathf_log(0.0), -std::numeric_limits<double>::infinity());
    EXPECT_TRUE(std::isnan(llx_mathf_log(-1.0)));
    EXPECT_TRUE(std::isnan(llx_mathf_log(kNan)));
}

TEST(Mathf, SinAndCosAreExactToAMillionthOfAMillionth) {
    std::mt19937_64 random(5);
    double worst = 0.0;
    for (int i = 0; i < 2000000; i++) {
        const double range = i % 2 == 0 ? 1.6e6 : 10.0;
        const double x = std::uniform_real_distribution<double>(-range, range)(random);
        double s = 0;
        double c = 0;
        llx_mathf_sincos(x, &s, &c);
        worst = std::max(worst,
                         static_cast<double>(std::abs(s - std::sin(static_cast<long double>(x)))));
        worst = std::max(worst,
                         static_cast<double>(std::abs(c - std::cos(static_cast<long double>(x)))));
    }
    EXPECT_LT(worst, 1e-15);
    double s = 0;
    double c = 0;
    llx_mathf_sincos(std::numeric_limits<double>::infinity(), &s, &c);
    EXPECT_TRUE(std::isnan(s) && std::isnan(c));
}

// --- Rows ----------------------------------------------------------------------

TEST(Ops, RmsnormFollowsTheFormula) {
    for (const llx_kernels* k : tables()) {
        for (const u32 n : {1U, 16U, 63U, 2048U}) {
            const auto x = normal_values(n, n);
            const auto w = normal_values(n, n + 1);
            std::vector<llx_f32> out(n);
            llx_op_rmsnorm(k, to_bits(x).data(), to_bits(w).data(), bits_of(1e-5F), n, out.data());
            long double squares = 0;
            for (const float v : x)
                squares += static_cast<long double>(v) * v;
            const long double scale = 1 / std::sqrt(squares / n + 1e-5F);
            for (u32 i = 0; i < n; i++) {
                const auto expected = static_cast<double>(x[i] * scale * w[i]);
                EXPECT_NEAR(value_of(out[i]), expected,
                            std::abs(expected) * (n / 16 + 12) * 0x1p-24);
            }
        }
    }
}

TEST(Ops, RmsnormOfZerosIsZero) {
    std::vector<llx_f32> x(64, llx_f32{0});
    std::vector<llx_f32> out(64);
    llx_op_rmsnorm(&generic(), x.data(), to_bits(normal_values(64, 1)).data(), bits_of(1e-5F), 64,
                   out.data());
    for (const llx_f32 v : out)
        EXPECT_EQ(value_of(v), 0.0F);
}

TEST(Ops, RopeTableIsExactUpToAMillion) {
    const u32 n_rot = 64;
    const u32 begin = 1000000 - 7;
    // Only the last rows are computed: the table must not touch the others.
    for (const bool factors : {false, true}) {
        std::vector<float> divisors(n_rot / 2);
        for (u32 i = 0; i < n_rot / 2; i++)
            divisors[i] = 1.0F + 0.25F * static_cast<float>(i);
        const auto divisor_bits = to_bits(divisors);
        std::vector<llx_f32> rows(size_t{8} * n_rot);
        llx_f32* table = rows.data() - size_t{begin} * n_rot;
        llx_op_rope_table(table, begin, begin + 8, n_rot, bits_of(10000.0F), bits_of(0.5F),
                          factors ? divisor_bits.data() : nullptr);
        for (u32 p = 0; p < 8; p++) {
            for (u32 i = 0; i < n_rot / 2; i++) {
                const long double frequency =
                    std::pow(10000.0L, -2.0L * i / n_rot) * 0.5L / (factors ? divisors[i] : 1.0L);
                const long double angle = (begin + p) * frequency;
                // 1e-9 is ours, the rest is the rounding to f32.
                EXPECT_NEAR(value_of(rows[p * n_rot + 2 * i]), static_cast<double>(std::cos(angle)),
                            1e-9 + 0x1p-25);
                EXPECT_NEAR(value_of(rows[p * n_rot + 2 * i + 1]),
                            static_cast<double>(std::sin(angle)), 1e-9 + 0x1p-25);
            }
        }
    }
}

TEST(Ops, RopeTurnsInterleavedPairsOfTheFirstValues) {
    const u32 n_rot = 4;
    std::vector<llx_f32> table(n_rot);
    llx_op_rope_table(table.data() - 3 * n_rot, 3, 4, n_rot, bits_of(100.0F), bits_of(1.0F),
                      nullptr);
    std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    auto bits = to_bits(x);
    llx_op_rope(bits.data(), 2, 6, n_rot, table.data());
    for (u32 head = 0; head < 2; head++) {
        for (u32 pair = 0; pair < 3; pair++) {
            const double angle = pair < 2 ? 3.0 * std::pow(100.0, -2.0 * pair / n_rot) : 0.0;
            const double x0 = x[head * 6 + 2 * pair];
            const double x1 = x[head * 6 + 2 * pair + 1];
            EXPECT_NEAR(value_of(bits[head * 6 + 2 * pair]),
                        x0 * std::cos(angle) - x1 * std::sin(angle), 2e-6);
            EXPECT_NEAR(value_of(bits[head * 6 + 2 * pair + 1]),
                        x0 * std::sin(angle) + x1 * std::cos(angle), 2e-6);
        }
    }
}

// Also n_kv around the block of 64, where the online softmax rescales.
TEST(Ops, AttentionFollowsTheFormulaInEveryTable) {
    for (const u32 n_kv : {1U, 2U, 63U, 64U, 65U, 200U}) {
        for (const u32 n_group : {1U, 8U, 17U}) {
            const u32 head_dim = 64;
            const size_t stride = head_dim;
            auto q = normal_values(size_t{n_group} * head_dim, n_kv);
            for (float& v : q)
                v *= 3;
            const auto key = normal_values(n_kv * stride, n_kv + 1);
            const auto value = normal_values(n_kv * stride, n_kv + 2);
            std::vector<u16> key_half(key.size());
            std::vector<u16> value_half(value.size());
            generic().to_f16(to_bits(key).data(), key.size(), key_half.data());
            generic().to_f16(to_bits(value).data(), value.size(), value_half.data());
            std::vector<llx_f32> k_exact(key.size());
            std::vector<llx_f32> v_exact(value.size());
            generic().from_f16(key_half.data(), key.size(), k_exact.data());
            generic().from_f16(value_half.data(), value.size(), v_exact.data());

            std::vector<std::vector<llx_f32>> results;
            for (const llx_kernels* k : tables()) {
                const llx_attention attention{k, n_group, head_dim, n_kv, nullptr, 0, nullptr};
                std::vector<llx_f32> scores(size_t{n_group} * LLX_ATTENTION_BLOCK);
                std::vector<llx_f32> out(q.size());
                llx_op_attention(&attention, to_bits(q).data(), key_half.data(), value_half.data(),
                                 scores.data(), out.data());
                results.push_back(out);
            }
            for (const auto& result : results)
                for (size_t i = 0; i < q.size(); i++)
                    ASSERT_EQ(result[i].bits, results[0][i].bits);
            for (u32 h = 0; h < n_group; h++) {
                std::vector<long double> weight(n_kv);
                long double most = -1e30L;
                for (u32 j = 0; j < n_kv; j++) {
                    for (u32 c = 0; c < head_dim; c++)
                        weight[j] += static_cast<long double>(q[h * head_dim + c]) *
                                     value_of(k_exact[j * stride + c]) / 8;
                    most = std::max(most, weight[j]);
                }
                long double sum = 0;
                for (long double& w : weight)
                    sum += w = std::exp(w - most);
                for (u32 c = 0; c < head_dim; c++) {
                    long double expected = 0;
                    for (u32 j = 0; j < n_kv; j++)
                        expected += weight[j] / sum * value_of(v_exact[j * stride + c]);
                    ASSERT_NEAR(value_of(results[0][h * head_dim + c]),
                                static_cast<double>(expected), 2e-5)
                        << n_kv << ' ' << n_group;
                }
            }
        }
    }
}

// Rows of q8_0 give the bits of the f16 rows that they stand for, also the
// scattered ones of a tree's path.
TEST(Ops, AttentionOnQ8_0RowsIsThatOnTheirValues) {
    const u32 head_dim = 96;
    const u32 n_group = 3;
    const std::vector<u32> path = {190, 80, 199};
    for (const u32 n_kv : {1U, 63U, 65U, 150U}) {
        for (const bool is_tree : {false, true}) {
            const auto q = to_bits(normal_values(size_t{n_group} * head_dim, n_kv));
            const size_t n_values = size_t{200} * head_dim;
            std::vector<llx_block_q8_0> key(n_values / LLX_QK);
            std::vector<llx_block_q8_0> value(n_values / LLX_QK);
            std::vector<u16> key_half(n_values);
            std::vector<u16> value_half(n_values);
            const auto pack = [&](std::vector<llx_block_q8_0>& blocks, std::vector<u16>& half) {
                llx_op_to_q8_0(&generic(), to_bits(normal_values(n_values, n_kv)).data(),
                               static_cast<u32>(n_values), blocks.data());
                generic().q8_0_to_f16(blocks.data(), static_cast<u32>(blocks.size()), half.data());
            };
            pack(key, key_half);
            pack(value, value_half);
            std::vector<llx_f32> scores(size_t{n_group} * LLX_ATTENTION_BLOCK);
            std::vector<u16> rows(size_t{2} * LLX_ATTENTION_BLOCK * head_dim);
            const u32 n_path = is_tree ? std::min(n_kv, 3U) : 0;
            for (const llx_kernels* k : tables()) {
                llx_attention a{k, n_group, head_dim, n_kv, path.data(), n_path, nullptr};
                std::vector<llx_f32> expected(q.size());
                llx_op_attention(&a, q.data(), key_half.data(), value_half.data(), scores.data(),
                                 expected.data());
                a.rows = rows.data();
                std::vector<llx_f32> found(q.size());
                llx_op_attention(&a, q.data(), key.data(), value.data(), scores.data(),
                                 found.data());
                for (size_t i = 0; i < q.size(); i++)
                    ASSERT_EQ(found[i].bits, expected[i].bits) << k->name << ' ' << n_kv;
            }
        }
    }
}

// Half a step and what d loses as f16: 1/254 + 2^-11 of the largest of 32.
TEST(Ops, Q8_0IsHalfAStepAwayAtMost) {
    const size_t n = 4096;
    const auto x = normal_values(n, 5);
    for (const llx_kernels* k : tables()) {
        std::vector<llx_block_q8_0> blocks(n / LLX_QK);
        std::vector<u16> half(n);
        std::vector<llx_f32> found(n);
        llx_op_to_q8_0(k, to_bits(x).data(), n, blocks.data());
        k->q8_0_to_f16(blocks.data(), static_cast<u32>(blocks.size()), half.data());
        k->from_f16(half.data(), n, found.data());
        for (size_t i = 0; i < n; i++) {
            float largest = 0;
            for (size_t j = i / LLX_QK * LLX_QK; j < (i / LLX_QK + 1) * LLX_QK; j++)
                largest = std::max(largest, std::abs(x[j]));
            ASSERT_NEAR(value_of(found[i]), x[i], largest * (1 / 254.0 + 0x1p-10)) << k->name;
        }
    }
}

TEST(Ops, HyperparametersArePositiveNumbers) {
    for (const float good : {1e-45F, 1e-5F, 1.0F, 3.4e38F})
        EXPECT_TRUE(llx_op_is_positive(bits_of(good)));
    for (const float bad : {0.0F, -0.0F, -1.0F, kInf, -kInf, kNan, -kNan})
        EXPECT_FALSE(llx_op_is_positive(bits_of(bad)));
    EXPECT_EQ(value_of(llx_op_reciprocal(bits_of(4.0F))), 0.25F);
}

// --- From logits to a token ------------------------------------------------------

TEST(Argmax, FirstOfEqualsAndNeverNan) {
    const auto argmax = [](const std::vector<float>& x) {
        return llx_op_argmax(to_bits(x).data(), static_cast<u32>(x.size()));
    };
    EXPECT_EQ(argmax({1, 3, 3, 2}), 1U);
    EXPECT_EQ(argmax({kNan, -kInf, kNan}), 1U);
    EXPECT_EQ(argmax({kNan, 5, kNan, 7, kInf}), 4U);
    EXPECT_EQ(argmax({-kInf, -kInf}), 0U);
    EXPECT_EQ(argmax({kNan, kNan}), 0U);
    EXPECT_EQ(argmax({-0.0F, 0.0F}), 0U);
}

TEST(Logprob, IsTheLogOfTheSoftmaxInMicroNats) {
    const auto x = normal_values(32000, 9);
    long double sum = 0;
    for (const float v : x)
        sum += std::exp(static_cast<long double>(v));
    for (const u32 token : {0U, 77U, 31999U}) {
        const double expected = static_cast<double>((x[token] - std::log(sum)) * 1e6L);
        EXPECT_NEAR(static_cast<double>(llx_op_logprob(to_bits(x).data(), 32000, token)), expected,
                    0.51);
    }
    const auto extreme = to_bits({0.0F, -2000.0F, -kInf, kNan, 1e-3F});
    EXPECT_NEAR(llx_op_logprob(extreme.data(), 5, 0), -693647, 1);
    EXPECT_EQ(llx_op_logprob(extreme.data(), 5, 1), -1000000000);
    EXPECT_EQ(llx_op_logprob(extreme.data(), 5, 2), -1000000000);
    EXPECT_EQ(llx_op_logprob(extreme.data(), 5, 3), -1000000000);
    const auto certain = to_bits({kInf, 3.0F, kNan});
    EXPECT_EQ(llx_op_logprob(certain.data(), 3, 0), 0);
    EXPECT_EQ(llx_op_logprob(certain.data(), 3, 1), -1000000000);
    const auto nothing = to_bits({kNan, kNan});
    EXPECT_EQ(llx_op_logprob(nothing.data(), 2, 0), -1000000000);
}

struct Draw {
    llx_sampling s{1000, 0, 1000, 0, 1000, nullptr, 0};

    u32 operator()(const std::vector<float>& logits, u64 random,
                   const llx_kernels* k = llx_kernels_select(0, "generic")) const {
        auto bits = to_bits(logits);
        std::vector<u32> index(logits.size());
        return llx_op_sample(k, &s, bits.data(), static_cast<u32>(logits.size()), random,
                             index.data());
    }
};

// The share of each token over evenly spaced random numbers.
std::vector<double> shares(const Draw& draw, const std::vector<float>& logits) {
    std::vector<double> share(logits.size());
    const int n = 20000;
    for (int i = 0; i < n; i++)
        share[draw(logits, (static_cast<u64>(i) << 32) / n << 32)] += 1.0;
    for (double& count : share)
        count /= n;
    return share;
}

TEST(Sample, ZeroTemperatureIsGreedy) {
    Draw draw;
    draw.s.temperature_milli = 0;
    for (const u64 random : {u64{0}, ~u64{0}})
        EXPECT_EQ(draw({1, 5, 2, 5}, random), 1U);
}

TEST(Sample, DrawsInProportionToTheSoftmax) {
    const std::vector<float> logits = {std::log(0.5F), std::log(0.3F), std::log(0.2F)};
    auto got = shares(Draw(), logits);
    EXPECT_NEAR(got[0], 0.5, 0.001);
    EXPECT_NEAR(got[1], 0.3, 0.001);
    EXPECT_NEAR(got[2], 0.2, 0.001);
    Draw cold;
    cold.s.temperature_milli = 500;  // squares the probabilities
    got = shares(cold, logits);
    EXPECT_NEAR(got[0], 0.25 / 0.38, 0.001);
    EXPECT_NEAR(got[2], 0.04 / 0.38, 0.001);
}

TEST(Sample, CutsByTopKTopPAndMinP) {
    const std::vector<float> logits = {std::log(0.2F), std::log(0.5F), std::log(0.3F)};
    Draw top_k;
    top_k.s.top_k = 2;
    auto got = shares(top_k, logits);
    EXPECT_EQ(got[0], 0.0);
    EXPECT_NEAR(got[1], 0.5 / 0.8, 0.001);
    top_k.s.top_k = 99;  // more than there are
    EXPECT_NEAR(shares(top_k, logits)[0], 0.2, 0.001);
    Draw top_p;
    top_p.s.top_p_milli = 700;  // 0.5 is not enough, 0.5 + 0.3 is
    got = shares(top_p, logits);
    EXPECT_EQ(got[0], 0.0);
    EXPECT_NEAR(got[2], 0.3 / 0.8, 0.001);
    top_p.s.top_p_milli = 1;
    EXPECT_EQ(shares(top_p, logits)[1], 1.0);
    Draw min_p;
    min_p.s.min_p_milli = 500;  // 0.2 is below half of 0.5
    got = shares(min_p, logits);
    EXPECT_EQ(got[0], 0.0);
    EXPECT_NEAR(got[1], 0.5 / 0.8, 0.001);
    min_p.s.top_k = 3;
    min_p.s.top_p_milli = 990;
    EXPECT_NEAR(shares(min_p, logits)[1], 0.5 / 0.8, 0.001);
    min_p.s.min_p_milli = 1000;
    EXPECT_EQ(shares(min_p, logits)[1], 1.0);
}

TEST(Sample, TiesGoToTheLowerToken) {
    Draw draw;
    draw.s.top_k = 1;
    for (const u64 random : {u64{0}, ~u64{0}})
        EXPECT_EQ(draw({1, 7, 3, 7, 7, 2}, random), 1U);
    draw.s.top_k = 2;
    const auto got = shares(draw, {1, 7, 3, 7, 7, 2});
    EXPECT_NEAR(got[1], 0.5, 0.001);
    EXPECT_NEAR(got[3], 0.5, 0.001);
}

TEST(Sample, TopPCountsWithinTopK) {
    // Of the top two, 0.4 / 0.7 = 0.571 is already 0.57.
    const std::vector<float> logits = {std::log(0.4F), std::log(0.3F), std::log(0.3F)};
    Draw draw;
    draw.s.top_k = 2;
    draw.s.top_p_milli = 570;
    EXPECT_EQ(shares(draw, logits)[0], 1.0);
}

TEST(Sample, PenalisesRecentTokensOnce) {
    Draw draw;
    draw.s.temperature_milli = 0;
    draw.s.repeat_penalty_milli = 1500;
    const std::vector<s32> recent = {1, -1, 99};  // outside the vocabulary: ignored
    draw.s.recent = recent.data();
    draw.s.n_recent = 3;
    EXPECT_EQ(draw({2.0F, 2.5F, 1.0F}, 0), 0U);     // 2.5 / 1.5 < 2
    EXPECT_EQ(draw({-3.0F, -2.5F, -4.0F}, 0), 0U);  // -2.5 * 1.5 < -3
    EXPECT_EQ(draw({1.0F, 2.5F, 1.0F}, 0), 1U);
}

TEST(Sample, SurvivesLogitsThatAreNoNumbers) {
    for (const u32 top_k : {0U, 2U}) {
        for (const u32 top_p : {1000U, 500U}) {
            Draw draw;
            draw.s.top_k = top_k;
            draw.s.top_p_milli = top_p;
            for (const u64 random : {u64{0}, u64{1} << 63, ~u64{0}}) {
                EXPECT_EQ(draw({-kInf, -kInf, -kInf}, random), 0U);
                EXPECT_EQ(draw({kNan, kNan, kNan}, random), 0U);
                EXPECT_EQ(draw({kNan, 1.0F, kNan}, random), 1U);
                EXPECT_EQ(draw({3.0F, kInf, 1.0F}, random), 1U);
                EXPECT_EQ(draw({-kInf, -3e38F, -kInf}, random), 1U);
                EXPECT_LT(draw({3e38F, -3e38F, 3e38F}, random), 3U);
                EXPECT_EQ(draw({7.0F}, random), 0U);
            }
        }
    }
    Draw hot;
    hot.s.temperature_milli = 1;
    EXPECT_EQ(hot({1.0F, 3e38F, -3e38F}, ~u64{0}), 1U);
}

TEST(Sample, IsTheSameInEveryTable) {
    std::mt19937_64 random(4);
    Draw draw;
    for (int i = 0; i < 300; i++) {
        draw.s.temperature_milli = 1 + random() % 3000;
        draw.s.top_k = random() % 3 == 0 ? 0 : random() % 60;
        draw.s.top_p_milli = random() % 2 == 0 ? 1000 : 1 + random() % 1000;
        draw.s.min_p_milli = random() % 2 == 0 ? 0 : random() % 300;
        const auto logits = normal_values(500, i);
        const u64 bits = random();
        for (const llx_kernels* k : tables())
            ASSERT_EQ(draw(logits, bits, k), draw(logits, bits));
    }
}

TEST(Permille, AddsUpToAThousand) {
    std::mt19937 random(8);
    for (int round = 0; round < 2000; round++) {
        const u32 n = 1 + random() % 64;
        std::vector<s64> scores(n);
        for (s64& s : scores)
            s = -static_cast<s64>(random() % 9000000);
        std::vector<u32> permille(n);
        llx_op_softmax_permille(scores.data(), n, 100 + random() % 3000, permille.data());
        EXPECT_EQ(std::accumulate(permille.begin(), permille.end(), 0U), 1000U);
    }
}

TEST(Permille, FollowsTheSoftmaxAndTheTemperature) {
    std::vector<s64> scores = {-693147, -1386294, -1386294};  // ln 1/2, ln 1/4
    std::vector<u32> permille(3);
    llx_op_softmax_permille(scores.data(), 3, 1000, permille.data());
    EXPECT_EQ(permille, (std::vector<u32>{500, 250, 250}));
    llx_op_softmax_permille(scores.data(), 3, 500, permille.data());
    EXPECT_NEAR(permille[0], 667, 1);
    EXPECT_NEAR(permille[1], 167, 1);
    llx_op_softmax_permille(scores.data(), 3, 0, permille.data());
    EXPECT_EQ(permille, (std::vector<u32>{1000, 0, 0}));
    scores = {-1000000000, 0, std::numeric_limits<s64>::min()};
    llx_op_softmax_permille(scores.data(), 3, 1000, permille.data());
    EXPECT_EQ(permille, (std::vector<u32>{0, 1000, 0}));
}

}  // namespace
