// SPDX-License-Identifier: GPL-2.0-only
//
// Packing, decoding and multiplying weights of every type. Catches wrong bit
// places, scales and offsets (against a decoder that shares no code), reads
// beyond the packed weights or the activations (unmapped pages), sums that
// overflow 16 or 24 bits (extreme quanta), tables that round in another order,
// and batches that differ from single tokens.
#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <limits>

#include "simd/weights.hpp"
#include "support/cpu_features.hpp"
#include "support/reference_dequant.hpp"

// avxvnni's code with its instruction as AVX-512 encodes it: CMakeLists.txt.
extern "C" const llx_kernels llx_kernels_avxvnni_evex;

namespace llamux::test {
namespace {

class Types : public testing::TestWithParam<uint32_t> {};

std::string type_name(const testing::TestParamInfo<uint32_t>& info) {
    return llx_type_traits(info.param)->name;
}

size_t row_bytes(uint32_t type, size_t n_cols) {
    const auto* t = llx_type_traits(type);
    return n_cols / t->block_values * t->block_bytes;
}

// Activations in both forms, at the end of the memory they may touch.
class Input {
  public:
    Input(const std::vector<float>& x, uint32_t n_tokens, uint32_t n_cols)
        : f32_(x.size() * 4, Guard::kBehind),
          q8_(x.size() / 32 * sizeof(llx_act_block), Guard::kBehind) {
        std::memcpy(f32_.as<uint8_t>(), x.data(), x.size() * 4);
        act.f32 = f32_.as<llx_f32>();
        act.q8 = q8_.as<llx_act_block>();
        act.f32_stride = n_cols;
        act.q8_stride = n_cols / 32;
        for (uint32_t t = 0; n_cols % 32 == 0 && t < n_tokens; t++)
            llx_kernels_select(0, "generic")
                ->quantize_row(act.f32 + t * n_cols, n_cols,
                               q8_.as<llx_act_block>() + t * act.q8_stride);
    }
    llx_activations act{};

  private:
    GuardedBuffer f32_;
    GuardedBuffer q8_;
};

std::vector<float> multiply(const llx_kernels& k, const llx_matrix& m, const llx_activations& act,
                            uint32_t n_tokens) {
    GuardedBuffer y(size_t{4} * n_tokens * m.n_rows, Guard::kBehind);
    k.matmul[m.type](&m, 0, m.n_tiles, &act, n_tokens, y.as<llx_f32>(), m.n_rows);
    return {y.as<float>(), y.as<float>() + size_t{n_tokens} * m.n_rows};
}

// The same bits, where one NaN is as good as another.
void expect_same(const std::vector<float>& got, const std::vector<float>& expected,
                 const std::string& what) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); i++) {
        if (std::isnan(got[i]) && std::isnan(expected[i]))
            continue;
        ASSERT_EQ(bits_of(got[i]).bits, bits_of(expected[i]).bits)
            << what << " at " << i << ": " << got[i] << " instead of " << expected[i];
    }
}

// Catches: a value unpacked from the wrong bits, a scale of another block.
TEST_P(Types, DecodesLikeTheReference) {
    const uint32_t type = GetParam();
    std::mt19937 random(type + 1);
    for (const uint32_t n_cols : {256U, 1024U}) {
        for (const uint32_t n_rows : {1U, 15U, 16U, 17U, 50U}) {
            const auto rows = random_rows(type, n_rows, n_cols, Fill::kRandom, random);
            const PackedMatrix m(type, n_rows, n_cols, rows);
            for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++) {
                for (uint32_t r = 0; r < n_rows; r++) {
                    GuardedBuffer out(size_t{4} * n_cols, Guard::kBehind);
                    (*k)->dequantize_row(&m.shape, r, out.as<llx_f32>());
                    const auto expected =
                        reference_dequantize(type, &rows[r * row_bytes(type, n_cols)], n_cols);
                    for (uint32_t c = 0; c < n_cols; c++)
                        ASSERT_EQ(bits_of(out.as<float>()[c]).bits, bits_of(expected[c].value).bits)
                            << (*k)->name << " row " << r << " column " << c;
                }
            }
        }
    }
}

