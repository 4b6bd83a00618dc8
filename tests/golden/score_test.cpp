// SPDX-License-Identifier: GPL-2.0-only
//
// Scores of whole phrases against log-probabilities taken one token at a time
// from the reference definition. Catches shared prefixes that are counted twice
// or not at all, logits of the wrong position, and a prompt that is changed.
#include <gtest/gtest.h>

#include <cmath>

#include "golden/shapes.hpp"
#include "support/engine_model.hpp"
#include "support/scripted_exec.hpp"

namespace llamux::test {
namespace {

using Tokens = std::vector<std::int32_t>;

class Score : public testing::Test {
  protected:
    static ModelShape shape() {
        ModelShape s;
        s.types = {LLX_TYPE_F16};
        s.n_layer = 1;
        s.n_ctx = 64;
        return s;
    }

    static llx_phrase phrase(const Tokens& tokens) {
        llx_phrase p{};
        std::copy(tokens.begin(), tokens.end(), p.tokens);
        p.n_tokens = static_cast<u32>(tokens.size());
        return p;
    }

    // Sum of log softmax over a context of its own, in double.
    double expected_nats(const Tokens& tokens) {
        EngineContext context(model_.get(), &llx_exec_inline);
        EXPECT_EQ(context.eval(prompt_), 0);
        double sum = 0;
        for (const std::int32_t token : tokens) {
            const std::vector<double> logits = context.logits();
            double total = 0;
            for (const double logit : logits)
                total += std::exp(logit - logits[static_cast<std::size_t>(token)]);
            sum -= std::log(total);
            EXPECT_EQ(context.eval({&token, 1}), 0);
        }
        return sum;
    }

