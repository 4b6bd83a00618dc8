// SPDX-License-Identifier: GPL-2.0-only
// Catches: a ranking that touches the model without need, scores that are not
// the stated ones, a choice below the margin, and a failure that costs the
// rules' choice.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "support/scripted_exec.hpp"
#include "support/snapshots.hpp"
#include "support/tiny_model.hpp"

namespace {

using llamux::test::ScriptedExec;
using llamux::test::SnapshotBuilder;
using llamux::test::TinyModel;

// A tiny model with random weights and a context on it.
class Tiny {
  public:
    explicit Tiny(u32 n_ctx = 4096, u32 seed = 1, bool trained = true, u32 temperature_milli = 0) {
        TinyModel tiny;
        tiny.n_ctx = n_ctx;
        tiny.seed = seed;
        auto writer = tiny.build();
        if (trained) {
            writer.set("llamux.prompt_format", "pilot");
        }
        if (temperature_milli) {
            writer.set("llamux.rank_temperature_milli", temperature_milli);
        }
        bytes_ = writer.bytes();
        const llx_reader reader{this, bytes_.size(), read};
        llx_error error{};
        EXPECT_EQ(llx_model_load(&model_, &reader, llx_kernels_select(0, "generic"), exec_.get(), 0,
                                 LLX_PROMPT_BY_FILE, &error),
                  0)
            << error.text;
        EXPECT_EQ(llx_context_init(&context, model_, exec_.get(), n_ctx), 0);
    }
    ~Tiny() {
        llx_context_destroy(&context);
        llx_model_free(model_);
    }
    Tiny(const Tiny&) = delete;
    Tiny& operator=(const Tiny&) = delete;

    ScriptedExec& exec() { return exec_; }

    // Log-probability of `phrase` after `prompt`, straight from the parts.
    s64 logprob(const llx_prompt& prompt, const std::string& phrase, u32& n_tokens) {
        std::vector<s32> tokens(4096);
        u32 n = 0;
        EXPECT_EQ(llx_prompt_encode(&prompt, model_->tokenizer, tokens.data(), 4096, &n, nullptr),
                  0);
        llx_phrase p{};
        EXPECT_EQ(llx_tokenizer_encode(model_->tokenizer, phrase.data(), phrase.size(), false,
                                       p.tokens, LLX_MAX_PHRASE_TOKENS, &p.n_tokens),
                  0);
        llx_context_truncate(&context, 0);
        EXPECT_EQ(llx_context_eval(&context, tokens.data(), n, true), 0);
        EXPECT_EQ(llx_score_phrases(&context, &p, 1), 0);
        n_tokens = p.n_tokens;
        return p.logprob_micro_nats;
    }

    llx_context context{};

  private:
    static int read(void* self, u64 offset, void* buffer, size_t bytes) {
        std::memcpy(buffer, static_cast<Tiny*>(self)->bytes_.data() + offset, bytes);
        return 0;
    }

    ScriptedExec exec_{7};
    std::vector<std::uint8_t> bytes_;
    llx_model* model_ = nullptr;
};

// Phrases of the test are longer than 64 tokens in a vocabulary of letters.
SnapshotBuilder reclaim() {
    SnapshotBuilder b;
    b.psi(0, 200, 0);
    b.add(20, 100);
    b->record.total.direct_reclaim_ns = 500'000'000;
    return b;
}

TEST(Advise, NoFactNeedsNoModel) {
    Tiny tiny;
    llamux_advice advice{};
    const u64 before = tiny.exec().n_loops;
    ASSERT_EQ(llx_advise(&tiny.context, SnapshotBuilder{}.get(), nullptr, &advice, nullptr, 0), 0);
    EXPECT_EQ(advice.ranked_by, u32{LLAMUX_RANKED_BY_NOTHING});
    EXPECT_EQ(advice.n_candidates, 1u);
    EXPECT_EQ(advice.candidates[advice.chosen].kind, u32{LLAMUX_ACTION_NONE});
    EXPECT_EQ(advice.snapshot_sequence, 2u);
    EXPECT_EQ(tiny.exec().n_loops, before);
}

TEST(Advise, WithoutAModelTheRulesDecide) {
    llamux_advice advice{};
    char text[16] = "unchanged";
    ASSERT_EQ(llx_advise(nullptr, SnapshotBuilder::noisy_neighbour().get(), nullptr, &advice, text,
                         sizeof(text)),
              0);
    EXPECT_EQ(advice.ranked_by, u32{LLAMUX_RANKED_BY_RULES});
    EXPECT_EQ(advice.chosen, 0u);
    EXPECT_STREQ(advice.candidates[0].phrase, "lower the cpu weight of group B");
    EXPECT_STREQ(text, "");
}

// A model that was trained on the task is asked once; another one's bias is
// measured and taken away.
class AdviseScore : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Trained, AdviseScore, testing::Bool());