// Catches: a wrong formula in the reference table. The bound: each of n terms
// rounds when it is made and when it is added.
TEST_P(Types, GenericIsWithinTheBoundOfTheExactProduct) {
    const uint32_t type = GetParam();
    const uint32_t n_cols = 512;
    const uint32_t n_rows = 40;
    std::mt19937 random(type + 100);
    const auto rows = random_rows(type, n_rows, n_cols, Fill::kRandom, random);
    const PackedMatrix m(type, n_rows, n_cols, rows);
    const auto x = random_floats(n_cols, random);
    const Input input(x, 1, n_cols);
    const auto y = multiply(*llx_kernels_select(0, "generic"), m.shape, input.act, 1);
    for (uint32_t r = 0; r < n_rows; r++) {
        const auto w = reference_dequantize(type, &rows[r * row_bytes(type, n_cols)], n_cols);
        double exact = 0.0;
        double magnitude = 0.0;
        for (uint32_t c = 0; c < n_cols; c++) {
            const llx_act_block& block = input.act.q8[c / 32];
            const double v = llx_type_traits(type)->quantized_input
                                 ? static_cast<double>(value_of(block.d)) * block.q[c % 32]
                                 : x[c];
            exact += w[c].exact * v;
            magnitude += w[c].magnitude * std::abs(v);
        }
        EXPECT_NEAR(y[r], exact, (n_cols + 4) * 0x1p-24 * magnitude) << "row " << r;
        EXPECT_GT(magnitude, 0.0);
    }
}

std::vector<const llx_kernels*> tables() {
    std::vector<const llx_kernels*> found;
    for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++)
        if (llx_kernels_select(testable_features(), (*k)->name) == *k)
            found.push_back(*k);
    const uint32_t other_encoding = LLX_CPU_AVX512 | LLX_CPU_AVX512_VNNI;
    if ((cpu_features() & other_encoding) == other_encoding)
        found.push_back(&llx_kernels_avxvnni_evex);
    return found;
}

// Catches: another order of rounding, sums that overflow, rows beyond n_rows
// that are written, reads outside the packed weights or the activations.
TEST_P(Types, TablesAgreeBitForBit) {
    const uint32_t type = GetParam();
    std::mt19937 random(type + 200);
    for (const Fill fill : {Fill::kRandom, Fill::kZeros, Fill::kOnes, Fill::kTopBit}) {
        for (const uint32_t n_cols : {256U, 512U, 2304U}) {
            for (const uint32_t n_rows : {1U, 7U, 8U, 9U, 16U, 33U}) {
                const auto rows = random_rows(type, n_rows, n_cols, fill, random);
                const PackedMatrix m(type, n_rows, n_cols, rows);
                const uint32_t n_tokens = 1 + random() % 9;
                auto x = random_floats(size_t{n_tokens} * n_cols, random);
                if (fill != Fill::kRandom)  // activations of +-127 in every place
                    for (float& v : x)
                        v = fill == Fill::kOnes || v > 0 ? 1.0F : -1.0F;
                const Input input(x, n_tokens, n_cols);
                const auto expected =
                    multiply(*llx_kernels_select(0, "generic"), m.shape, input.act, n_tokens);
                for (const llx_kernels* k : tables())
                    expect_same(multiply(*k, m.shape, input.act, n_tokens), expected,
                                std::string(k->name) + " rows " + std::to_string(n_rows) +
                                    " columns " + std::to_string(n_cols));
            }
        }
    }
}

// Catches: lengths that only some loops handle. Float types take any number of
// columns, the simple formats any multiple of 32.
TEST_P(Types, TablesAgreeForEveryLength) {
    const uint32_t type = GetParam();
    const uint32_t step = llx_type_traits(type)->block_values;
    std::mt19937 random(type + 300);
    for (uint32_t n_cols = step; n_cols <= 9 * step || n_cols <= 70; n_cols += step) {
        const auto rows = random_rows(type, 16, n_cols, Fill::kRandom, random);
        const PackedMatrix m(type, 16, n_cols, rows);
        const auto x = random_floats(size_t{5} * n_cols, random);
        const Input input(x, 5, n_cols);
        const auto expected = multiply(*llx_kernels_select(0, "generic"), m.shape, input.act, 5);
        for (const llx_kernels* k : tables())
            expect_same(multiply(*k, m.shape, input.act, 5), expected,
                        std::string(k->name) + " columns " + std::to_string(n_cols));
    }
}

