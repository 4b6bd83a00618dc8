// SPDX-License-Identifier: GPL-2.0-only
//
// Logits against the double-precision reference, layer by layer. Catches any
// wrong formula, weight layout, head mapping, rotation, mask or cache place in
// the forward pass: one wrong bit of layout gives a relative error near 1.
//
// Bounds (docs/NUMERICS.md derives them). Against exact mathematics: what the
// engine's roundings by design cost. Against the reference that does the same
// roundings only float rounding is left, about 1e-7, at most positions; where it
// pushes a value over the edge of a rounding, that position and a little those
// after it move by a step. So the best position shows float rounding, and the
// median is judged after the first layer only: more layers spread the steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "golden/shapes.hpp"
#include "support/engine_model.hpp"
#include "support/reference_model.hpp"

namespace llamux::test {
namespace {

constexpr double kFloatRounding = 2e-6;  // same roundings, best position
constexpr double kFewSteps = 1e-4;       // same roundings, one layer, median
constexpr double kHalfCache = 1.5e-3;    // exact, float weights
constexpr double kInt8Inputs = 0.038;    // exact, 8-bit inputs
constexpr double kQ8_0Cache = 0.01;      // from the f16 cache
constexpr double kHalfCacheKl = 1e-6;
constexpr double kInt8InputsKl = 6e-4;

using Rows = std::vector<std::vector<double>>;

bool has_quantised_input(const ModelShape& shape) {
    return std::any_of(shape.types.begin(), shape.types.end(),
                       [](std::uint32_t type) { return llx_type_traits(type)->quantized_input; });
}

class Reference : public testing::TestWithParam<ModelShape> {};

// Logits after every token, one evaluation each.
Rows engine_logits(const ModelData& data, std::span<const std::int32_t> tokens) {
    const EngineModel model(data, usable_kernels().front());
    EngineContext context(model.get(), &llx_exec_inline);
    Rows rows;
    for (const std::int32_t token : tokens) {
        EXPECT_EQ(context.eval({&token, 1}), 0);
        rows.push_back(context.logits());
    }
    return rows;
}

struct Distance {
    double rms = 0;   // over all positions
    double best = 0;  // of the positions' own
    double median = 0;
    double kl = 0;  // mean
};

Distance distance(const Rows& got, const Rows& expected) {
    Distance result;
    std::vector<double> all_got;
    std::vector<double> all_expected;
    std::vector<double> each;
    for (std::size_t i = 0; i < got.size(); i++) {
        all_got.insert(all_got.end(), got[i].begin(), got[i].end());
        all_expected.insert(all_expected.end(), expected[i].begin(), expected[i].end());
        each.push_back(relative_rms(got[i], expected[i]));
        result.kl += kl_divergence(got[i], expected[i]) / static_cast<double>(got.size());
    }
    std::sort(each.begin(), each.end());
    result.best = each.front();
    result.median = each[each.size() / 2];
    result.rms = relative_rms(all_got, all_expected);
    return result;
}

TEST_P(Reference, LogitsAreWithinTheBoundAfterEveryLayer) {
    const ModelShape& shape = GetParam();
    const ModelData full = random_model(shape);
    const std::vector<std::int32_t> tokens = random_tokens(12, shape.n_vocab, 7);
    const bool int8 = has_quantised_input(shape);

    for (std::size_t n = 1; n <= shape.n_layer; n++) {
        const ModelData data = first_layers(full, n);
        const Rows got = engine_logits(data, tokens);
        const Distance same = distance(got, ReferenceModel(data, {true, true}).logits(tokens));
        const Distance exact = distance(got, ReferenceModel(data, {}).logits(tokens));
        std::printf("%-28s %zu layers: exact rms %.1e KL %.1e; same roundings %.1e %.1e\n",
                    shape.name.c_str(), n, exact.rms, exact.kl, same.best, same.median);
        EXPECT_LE(exact.rms, int8 ? kInt8Inputs : kHalfCache);
        EXPECT_LE(exact.kl, int8 ? kInt8InputsKl : kHalfCacheKl);
        EXPECT_LE(same.best, kFloatRounding);
        if (n == 1) {
            EXPECT_LE(same.median, kFewSteps);
        }
    }
}

// Positions beyond one block of the online softmax, and beyond one batch.
TEST(ReferenceLong, LogitsAreWithinTheBoundAfterManyPositions) {
    ModelShape shape;
    shape.types = {LLX_TYPE_F16};
    shape.n_layer = 1;
    shape.n_ctx = 160;
    const ModelData data = random_model(shape);
    const std::vector<std::int32_t> tokens = random_tokens(150, shape.n_vocab, 8);
    const EngineModel model(data, usable_kernels().front());
    EngineContext context(model.get(), &llx_exec_inline);
    ASSERT_EQ(context.eval(tokens), 0);
    const std::vector<double> expected = ReferenceModel(data, {true, true}).logits(tokens).back();
    EXPECT_LE(relative_rms(context.logits(), expected), kFewSteps);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Reference, testing::ValuesIn(golden_shapes()), shape_name);

// Catches a scale or a row of the q8_0 cache that is lost: a key or value is half
// a percent off, as inputs of 8 bits are, and so are the logits.
TEST(ReferenceCache, Q8_0IsAsCloseAsInputsOf8Bits) {
    ModelShape shape;
    shape.types = {LLX_TYPE_F32};
    ModelData data = random_model(shape);
    const auto tokens = random_tokens(100, shape.n_vocab, 3);
    const Rows half = engine_logits(data, tokens);
    data.q8_0_cache = true;
    const Distance d = distance(engine_logits(data, tokens), half);
    std::printf("q8_0 cache: rms %.2g kl %.2g from the f16 cache\n", d.rms, d.kl);
    EXPECT_LT(d.rms, kQ8_0Cache);
    EXPECT_LT(d.kl, kInt8InputsKl);
    EXPECT_GT(d.rms, kHalfCache) << "is it used at all?";
}

}  // namespace
}  // namespace llamux::test
