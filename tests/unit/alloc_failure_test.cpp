// SPDX-License-Identifier: GPL-2.0-only
// Catches: an allocation whose failure is not noticed, not reported as -ENOMEM,
// loses memory, or leaves an object that does not work any more. One test for
// each operation of the engine that allocates.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "support/alloc_failures.hpp"
#include "support/engine_model.hpp"
#include "support/loaded_tokenizer.hpp"
#include "support/model_file.hpp"
#include "support/snapshots.hpp"
#include "support/tiny_model.hpp"

namespace {

using llamux::test::Bytes;
using llamux::test::EngineContext;
using llamux::test::EngineModel;
using llamux::test::fail_each_allocation;
using llamux::test::GgufWriter;
using llamux::test::load_vocab;
using llamux::test::LoadedModel;
using llamux::test::ModelShape;
using llamux::test::SnapshotBuilder;
using llamux::test::TinyModel;
using llamux::test::TinyVocab;
using llamux::test::Tokenizer;
using llamux::test::usable_kernels;

using Codes = std::vector<int>;
using Ids = std::vector<std::int32_t>;

Codes no_memory(std::size_t n) {
    return Codes(n, -ENOMEM);
}

int read_bytes(void* ctx, u64 offset, void* buffer, std::size_t n) {
    std::memcpy(buffer, static_cast<const Bytes*>(ctx)->data() + offset, n);
    return 0;
}

// Loads the file; says what went wrong in one line if, and only if, it did.
int load(Bytes& file, LoadedModel& model) {
    const llx_reader reader = {&file, file.size(), read_bytes};
    llx_model* made = nullptr;
    llx_error error = {};
    const int code = llx_model_load(&made, &reader, usable_kernels().front(), &llx_exec_inline, 0,
                                    LLX_PROMPT_BY_FILE, &error);
    model.reset(made);
    EXPECT_EQ(code == 0, made != nullptr);
    EXPECT_EQ(error.code, code);
    EXPECT_EQ(std::string(error.text).starts_with("no memory for "), code != 0) << error.text;
    return code;
}

// A file for whose loading everything is allocated that ever is: metadata
// beyond the first read, so that it grows, and factors of RoPE.
Bytes whole_file(const TinyVocab& vocab) {
    TinyModel tiny;
    tiny.vocab = vocab;
    GgufWriter writer = tiny.build();
    const std::vector<float> factors(tiny.n_embd / tiny.n_head / 2, 1.0F);
    Bytes bytes(factors.size() * sizeof(float));
    std::memcpy(bytes.data(), factors.data(), bytes.size());
    writer.add_tensor("rope_freqs.weight", {factors.size()}, LLX_TYPE_F32, bytes);
    writer.set("llamux.padding", std::string(100000, 'p'));
    return writer.bytes();
}

TEST(AllocFailure, OfAModelBeingLoaded) {
    for (const TinyVocab& vocab : {TinyVocab::usual(), TinyVocab::bpe("llama-bpe")}) {
        Bytes file = whole_file(vocab);
        const Codes codes = fail_each_allocation([&file] {
            LoadedModel model;
            return load(file, model);
        });
        // Loader, model, prefixes; metadata twice, the parser's keys and tensors;
        // tokenizer, vocabulary; layers, factors, chunk, weights.
        EXPECT_EQ(codes, no_memory(13));
    }
}

TEST(AllocFailure, OfATokenizerBeingLoaded) {
    for (const TinyVocab& vocab : {TinyVocab::usual(), TinyVocab::bpe("gpt-2")}) {
        GgufWriter writer;
        vocab.put(writer);
        const Codes codes =
            fail_each_allocation([&writer] { return llamux::test::load_tokenizer(writer).code; });
        EXPECT_EQ(codes, no_memory(3));  // the parser's keys, the tokenizer, its vocabulary
    }
}

TEST(AllocFailure, OfTextBeingEncoded) {
    const std::string text = "the memory of group B";
    for (const TinyVocab& vocab : {TinyVocab::usual(), TinyVocab::bpe("gpt-2")}) {
        const Tokenizer t = load_vocab(vocab);
        const auto encode = [&](Ids& ids) {
            u32 n = 0;
            ids.resize(64);
            const int code =
                llx_tokenizer_encode(t.get(), text.data(), text.size(), true, ids.data(), 64, &n);
            ids.resize(n);
            return code;
        };
        Ids before;
        ASSERT_EQ(encode(before), 0);
        ASSERT_FALSE(before.empty());
        Ids ids;
        EXPECT_EQ(fail_each_allocation([&] { return encode(ids); }), no_memory(1));
        EXPECT_EQ(ids, before);
    }
}

TEST(AllocFailure, OfAPromptBeingEncoded) {
    const Tokenizer t = load_vocab(TinyVocab::usual());
    std::vector<char> text(LLX_PROMPT_TEXT);
    llx_prompt prompt;
    llx_prompt_init(&prompt, text.data(), LLX_PROMPT_TEXT);
    ASSERT_EQ(llx_prompt_neutral(&prompt, LLX_PROMPT_PILOT), 0);
    const auto encode = [&](Ids& ids) {
        u32 n = 0;
        ids.resize(4096);
        const int code = llx_prompt_encode(&prompt, t.get(), ids.data(), 4096, &n, nullptr);
        ids.resize(n);
        return code;
    };
    Ids before;
    ASSERT_EQ(encode(before), 0);
    Ids ids;
    EXPECT_EQ(fail_each_allocation([&] { return encode(ids); }), no_memory(prompt.n_segments));
    EXPECT_EQ(ids, before);
}

// A model made from plain data, for what needs no tokenizer.
class AllocFailureOnAModel : public testing::Test {
  protected:
    AllocFailureOnAModel() { model_.prefixes = &prefixes_; }

