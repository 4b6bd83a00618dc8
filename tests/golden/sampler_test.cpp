// SPDX-License-Identifier: GPL-2.0-only
//
// Sampling through a context. Catches draws that a seed does not reproduce,
// parameters out of range let through, a penalty that looks too far or not far
// enough back, and a cancelled draw that uses up randomness.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "golden/shapes.hpp"
#include "support/engine_model.hpp"
#include "support/scripted_exec.hpp"

namespace llamux::test {
namespace {

class Sampler : public testing::Test {
  protected:
    static ModelShape shape() {
        ModelShape s;
        s.types = {LLX_TYPE_F32};
        s.n_layer = 1;
        s.n_vocab = 64;
        return s;
    }
    static llx_sampler_params params() {
        llx_sampler_params p{};
        p.temperature_milli = 1000;
        p.top_p_milli = 1000;
        p.repeat_penalty_milli = 1000;
        p.seed = 42;
        return p;
    }

    void SetUp() override { std::memset(&sampler_, 0, sizeof(sampler_)); }
    void TearDown() override { llx_sampler_destroy(&sampler_); }

    void start(const llx_sampler_params& p) {
        llx_sampler_destroy(&sampler_);
        ASSERT_EQ(llx_sampler_init(&sampler_, model_.get(), &p), 0);
    }
    // The draw overwrites the logits, so each gets its own.
    s32 draw(const std::vector<float>& logits) {
        std::memcpy(context_->logits, logits.data(), logits.size() * sizeof(float));
        return llx_sampler_next(&sampler_, context_.get());
    }
    std::vector<s32> draws(const std::vector<float>& logits, int n) {
        std::vector<s32> out;
        for (int i = 0; i < n; i++)
            out.push_back(draw(logits));
        return out;
    }
    // Token i has probability proportional to i + 1.
    static std::vector<float> slope() {
        std::vector<float> logits;
        for (std::uint32_t i = 0; i < shape().n_vocab; i++)
            logits.push_back(std::log(static_cast<float>(i + 1)));
        return logits;
    }