    EngineModel model_{random_model(shape()), usable_kernels().front()};
    Tokens prompt_ = random_tokens(10, shape().n_vocab, 12);
};

TEST_F(Score, EqualsTheSumOfTokenLogProbabilities) {
    const std::vector<Tokens> phrases = {
        {5, 6, 7},
        {5, 6, 8},  // share two tokens
        {5},
        {5, 6},  // prefixes of others
        {9, 1},
        {5, 6, 7},  // leaves the tree and comes back, same phrase again
        {5, 6, 7, 8, 9},
        {140, 2, 2, 2},
    };
    std::vector<llx_phrase> scored;
    for (const Tokens& tokens : phrases)
        scored.push_back(phrase(tokens));

    EngineContext context(model_.get(), &llx_exec_inline);
    ASSERT_EQ(context.eval(prompt_), 0);
    ASSERT_EQ(llx_score_phrases(context.get(), scored.data(), static_cast<u32>(scored.size())), 0);
    EXPECT_EQ(context->n_past, prompt_.size());
    for (std::size_t i = 0; i < phrases.size(); i++) {
        // Each token is rounded to a micro-nat.
        EXPECT_NEAR(static_cast<double>(scored[i].logprob_micro_nats),
                    expected_nats(phrases[i]) * 1e6, static_cast<double>(phrases[i].size()))
            << "phrase " << i;
    }

    // The prompt is still there: what follows is as if nothing had been scored.
    EngineContext fresh(model_.get(), &llx_exec_inline);
    ASSERT_EQ(fresh.eval(prompt_), 0);
    const Tokens next = {42};
    ASSERT_EQ(fresh.eval(next), 0);
    ASSERT_EQ(context.eval(next), 0);
    EXPECT_EQ(context.logit_bits(), fresh.logit_bits());
}

TEST_F(Score, ASharedPrefixIsEvaluatedOnce) {
    ScriptedExec exec(1);
    EngineContext context(model_.get(), exec.get());
    ASSERT_EQ(context.eval(prompt_), 0);
    std::array<llx_phrase, 2> once = {phrase({5, 6, 7, 8}), phrase({5, 6, 7, 9})};
    exec.n_loops = 0;
    ASSERT_EQ(llx_score_phrases(context.get(), once.data(), 1), 0);
    const std::uint64_t alone = exec.n_loops;
    // The prompt's logits are gone with the first scoring.
    llx_context_truncate(context.get(), 0);
    ASSERT_EQ(context.eval(prompt_), 0);
    exec.n_loops = 0;
    ASSERT_EQ(llx_score_phrases(context.get(), once.data(), 2), 0);
    EXPECT_EQ(exec.n_loops, alone);
}

// More tokens than go through the layers together, and more phrases.
TEST_F(Score, ManyPhrasesTakeSeveralPasses) {
    std::vector<Tokens> phrases;
    for (std::int32_t i = 0; i < 90; i++) {
        Tokens tokens = {i % 3};
        for (std::int32_t j = 0; j < i % 7; j++)
            tokens.push_back((i * 11 + j * 5) % 150);
        phrases.push_back(tokens);
    }
    phrases.push_back(Tokens(50, 3));
    std::vector<llx_phrase> scored;
    for (const Tokens& tokens : phrases)
        scored.push_back(phrase(tokens));
    ScriptedExec exec(7);
    EngineContext context(model_.get(), exec.get());
    ASSERT_EQ(context.eval(prompt_), 0);
    ASSERT_EQ(llx_score_phrases(context.get(), scored.data(), static_cast<u32>(scored.size())), 0);
    for (std::size_t i = 0; i < phrases.size(); i++)
        EXPECT_NEAR(static_cast<double>(scored[i].logprob_micro_nats),
                    expected_nats(phrases[i]) * 1e6, static_cast<double>(phrases[i].size()))
            << "phrase " << i;
}

TEST_F(Score, RefusesWhatCannotBeScored) {
    EngineContext context(model_.get(), &llx_exec_inline);
    llx_phrase good = phrase({1});
    EXPECT_EQ(llx_score_phrases(context.get(), &good, 1), -EINVAL);  // no prompt
    ASSERT_EQ(context.eval(prompt_), 0);
    llx_phrase empty = phrase({});
    EXPECT_EQ(llx_score_phrases(context.get(), &empty, 1), -EINVAL);
    llx_phrase wrong = phrase({1, -1});
    EXPECT_EQ(llx_score_phrases(context.get(), &wrong, 1), -EINVAL);
    wrong = phrase({static_cast<std::int32_t>(shape().n_vocab)});
    EXPECT_EQ(llx_score_phrases(context.get(), &wrong, 1), -EINVAL);
    llx_phrase endless = phrase({1});
    endless.n_tokens = LLX_MAX_PHRASE_TOKENS + 1;
    EXPECT_EQ(llx_score_phrases(context.get(), &endless, 1), -EINVAL);

    // 54 positions are left; the last token of a phrase needs none.
    llx_phrase fits = phrase(Tokens(55, 3));
    EXPECT_EQ(llx_score_phrases(context.get(), &fits, 1), 0);
    llx_phrase large = phrase(Tokens(56, 3));
    EXPECT_EQ(llx_score_phrases(context.get(), &large, 1), -E2BIG);
    EXPECT_EQ(context->n_past, prompt_.size());
}

TEST_F(Score, ACancellationKeepsThePrompt) {
    std::array<llx_phrase, 2> phrases = {phrase({5, 6, 7}), phrase({9, 1})};
    ScriptedExec exec(2);
    EngineContext context(model_.get(), exec.get());
    ASSERT_EQ(context.eval(prompt_), 0);
    const std::uint64_t begin = exec.n_loops;
    ASSERT_EQ(llx_score_phrases(context.get(), phrases.data(), 2), 0);
    const std::uint64_t n_loops = exec.n_loops - begin;
    for (std::uint64_t at = 0; at < n_loops; at++) {
        exec.cancel_at = exec.n_loops + at;
        ASSERT_EQ(llx_score_phrases(context.get(), phrases.data(), 2), -EINTR) << at;
        ASSERT_EQ(context->n_past, prompt_.size());
    }
}

}  // namespace
}  // namespace llamux::test
