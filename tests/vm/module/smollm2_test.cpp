// SPDX-License-Identifier: GPL-2.0-only
//
// SmolLM2-135M-Instruct, as a package carries it, in the kernel. Catches what
// models made for tests cannot show there: a file in use that the module cannot
// load, or runs otherwise than the user-space build. Expected values: the bits
// that this program wrote when it was built, and llama.cpp's tokens and text
// (tests/golden/smollm2_test compares more of it natively).
#include "golden/greedy.hpp"
#include "support/native_logits.hpp"
#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

// Their first tokens lead the second best by more than rounding explains.
constexpr std::size_t kAnswerTokens = 4;

std::vector<nlohmann::json> prompts() {
    const nlohmann::json fixture = test::read_greedy_fixture(LLAMUX_SMOLLM2_FIXTURE);
    std::vector<nlohmann::json> meant;
    for (const nlohmann::json& prompt : fixture["prompts"]) {
        if (prompt["prompt"] == "The capital of France is" || prompt["prompt"] == "1, 2, 3, 4,")
            meant.push_back(prompt);
    }
    EXPECT_EQ(meant.size(), 2U);
    return meant;
}

class ModuleSmollm2 : public testing::Test {
  protected:
    Module module_{std::string("nice=0 n_ctx=64 model=") + LLAMUX_SMOLLM2};
    Device device_;
};

TEST_F(ModuleSmollm2, TokensAreLlamaCppsAndLogitsTheBitsOfTheUserSpaceBuild) {
    test::NativeLogits native(LLAMUX_SMOLLM2_LOGITS);
    for (const nlohmann::json& prompt : prompts()) {
        std::vector<std::int32_t> tokens;
        const test::LogitBits bits = device_.logits(prompt["prompt"], &tokens);
        EXPECT_EQ(tokens, prompt["tokens"].get<std::vector<std::int32_t>>());
        EXPECT_TRUE(bits == native.next(bits.size())) << prompt["prompt"];
    }
    EXPECT_TRUE(native.at_end());
}

TEST_F(ModuleSmollm2, GoesOnAsLlamaCppDoes) {
    device_.set_greedy(kAnswerTokens);
    std::size_t n_tokens = 0;
    for (const nlohmann::json& prompt : prompts()) {
        ASSERT_EQ(device_.prompt(prompt["prompt"].get<std::string>()), 0);
        const std::string answer = " " + device_.answer();  // docs/ABI.md: dropped
        const std::string theirs = prompt["shipped"]["text"];
        EXPECT_TRUE(theirs.starts_with(answer)) << answer << " is not how it begins: " << theirs;
        n_tokens += kAnswerTokens;
    }
    EXPECT_EQ(read_stats(device_).generated_tokens, n_tokens);
}

}  // namespace

// At build time, on the machine that builds.
test::LogitBits native_logits() {
    std::string error;
    const test::LoadedModel model =
        test::load_model_file(LLAMUX_SMOLLM2, test::usable_kernels().front(), 64, error);
    EXPECT_NE(model, nullptr) << error;
    std::vector<std::string> texts;
    for (const nlohmann::json& prompt : prompts())
        texts.push_back(prompt["prompt"]);
    return model ? test::native_logits(model.get(), texts) : test::LogitBits{};
}

}  // namespace llamux::vm

int main(int argc, char** argv) {
    return llamux::test::run_tests_or_write_logits(argc, argv, llamux::vm::native_logits);
}