    EngineModel model_{random_model(shape()), usable_kernels().front()};
    ScriptedExec exec_{3};
    EngineContext context_{model_.get(), exec_.get()};
    llx_sampler sampler_;
};

TEST_F(Sampler, TheSameSeedGivesTheSameTokens) {
    start(params());
    const std::vector<s32> first = draws(slope(), 50);
    start(params());
    EXPECT_EQ(draws(slope(), 50), first);
    llx_sampler_params other = params();
    other.seed = 43;
    start(other);
    EXPECT_NE(draws(slope(), 50), first);
}

TEST_F(Sampler, RandomNumbersAreSplitmix64) {
    // First outputs for the seed 1234567 (Vigna's splitmix64.c). A draw from
    // two equal tokens shows the top bit of each.
    constexpr std::array<std::uint64_t, 5> kOutputs = {
        6457827717110365317ULL, 3203168211198807973ULL, 9817491932198370423ULL,
        4593380528125082431ULL, 16408922859458223821ULL};
    llx_sampler_params p = params();
    p.seed = 1234567;
    start(p);
    std::vector<float> two(shape().n_vocab, -std::numeric_limits<float>::infinity());
    two[10] = two[20] = 1.0F;
    for (const std::uint64_t output : kOutputs)
        EXPECT_EQ(draw(two), output >> 63 == 0 ? 10 : 20);
}

TEST_F(Sampler, DrawsFollowTheProbabilities) {
    start(params());
    constexpr int kDraws = 20000;
    std::map<s32, int> counts;
    for (const s32 token : draws(slope(), kDraws))
        counts[token]++;
    const int total = 64 * 65 / 2;
    double chi_square = 0;
    for (int i = 0; i < 64; i++) {
        const double expected = static_cast<double>(kDraws) * (i + 1) / total;
        chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    EXPECT_LT(chi_square, 103.4);  // 63 degrees of freedom, p = 0.001; the seed is fixed
}

TEST_F(Sampler, GreedyTakesTheLargestAndNeedsNoSeed) {
    llx_sampler_params p = params();
    p.temperature_milli = 0;
    start(p);
    EXPECT_EQ(draws(slope(), 3), (std::vector<s32>{63, 63, 63}));
}

TEST_F(Sampler, ThePenaltyLooksBackAsFarAsAsked) {
    llx_sampler_params p = params();
    p.temperature_milli = 0;
    p.repeat_penalty_milli = 2000;
    p.repeat_last_n = 3;
    start(p);
    std::vector<float> logits(shape().n_vocab, 0.0F);
    logits[1] = 8.0F;
    logits[2] = 7.0F;
    logits[3] = 6.0F;
    logits[4] = 5.0F;
    // Each chosen token is halved while it is among the last three.
    EXPECT_EQ(draws(logits, 8), (std::vector<s32>{1, 2, 3, 4, 1, 2, 3, 4}));
}

TEST_F(Sampler, ATokenSeenTwiceIsPenalisedOnce) {
    llx_sampler_params p = params();
    p.temperature_milli = 0;
    p.repeat_penalty_milli = 2000;
    p.repeat_last_n = LLX_SAMPLER_HISTORY;
    start(p);
    for (int i = 0; i < 5; i++)
        llx_sampler_accept(&sampler_, 1);
    std::vector<float> logits(shape().n_vocab, 0.0F);
    logits[1] = 8.0F;
    logits[2] = 3.9F;
    EXPECT_EQ(draw(logits), 1);  // 8 / 2, not 8 / 32
}

TEST_F(Sampler, TheHistoryGoesRoundForever) {
    llx_sampler_params p = params();
    p.temperature_milli = 0;
    p.repeat_penalty_milli = 2000;
    p.repeat_last_n = 2;
    start(p);
    std::vector<float> logits(shape().n_vocab, 0.0F);
    logits[1] = 8.0F;
    logits[2] = 7.0F;
    logits[3] = 6.0F;
    for (int i = 0; i < 1000; i++)
        ASSERT_EQ(draw(logits), 1 + i % 3) << "draw " << i;
}

TEST_F(Sampler, ACancelledDrawUsesNoRandomness) {
    start(params());
    const std::vector<s32> expected = draws(slope(), 10);
    start(params());
    std::vector<s32> got;
    while (got.size() < 10) {
        exec_.cancel_at = exec_.n_loops;
        ASSERT_EQ(draw(slope()), -EINTR);
        got.push_back(draw(slope()));
    }
    EXPECT_EQ(got, expected);
}

TEST_F(Sampler, ParametersOutOfRangeAreRefused) {
    const auto refused = [&](auto change) {
        llx_sampler_params p = params();
        change(p);
        llx_sampler s;
        const int err = llx_sampler_init(&s, model_.get(), &p);
        llx_sampler_destroy(&s);
        return err == -EINVAL;
    };
    EXPECT_FALSE(refused([](llx_sampler_params&) {}));
    EXPECT_TRUE(refused([](llx_sampler_params& p) { p.temperature_milli = 5001; }));
    EXPECT_TRUE(refused([](llx_sampler_params& p) { p.top_p_milli = 0; }));
    EXPECT_TRUE(refused([](llx_sampler_params& p) { p.top_p_milli = 1001; }));
    EXPECT_TRUE(refused([](llx_sampler_params& p) { p.min_p_milli = 1001; }));
    EXPECT_TRUE(refused([](llx_sampler_params& p) { p.repeat_penalty_milli = 0; }));
    EXPECT_TRUE(refused([](llx_sampler_params& p) { p.repeat_penalty_milli = 2001; }));
    EXPECT_TRUE(refused([](llx_sampler_params& p) { p.repeat_last_n = LLX_SAMPLER_HISTORY + 1; }));
}

}  // namespace
}  // namespace llamux::test