// Catches: a batch that rounds in another way than token by token, and a range
// of tiles that touches the neighbours' results.
TEST_P(Types, BatchEqualsSingleTokens) {
    const uint32_t type = GetParam();
    const uint32_t n_cols = 768;
    const uint32_t n_rows = 48;
    std::mt19937 random(type + 400);
    const auto rows = random_rows(type, n_rows, n_cols, Fill::kRandom, random);
    const PackedMatrix m(type, n_rows, n_cols, rows);
    for (uint32_t n_tokens = 1; n_tokens <= 9; n_tokens++) {
        const auto x = random_floats(size_t{n_tokens} * n_cols, random);
        const Input input(x, n_tokens, n_cols);
        for (const llx_kernels* k : tables()) {
            const auto batch = multiply(*k, m.shape, input.act, n_tokens);
            std::vector<float> single(batch.size(), -7.0F);
            for (uint32_t t = 0; t < n_tokens; t++) {
                llx_activations one = input.act;
                one.f32 += t * one.f32_stride;
                one.q8 += t * one.q8_stride;
                for (uint32_t tile : {2U, 0U, 1U})
                    k->matmul[type](&m.shape, tile, tile + 1, &one, 1,
                                    reinterpret_cast<llx_f32*>(&single[t * n_rows]), n_rows);
            }
            expect_same(single, batch, k->name);
        }
    }
}

// Catches: an activation that is no number and does not show in the result.
TEST_P(Types, ShowsActivationsThatAreNoNumbers) {
    const uint32_t type = GetParam();
    const uint32_t n_cols = 256;
    std::mt19937 random(type + 500);
    const auto rows = random_rows(type, 16, n_cols, Fill::kRandom, random);
    const PackedMatrix m(type, 16, n_cols, rows);
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        auto x = random_floats(n_cols, random);
        x[77] = bad;
        const Input input(x, 1, n_cols);
        for (const llx_kernels* k : tables())
            for (const float y : multiply(*k, m.shape, input.act, 1))
                EXPECT_FALSE(std::isfinite(y)) << k->name;
    }
}

// Catches: shapes that the loader must be told about, sizes that wrap.
TEST(Shape, RefusesWhatCannotBeRun) {
    llx_matrix m{};
    EXPECT_EQ(llx_matrix_shape(&m, LLX_TYPE_Q4_K, 16, 255), -EINVAL);
    EXPECT_EQ(llx_matrix_shape(&m, LLX_TYPE_Q4_K, 0, 256), -EINVAL);
    EXPECT_EQ(llx_matrix_shape(&m, LLX_TYPE_Q4_K, 16, 0), -EINVAL);
    EXPECT_EQ(llx_matrix_shape(&m, 20, 16, 256), -EINVAL);
    EXPECT_EQ(llx_matrix_shape(&m, 4, 16, 256), -EINVAL);
    EXPECT_EQ(llx_matrix_shape(&m, ~0U, 16, 256), -EINVAL);
    EXPECT_EQ(llx_matrix_shape(&m, LLX_TYPE_F32, ~0U, 256), -EOVERFLOW);
    EXPECT_STREQ(llx_type_traits(20)->name, "IQ4_NL");
    EXPECT_EQ(llx_type_traits(4)->name, nullptr);
    EXPECT_EQ(llx_type_traits(12345)->name, nullptr);
}

// Catches: a packed form that outgrows the memory the product promises: at
// most 1.05 times the file.
TEST(Shape, PackedSizeIsAtMostFivePercentMore) {
    for (const uint32_t type : kTypes) {
        const auto* t = llx_type_traits(type);
        EXPECT_LE(t->tile_block_bytes, 1.05 * 16 * t->block_bytes) << t->name;
    }
}

// Catches: a table that is chosen on a CPU without it, or a name that is wrong.
TEST(Select, PicksTheBestThatTheCpuHas) {
    EXPECT_STREQ(llx_kernels_select(0, nullptr)->name, "generic");
    EXPECT_EQ(llx_kernels_select(~0U, nullptr), llx_kernels_all[0]);
    EXPECT_STREQ(llx_kernels_select(LLX_CPU_AVX2, nullptr)->name, "avx2");
    EXPECT_STREQ(llx_kernels_select(LLX_CPU_AVX2 | LLX_CPU_TCG, nullptr)->name, "avx2tcg");
    EXPECT_STREQ(llx_kernels_select(LLX_CPU_AVX2 | LLX_CPU_AVX_VNNI, nullptr)->name, "avxvnni");
    EXPECT_EQ(llx_kernels_select(~0U, "no such table"), nullptr);
    for (const llx_kernels* const* k = llx_kernels_all; *k != nullptr; k++) {
        EXPECT_EQ(llx_kernels_select((*k)->needs, (*k)->name), *k);
        for (uint32_t bit = 1; bit != 0; bit <<= 1) {
            if (((*k)->needs & bit) != 0) {
                EXPECT_EQ(llx_kernels_select(~bit, (*k)->name), nullptr) << (*k)->name;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, Types, testing::ValuesIn(kTypes), type_name);

}  // namespace
}  // namespace llamux::test
