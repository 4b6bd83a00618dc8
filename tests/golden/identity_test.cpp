// SPDX-License-Identifier: GPL-2.0-only
//
// The same tokens give the same bits. Catches results that depend on the
// batch, the ranges, the workers (data races under TSan), the instruction set,
// what was in the cache before, or a cancellation on the way; and failed calls
// that change the context.
#include <gtest/gtest.h>

#include <array>

#include "golden/shapes.hpp"
#include "support/engine_model.hpp"
#include "support/scripted_exec.hpp"
#include "support/thread_exec.hpp"

namespace llamux::test {
namespace {

using Bits = std::vector<std::uint32_t>;

constexpr std::size_t kTokens = 71;  // two batches, two blocks of attention

class Identity : public testing::TestWithParam<ModelShape> {
  protected:
    Bits one_call(const EngineModel& model, llx_exec* exec) {
        EngineContext context(model.get(), exec);
        EXPECT_EQ(context.eval(tokens_), 0);
        return context.logit_bits();
    }
    void one_by_one();
    void uneven_batches();
    void truncated_and_evaluated_again();

    ModelData data_ = random_model(GetParam());
    EngineModel model_{data_, usable_kernels().front()};
    std::vector<std::int32_t> tokens_ = random_tokens(kTokens, GetParam().n_vocab, 9);
    Bits expected_ = one_call(model_, &llx_exec_inline);
};

void Identity::one_by_one() {
    EngineContext context(model_.get(), &llx_exec_inline);
    for (const std::int32_t token : tokens_)
        ASSERT_EQ(context.eval({&token, 1}), 0);
    EXPECT_EQ(context.logit_bits(), expected_) << "one by one";
}

void Identity::uneven_batches() {
    EngineContext context(model_.get(), &llx_exec_inline);
    constexpr std::array<std::size_t, 5> kLengths = {3, 32, 1, 33, 2};
    std::span<const std::int32_t> left = tokens_;
    for (const std::size_t length : kLengths) {
        ASSERT_EQ(llx_context_eval(context.get(), left.data(), static_cast<u32>(length),
                                   length == left.size()),
                  0);
        left = left.subspan(length);
    }
    ASSERT_TRUE(left.empty());
    EXPECT_EQ(context.logit_bits(), expected_) << "uneven batches";
}

void Identity::truncated_and_evaluated_again() {
    EngineContext context(model_.get(), &llx_exec_inline);
    const std::vector<std::int32_t> others = random_tokens(50, GetParam().n_vocab, 10);
    ASSERT_EQ(context.eval({tokens_.data(), 20}), 0);
    ASSERT_EQ(context.eval(others), 0);
    llx_context_truncate(context.get(), 20);
    EXPECT_EQ(context->n_past, 20U);
    llx_context_truncate(context.get(), 60);  // never grows
    EXPECT_EQ(context->n_past, 20U);
    ASSERT_EQ(context.eval(std::span(tokens_).subspan(20)), 0);
    EXPECT_EQ(context.logit_bits(), expected_) << "truncated";
}

TEST_P(Identity, TheSameTokensGiveTheSameBits) {
    one_by_one();
    uneven_batches();
    truncated_and_evaluated_again();
    for (std::uint32_t seed = 0; seed < 2; seed++) {
        ScriptedExec exec(seed, 1 + seed * 3);
        EXPECT_EQ(one_call(model_, exec.get()), expected_) << "ranges of seed " << seed;
    }
    for (const unsigned n : {2U, 5U}) {
        ThreadExec exec(n);
        EXPECT_EQ(one_call(model_, exec.get()), expected_) << n << " threads";
    }
    for (const llx_kernels* kernels : usable_kernels())
        EXPECT_EQ(one_call(EngineModel(data_, kernels), &llx_exec_inline), expected_)
            << kernels->name;
}

INSTANTIATE_TEST_SUITE_P(Shapes, Identity, testing::ValuesIn(golden_shapes()), shape_name);

ModelShape q8_0_cache_shape() {
    ModelShape shape;
    shape.name = "Q8_0Cache";
    shape.types = {LLX_TYPE_Q4_K};
    shape.q8_0_cache = true;
    return shape;
}
INSTANTIATE_TEST_SUITE_P(Cache, Identity, testing::Values(q8_0_cache_shape()), shape_name);

// With either kind of cache.
class Limits : public testing::TestWithParam<bool> {
  protected:
    static ModelShape shape() {
        ModelShape s;
        s.q8_0_cache = GetParam();
        s.types = {LLX_TYPE_Q8_0};
        s.n_ctx = 72;
        return s;
    }