TEST_P(AdviseScore, IsWhatTheHeaderSays) {
    const bool trained = GetParam();
    const auto format = trained ? LLX_PROMPT_PILOT : LLX_PROMPT_PLAIN;
    Tiny tiny(4096, 1, trained);
    const auto b = reclaim();
    llamux_advice advice{};
    std::vector<char> text(LLX_PROMPT_TEXT);
    ASSERT_EQ(llx_advise(&tiny.context, b.get(), nullptr, &advice, text.data(), LLX_PROMPT_TEXT),
              0);
    ASSERT_EQ(advice.ranked_by, u32{LLAMUX_RANKED_BY_MODEL});
    EXPECT_EQ(tiny.context.n_past, 0u);
    ASSERT_EQ(advice.n_candidates, 2u);

    std::vector<char> neutral_text(LLX_PROMPT_TEXT);
    std::vector<char> real_text(LLX_PROMPT_TEXT);
    llx_prompt neutral;
    llx_prompt real;
    llx_prompt_init(&neutral, neutral_text.data(), LLX_PROMPT_TEXT);
    llx_prompt_init(&real, real_text.data(), LLX_PROMPT_TEXT);
    llx_letters letters;
    llx_letters_assign(&letters, advice.facts, advice.n_facts);
    ASSERT_EQ(llx_prompt_neutral(&neutral, format), 0);
    ASSERT_EQ(
        llx_prompt_advise(&real, format, b.get(), advice.facts, advice.n_facts, nullptr, &letters),
        0);
    EXPECT_STREQ(text.data(), real_text.data());
    u32 permille = 0;
    for (u32 i = 0; i < advice.n_candidates; ++i) {
        const auto& c = advice.candidates[i];
        const std::string phrase = std::string(" ") + c.phrase;
        u32 n = 1;
        const s64 with = tiny.logprob(real, phrase, n);
        const s64 without = trained ? 0 : tiny.logprob(neutral, phrase, n);
        EXPECT_EQ(c.score, (with - without) / s64{n});
        permille += c.probability_permille;
    }
    EXPECT_EQ(permille, 1000u);
}

// Where a fact stands must not decide: a model without training is asked in both
// orders. One that was trained has learned that the worst comes first.
TEST_P(AdviseScore, OfTwoFactsIsTheMeanOfBothOrders) {
    const bool trained = GetParam();
    const auto format = trained ? LLX_PROMPT_PILOT : LLX_PROMPT_PLAIN;
    Tiny tiny(4096, 1, trained);
    auto b = reclaim();
    b->signals.cpu_mhz_permille = 400;
    b->record.idle_ns = 0;
    llamux_advice advice{};
    ASSERT_EQ(llx_advise(&tiny.context, b.get(), nullptr, &advice, nullptr, 0), 0);
    ASSERT_EQ(advice.ranked_by, u32{LLAMUX_RANKED_BY_MODEL});
    ASSERT_EQ(advice.n_facts, 2u);

    std::vector<char> text(LLX_PROMPT_TEXT);
    llx_letters letters;
    llx_letters_assign(&letters, advice.facts, advice.n_facts);
    const auto logprob = [&](const std::vector<u32>& order, const std::string& phrase, u32& n) {
        llx_prompt prompt;
        llx_prompt_init(&prompt, text.data(), LLX_PROMPT_TEXT);
        if (order.empty()) {
            EXPECT_EQ(llx_prompt_neutral(&prompt, format), 0);
        } else {
            EXPECT_EQ(llx_prompt_advise(&prompt, format, b.get(), advice.facts, 2, order.data(),
                                        &letters),
                      0);
        }
        return tiny.logprob(prompt, phrase, n);
    };
    for (u32 i = 0; i < advice.n_candidates; ++i) {
        const std::string phrase = std::string(" ") + advice.candidates[i].phrase;
        u32 n = 1;
        const s64 first = logprob({0, 1}, phrase, n);
        const s64 sum = first + logprob({1, 0}, phrase, n) - 2 * logprob({}, phrase, n);
        EXPECT_EQ(advice.candidates[i].score, trained ? first / s64{n} : sum / (2 * s64{n}));
    }
}