    Ids tokens_ = Ids(50, 7);
    EngineModel made_{llamux::test::random_model(ModelShape{}), usable_kernels().front()};
    llx_model model_ = *made_.get();
    llx_prefixes prefixes_{};
};

TEST_F(AllocFailureOnAModel, OfAContextBeingMade) {
    EngineContext usual(&model_, &llx_exec_inline);
    ASSERT_EQ(usual.eval(tokens_), 0);
    llx_context context;
    const auto make_and_use = [&] {
        const int code = llx_context_init(&context, &model_, &llx_exec_inline, 64);
        if (code == 0) {
            EXPECT_EQ(llx_context_eval(&context, tokens_.data(), 50, true), 0);
            EXPECT_EQ(std::memcmp(context.logits, usual->logits,
                                  model_.hparams.n_vocab * sizeof(llx_f32)),
                      0);
        }
        llx_context_destroy(&context);  // that is allowed after a failure, too
        return code;
    };
    EXPECT_EQ(fail_each_allocation(make_and_use), no_memory(4));  // keys, values, logits, scratch
}

// A beginning that cannot be kept is evaluated the next time.
TEST_F(AllocFailureOnAModel, OfABeginningBeingKept) {
    constexpr u32 kConstant = 40;
    EngineContext context(&model_, &llx_exec_inline);
    ASSERT_EQ(context.eval(tokens_), 0);
    const std::vector<u32> usual = context.logit_bits();
    std::vector<u32> n_evaluated;
    const auto evaluate_twice = [&] {
        for (int i = 0; i < 2; i++) {
            n_evaluated.emplace_back();
            EXPECT_EQ(
                llx_prefix_eval(context.get(), tokens_.data(), 50, kConstant, &n_evaluated.back()),
                0);
            EXPECT_EQ(context.logit_bits(), usual);
        }
        llx_prefixes_clear(&prefixes_);
        return 0;
    };
    EXPECT_EQ(fail_each_allocation(evaluate_twice), Codes(3));  // tokens, keys, values
    EXPECT_EQ(n_evaluated, (std::vector<u32>{50, 50, 50, 50, 50, 50, 50, 50 - kConstant}));
}

TEST_F(AllocFailureOnAModel, OfPhrasesBeingScored) {
    EngineContext context(&model_, &llx_exec_inline);
    ASSERT_EQ(context.eval(tokens_), 0);
    const llx_phrase phrase = {.tokens = {1, 2, 3}, .n_tokens = 3, .logprob_micro_nats = 0};
    const auto score = [&](s64& logprob) {
        llx_phrase scored = phrase;
        llx_context_truncate(context.get(), 0);
        EXPECT_EQ(context.eval(tokens_), 0);
        const int code = llx_score_phrases(context.get(), &scored, 1);
        EXPECT_EQ(context->n_past, tokens_.size());
        logprob = scored.logprob_micro_nats;
        return code;
    };
    s64 usual = 0;
    ASSERT_EQ(score(usual), 0);
    ASSERT_LT(usual, 0);
    s64 logprob = 0;
    EXPECT_EQ(fail_each_allocation([&] { return score(logprob); }), no_memory(1));
    EXPECT_EQ(logprob, usual);
}

TEST_F(AllocFailureOnAModel, OfASamplerBeingMade) {
    const llx_sampler_params params = {.temperature_milli = 0,
                                       .top_k = 0,
                                       .top_p_milli = 1000,
                                       .min_p_milli = 0,
                                       .repeat_penalty_milli = 1000,
                                       .repeat_last_n = 0,
                                       .seed = 1};
    llx_sampler sampler;
    const auto make = [&] {
        const int code = llx_sampler_init(&sampler, &model_, &params);
        llx_sampler_destroy(&sampler);
        return code;
    };
    EXPECT_EQ(fail_each_allocation(make), no_memory(1));
}

// The whole way of a suggestion. What fails leaves the rules' choice; only the
// prompts' beginnings, which are kept for the next time, may fail unnoticed.
TEST(AllocFailure, OfAdvice) {
    TinyModel tiny;
    tiny.n_layer = 1;
    tiny.n_embd = 32;
    tiny.n_head = 2;
    tiny.n_ff = 32;
    tiny.n_ctx = 4096;
    for (const char* token : {"<|im_start|>", "<|im_end|>"}) {
        tiny.vocab.add(token, 0, LLX_TOKEN_CONTROL);
    }
    GgufWriter writer = tiny.build();
    writer.set("tokenizer.chat_template", "<|im_start|>user<|im_end|>");
    Bytes file = writer.bytes();
    LoadedModel model;
    ASSERT_EQ(load(file, model), 0);
    llx_context context;
    ASSERT_EQ(llx_context_init(&context, model.get(), &llx_exec_inline, tiny.n_ctx), 0);
    SnapshotBuilder snapshot;
    snapshot.psi(0, 200, 0);
    snapshot.add(20, 100);
    snapshot->record.total.direct_reclaim_ns = 500'000'000;

    const auto advise = [&](llamux_advice& advice) {
        advice = {};
        const int code = llx_advise(&context, snapshot.get(), nullptr, &advice, nullptr, 0);
        EXPECT_EQ(context.n_past, 0U);
        llx_prefixes_clear(model->prefixes);
        return code;
    };
    llamux_advice usual{};
    llamux_advice by_rules{};
    ASSERT_EQ(advise(usual), 0);
    ASSERT_EQ(usual.ranked_by, u32{LLAMUX_RANKED_BY_MODEL});
    llx_advise_detect(snapshot.get(), nullptr, &by_rules);
    const Codes codes = fail_each_allocation([&] {
        llamux_advice advice{};
        const int code = advise(advice);
        const llamux_advice& expected = code == 0 ? usual : by_rules;
        EXPECT_EQ(std::memcmp(&advice, &expected, sizeof(advice)), 0) << code;
        return code;
    });
    const auto n_unnoticed = std::count(codes.begin(), codes.end(), 0);
    const auto n_failed = std::count(codes.begin(), codes.end(), -ENOMEM);
    EXPECT_EQ(n_unnoticed % 3, 0);
    EXPECT_GE(n_unnoticed, 3);
    EXPECT_GE(n_failed, 10);
    EXPECT_EQ(n_unnoticed + n_failed, static_cast<std::ptrdiff_t>(codes.size()));
    llx_context_destroy(&context);
}

}  // namespace