    EngineModel model_{random_model(shape()), usable_kernels().front()};
    std::vector<std::int32_t> tokens_ = random_tokens(72, shape().n_vocab, 11);
};

TEST_P(Limits, CancelledAtEveryLoopThenContinued) {
    const std::span<const std::int32_t> prompt = std::span(tokens_).first(5);
    const std::span<const std::int32_t> rest = std::span(tokens_).subspan(5);
    ScriptedExec plain(1);
    EngineContext never(model_.get(), plain.get());
    ASSERT_EQ(never.eval(prompt), 0);
    ASSERT_EQ(never.eval(rest), 0);
    const std::uint64_t n_loops = plain.n_loops;

    for (std::uint64_t at = 0; at < n_loops; at++) {
        ScriptedExec exec(static_cast<std::uint32_t>(at));
        EngineContext context(model_.get(), exec.get());
        exec.cancel_at = at;
        if (context.eval(prompt) == -EINTR) {
            ASSERT_EQ(context->n_past, 0U);
            ASSERT_EQ(context.eval(prompt), 0);
        }
        if (context.eval(rest) == -EINTR) {
            ASSERT_EQ(context->n_past, 5U);
            ASSERT_EQ(context.eval(rest), 0);
        }
        ASSERT_GT(exec.n_loops, n_loops);  // it was cancelled
        ASSERT_EQ(context.logit_bits(), never.logit_bits()) << "cancelled at loop " << at;
    }
}

// Each node of a tree against the path to it, one token at a time.
TEST_P(Limits, ATreeGivesTheBitsOfItsPaths) {
    const std::vector<llx_node> nodes = {{5, LLX_ROOT}, {6, 0}, {7, 1}, {8, 1},
                                         {9, LLX_ROOT}, {5, 4}, {6, 5}, {5, LLX_ROOT},
                                         {3, 2},        {4, 8}};
    const auto n_nodes = static_cast<u32>(nodes.size());
    for (const std::size_t n_prompt : {std::size_t{1}, std::size_t{62}}) {
        const auto prompt = std::span(tokens_).first(n_prompt);
        ScriptedExec exec(3);
        EngineContext context(model_.get(), exec.get());
        ASSERT_EQ(context.eval(prompt), 0);
        ASSERT_EQ(llx_context_eval_tree(context.get(), nodes.data(), n_nodes), 0);
        EXPECT_EQ(context->n_past, n_prompt);
        for (u32 i = 0; i < n_nodes; i++) {
            std::vector<std::int32_t> path;
            for (u32 node = i; node != LLX_ROOT; node = nodes[node].parent)
                path.insert(path.begin(), nodes[node].token);
            EngineContext sequence(model_.get(), &llx_exec_inline);
            ASSERT_EQ(sequence.eval(prompt), 0);
            ASSERT_EQ(sequence.eval(path), 0);
            ASSERT_EQ(llx_context_tree_logits(context.get(), i, 1), 0);
            ASSERT_EQ(context.logit_bits(), sequence.logit_bits()) << "node " << i;
        }
        const u32 most = std::min(n_nodes, LLX_LOGIT_ROWS);
        ASSERT_EQ(llx_context_tree_logits(context.get(), n_nodes - most, most), 0);
    }
}

TEST_P(Limits, TreesThatAreNoneAreRefused) {
    EngineContext context(model_.get(), &llx_exec_inline);
    const auto prompt = std::span(tokens_).first(70);
    ASSERT_EQ(context.eval(prompt), 0);
    const auto eval = [&](std::vector<llx_node> nodes) {
        return llx_context_eval_tree(context.get(), nodes.data(), static_cast<u32>(nodes.size()));
    };
    EXPECT_EQ(eval({}), -EINVAL);
    EXPECT_EQ(eval({{-1, LLX_ROOT}}), -EINVAL);
    EXPECT_EQ(eval({{1, 0}}), -EINVAL);                 // its own parent
    EXPECT_EQ(eval({{1, 1}, {1, LLX_ROOT}}), -EINVAL);  // a later one
    EXPECT_EQ(eval({{1, LLX_ROOT}, {1, LLX_ROOT}, {1, LLX_ROOT}}), -E2BIG);
    EXPECT_EQ(eval({{1, LLX_ROOT}, {1, 0}}), 0);
}

TEST_P(Limits, NothingRunsAfterACancellation) {
    ScriptedExec exec(1);
    EngineContext context(model_.get(), exec.get());
    exec.cancel_at = 3;
    EXPECT_EQ(context.eval(tokens_), -EINTR);
    EXPECT_EQ(exec.n_loops, 4U);
}

TEST_P(Limits, AFullContextRefusesAndKeepsItsState) {
    EngineContext context(model_.get(), &llx_exec_inline);
    ASSERT_EQ(context.eval(std::span(tokens_).first(71)), 0);
    const Bits before = context.logit_bits();
    EXPECT_EQ(context.eval(std::span(tokens_).first(2)), -E2BIG);
    EXPECT_EQ(context->n_past, 71U);
    EXPECT_EQ(context.logit_bits(), before);
    EXPECT_EQ(context.eval(std::span(tokens_).subspan(71)), 0);
    EXPECT_EQ(context.eval(std::span(tokens_).first(1)), -E2BIG);

    EngineContext fresh(model_.get(), &llx_exec_inline);
    ASSERT_EQ(fresh.eval(tokens_), 0);
    EXPECT_EQ(context.logit_bits(), fresh.logit_bits());
}

TEST_P(Limits, TokensOutOfRangeAreRefusedBeforeAnythingRuns) {
    ScriptedExec exec(1);
    EngineContext context(model_.get(), exec.get());
    for (const std::int32_t bad : {-1, static_cast<std::int32_t>(shape().n_vocab)}) {
        const std::array<std::int32_t, 3> tokens = {1, 2, bad};
        EXPECT_EQ(context.eval(tokens), -EINVAL);
    }
    EXPECT_EQ(context.eval({}), -EINVAL);  // logits of nothing
    EXPECT_EQ(llx_context_eval(context.get(), nullptr, 0, false), 0);
    EXPECT_EQ(exec.n_loops, 0U);
    EXPECT_EQ(context->n_past, 0U);
}

TEST_P(Limits, ContextsBeyondTheModelsAreRefused) {
    llx_context context;
    EXPECT_EQ(llx_context_init(&context, model_.get(), &llx_exec_inline, 0), -EINVAL);
    EXPECT_EQ(llx_context_init(&context, model_.get(), &llx_exec_inline, 73), -EINVAL);
    EXPECT_EQ(llx_context_bytes(model_.get(), 73), 0U);
    // Keys and values of one position: 2 layers, 2 heads of 64.
    const size_t row_bytes = GetParam() ? 64 / 32 * 34 : 64 * 2;
    EXPECT_EQ(llx_context_bytes(model_.get(), 72) - llx_context_bytes(model_.get(), 71),
              2U * 2 * 2 * row_bytes);
}

std::string cache_name(const testing::TestParamInfo<bool>& info) {
    return info.param ? "Q8_0" : "F16";
}
INSTANTIATE_TEST_SUITE_P(Caches, Limits, testing::Bool(), cache_name);

TEST(Cache, HeadsThatQ8_0CannotKeepAreRefused) {
    llx_model model{};
    model.hparams.head_dim = 48;
    EXPECT_EQ(llx_model_set_cache(&model, LLX_CACHE_Q8_0), -EINVAL);
    EXPECT_EQ(model.cache_type, LLX_CACHE_F16);
    EXPECT_EQ(llx_model_set_cache(&model, LLX_CACHE_F16), 0);
    model.hparams.head_dim = 64;
    EXPECT_EQ(llx_model_set_cache(&model, LLX_CACHE_Q8_0), 0);
}

}  // namespace
}  // namespace llamux::test