TEST(Advise, ChoiceFollowsTheMargin) {
    int clear = 0;
    int close = 0;
    for (u32 seed = 1; seed <= 5; ++seed) {
        Tiny tiny(4096, seed);
        llamux_advice advice{};
        ASSERT_EQ(llx_advise(&tiny.context, reclaim().get(), nullptr, &advice, nullptr, 0), 0);
        const u32 a = advice.candidates[0].probability_permille;
        const u32 b = advice.candidates[1].probability_permille;
        EXPECT_EQ(advice.margin_permille, a > b ? a - b : b - a);
        if (advice.margin_permille < LLAMUX_ADVISE_MARGIN_PERMILLE) {
            EXPECT_EQ(advice.chosen, 1u) << "too close: no change";
            ++close;
        } else {
            EXPECT_EQ(advice.chosen, a > b ? 0u : 1u);
            ++clear;
        }
    }
    EXPECT_GT(clear + close, 0);
}

TEST(Advise, AHighTemperatureMakesItLessSure) {
    Tiny usual;
    Tiny warm(4096, 1, true, 1000);
    llamux_advice sure{};
    llamux_advice unsure{};
    ASSERT_EQ(llx_advise(&usual.context, reclaim().get(), nullptr, &sure, nullptr, 0), 0);
    ASSERT_EQ(llx_advise(&warm.context, reclaim().get(), nullptr, &unsure, nullptr, 0), 0);
    EXPECT_EQ(unsure.candidates[0].score, sure.candidates[0].score);
    EXPECT_LT(unsure.margin_permille, sure.margin_permille);
}

TEST(Advise, FailureKeepsTheRulesChoice) {
    const auto b = reclaim();
    {
        Tiny tiny(16);
        llamux_advice advice{};
        EXPECT_EQ(llx_advise(&tiny.context, b.get(), nullptr, &advice, nullptr, 0), -E2BIG);
        EXPECT_EQ(advice.ranked_by, u32{LLAMUX_RANKED_BY_RULES});
        EXPECT_EQ(advice.chosen, 0u);
        EXPECT_EQ(tiny.context.n_past, 0u);
    }
    Tiny tiny;
    llamux_advice whole{};
    const u64 before = tiny.exec().n_loops;
    ASSERT_EQ(llx_advise(&tiny.context, b.get(), nullptr, &whole, nullptr, 0), 0);
    const u64 loops = tiny.exec().n_loops - before;
    for (u64 at = 0; at < loops; at += 1 + loops / 6) {
        llamux_advice advice{};
        tiny.exec().cancel_at = tiny.exec().n_loops + at;
        EXPECT_EQ(llx_advise(&tiny.context, b.get(), nullptr, &advice, nullptr, 0), -EINTR);
        EXPECT_EQ(advice.ranked_by, u32{LLAMUX_RANKED_BY_RULES});
        EXPECT_EQ(advice.candidates[0].probability_permille, 0u);
        EXPECT_EQ(tiny.context.n_past, 0u);
    }
    tiny.exec().cancel_at = ~u64{0};
    llamux_advice again{};
    ASSERT_EQ(llx_advise(&tiny.context, b.get(), nullptr, &again, nullptr, 0), 0);
    EXPECT_EQ(std::memcmp(&again, &whole, sizeof(again)), 0) << "same input, same advice";
}

TEST(Advise, BaselineIsKeptPerWindow) {
    llx_baseline baseline;
    llx_baseline_init(&baseline);
    SnapshotBuilder quiet;
    quiet.add(20, 100).runq_wait_p99_us = 256;
    llamux_advice advice{};
    for (int i = 0; i < 4; ++i) {
        llx_advise_detect(quiet.get(), &baseline, &advice);
    }
    EXPECT_EQ(baseline.n_windows, 4u);
    EXPECT_EQ(baseline.n_quiet, 4u);
    llx_advise_detect(SnapshotBuilder::noisy_neighbour().get(), &baseline, &advice);
    EXPECT_EQ(baseline.n_quiet, 4u);
    EXPECT_EQ(advice.facts[0].evidence[0].normal, 256u);
}

}  // namespace
