// SPDX-License-Identifier: GPL-2.0-only
//
// SmolLM2-135M-Instruct as a package carries it, against llama.cpp. Catches what
// models made for tests cannot show: an engine that fails on a file in use, here
// Q4_1 with a BPE vocabulary and a tied output. parity/make_smollm2_fixture.py
// recorded the texts.
#include "golden/greedy.hpp"
#include "support/model_file.hpp"

namespace llamux::test {
namespace {

constexpr std::size_t kLeastPrompts = 12;
// 30 layers round often, and a small model often has a close second.
constexpr std::size_t kNearTies = 16;

TEST(Smollm2, GoesOnAsLlamaCppDoes) {
    const nlohmann::json prompts = read_greedy_fixture(LLAMUX_SMOLLM2_FIXTURE)["prompts"];
    std::string error;
    const LoadedModel model = load_model_file(LLAMUX_SMOLLM2, usable_kernels().front(), 256, error);
    ASSERT_NE(model, nullptr) << error;
    EXPECT_EQ(model->output.tiles, model->token_embd.tiles) << "the output is tied";
    EXPECT_EQ(model->prompt_format, LLX_PROMPT_CHATML);
    for (const nlohmann::json& prompt : prompts) {
        EXPECT_EQ(raw_tokens(model.get(), prompt["prompt"].get<std::string>()),
                  prompt["tokens"].get<std::vector<std::int32_t>>());
    }
    ASSERT_GE(prompts.size(), kLeastPrompts);
    const Agreement same = compare_texts(model.get(), prompts);
    EXPECT_GE(same.tokens, same.all_tokens - kNearTies);
}

}  // namespace
}  // namespace llamux::test
