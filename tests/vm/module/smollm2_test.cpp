// SPDX-License-Identifier: GPL-2.0-only
//
// SmolLM2-135M-Instruct, as a package carries it, in the kernel. Catches what
// models made for tests cannot show there: a file in use that the module cannot
// load, or runs otherwise than the user-space build. Expected values: the bits
// that this program wrote when it was built, and llama.cpp's tokens and text
// (tests/golden/smollm2_test compares more of it natively).
#include "golden/greedy.hpp"
#include "support/model_file.hpp"
#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

using Bits = std::vector<std::uint32_t>;

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
    std::ifstream native(LLAMUX_SMOLLM2_LOGITS, std::ios::binary);
    for (const nlohmann::json& prompt : prompts()) {
        std::vector<std::int32_t> tokens;
        const Bits bits = device_.logits(prompt["prompt"], &tokens);
        Bits expected(bits.size());
        native.read(reinterpret_cast<char*>(expected.data()),
                    static_cast<std::streamsize>(expected.size() * sizeof(expected[0])));
        ASSERT_TRUE(native.good()) << LLAMUX_SMOLLM2_LOGITS;
        EXPECT_EQ(tokens, prompt["tokens"].get<std::vector<std::int32_t>>());
        EXPECT_TRUE(bits == expected) << prompt["prompt"];
    }
    EXPECT_EQ(native.peek(), std::char_traits<char>::eof());
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

// At build time, on the machine that builds: leaves the expected bits in a file.
bool write_native_logits(const char* path) {
    std::string error;
    const test::LoadedModel model =
        test::load_model_file(LLAMUX_SMOLLM2, test::usable_kernels().front(), 64, error);
    EXPECT_NE(model, nullptr) << error;
    if (!model)
        return false;
    std::ofstream file(path, std::ios::binary);
    for (const nlohmann::json& prompt : prompts()) {
        test::EngineContext context(model.get(), &llx_exec_inline);
        const std::string text = prompt["prompt"];
        EXPECT_EQ(context.eval(test::raw_tokens(model.get(), text)), 0);
        const Bits bits = context.logit_bits();
        file.write(reinterpret_cast<const char*>(bits.data()),
                   static_cast<std::streamsize>(bits.size() * sizeof(bits[0])));
    }
    return file.good() && !testing::Test::HasFailure();
}

}  // namespace llamux::vm

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc == 3 && std::string_view(argv[1]) == "--write-native-logits")
        return llamux::vm::write_native_logits(argv[2]) ? 0 : 1;
    return RUN_ALL_TESTS();
}
