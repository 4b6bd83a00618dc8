// SPDX-License-Identifier: GPL-2.0-only
// Catches: a kept beginning that gives other bits than evaluating it, one taken
// for another, one that a cancelled evaluation left half done, and memory that
// grows with every new beginning.

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "support/engine_model.hpp"
#include "support/model_data.hpp"
#include "support/scripted_exec.hpp"

namespace {

using llamux::test::EngineContext;
using llamux::test::EngineModel;
using llamux::test::ModelData;
using llamux::test::ModelShape;
using llamux::test::ScriptedExec;

constexpr u32 kConstant = 40;

// With either kind of cache.
class Prefix : public testing::TestWithParam<bool> {
  protected:
    Prefix() { model_.prefixes = &prefixes_; }
    ~Prefix() override { llx_prefixes_clear(&prefixes_); }

    // A prompt whose first kConstant tokens depend on `beginning` alone.
    static std::vector<s32> prompt(u32 beginning, u32 rest, u32 n = 50) {
        std::vector<s32> tokens(n);
        for (u32 i = 0; i < n; i++)
            tokens[i] = static_cast<s32>((i < kConstant ? beginning : rest) * 7 + i) % 30;
        return tokens;
    }

    // Evaluates through the kept beginnings; returns how many tokens it took.
    u32 evaluate(EngineContext& context, const std::vector<s32>& tokens) {
        u32 n_evaluated = 0;
        EXPECT_EQ(llx_prefix_eval(context.get(), tokens.data(), static_cast<u32>(tokens.size()),
                                  kConstant, &n_evaluated),
                  0);
        EXPECT_EQ(context->n_past, tokens.size());
        return n_evaluated;
    }

    std::vector<u32> plain(const std::vector<s32>& tokens) {
        EngineContext context(&model_, exec_.get());
        EXPECT_EQ(context.eval(tokens), 0);
        return context.logit_bits();
    }

    ScriptedExec exec_{1};
    static ModelShape shape() {
        ModelShape s;
        s.q8_0_cache = GetParam();
        return s;
    }
    EngineModel made_{llamux::test::random_model(shape()), llx_kernels_select(0, "generic")};
    llx_model model_ = *made_.get();
    llx_prefixes prefixes_{};
};

TEST_P(Prefix, IsEvaluatedOnceAndGivesTheSameBits) {
    EngineContext first(&model_, exec_.get());
    EXPECT_EQ(evaluate(first, prompt(1, 2)), 50U);
    EXPECT_EQ(first.logit_bits(), plain(prompt(1, 2)));

    EngineContext second(&model_, exec_.get(), 64);  // another room between the runs
    EXPECT_EQ(evaluate(second, prompt(1, 3)), 50 - kConstant);
    EXPECT_EQ(second.logit_bits(), plain(prompt(1, 3)));
    const std::vector<s32> more = {4, 5, 6};
    std::vector<s32> all = prompt(1, 3);
    all.insert(all.end(), more.begin(), more.end());
    ASSERT_EQ(second.eval(more), 0);
    EXPECT_EQ(second.logit_bits(), plain(all));
}

TEST_P(Prefix, NeedsTheSameTokensAndOneMore) {
    EngineContext context(&model_, exec_.get());
    evaluate(context, prompt(1, 2));
    std::vector<s32> other = prompt(1, 2);
    other[kConstant - 1]++;
    EXPECT_EQ(evaluate(context, other), 50U);
    EXPECT_EQ(evaluate(context, prompt(1, 2, kConstant)), kConstant);  // logits of its last token
    EXPECT_EQ(evaluate(context, prompt(1, 2, kConstant + 1)), 1U);
}

TEST_P(Prefix, TheOldestMakesRoom) {
    EngineContext context(&model_, exec_.get());
    for (u32 i = 0; i <= LLX_PREFIXES; i++)
        EXPECT_EQ(evaluate(context, prompt(i, 9)), 50U);
    for (u32 i = 1; i <= LLX_PREFIXES; i++)
        EXPECT_EQ(evaluate(context, prompt(i, 8)), 50 - kConstant);
    EXPECT_EQ(evaluate(context, prompt(0, 8)), 50U);
}

TEST_P(Prefix, ShortOnesAreNotKept) {
    EngineContext context(&model_, exec_.get());
    u32 n = 0;
    const auto tokens = prompt(1, 1);
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(llx_prefix_eval(context.get(), tokens.data(), 50, LLX_PREFIX_MIN - 1, &n), 0);
        EXPECT_EQ(n, 50U);
    }
}

TEST_P(Prefix, ACancelledEvaluationKeepsNothing) {
    const auto tokens = prompt(1, 2);
    EngineContext context(&model_, exec_.get());
    exec_.cancel_at = exec_.n_loops + 5;
    EXPECT_EQ(llx_prefix_eval(context.get(), tokens.data(), 50, kConstant, nullptr), -EINTR);
    EXPECT_EQ(context->n_past, 0U);
    exec_.cancel_at = ~u64{0};
    EXPECT_EQ(evaluate(context, tokens), 50U);
    EXPECT_EQ(context.logit_bits(), plain(tokens));
}

TEST_P(Prefix, TooLongForTheContextIsRefused) {
    const auto tokens = prompt(1, 2);
    EngineContext context(&model_, exec_.get(), 45);
    EXPECT_EQ(llx_prefix_eval(context.get(), tokens.data(), 50, kConstant, nullptr), -E2BIG);
    EXPECT_EQ(context->n_past, 0U);
}

std::string cache_name(const testing::TestParamInfo<bool>& info) {
    return info.param ? "Q8_0" : "F16";
}
INSTANTIATE_TEST_SUITE_P(Caches, Prefix, testing::Bool(), cache_name);

}  // namespace
