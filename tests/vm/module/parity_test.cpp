// SPDX-License-Identifier: GPL-2.0-only
//
// Catches kernel builds of the engine that compute something else than the
// user-space library: logits must be the same bits, in the guest's user space
// and as computed natively when the tests were built. Expected values: the
// library, which tests/golden checks against a double-precision reference.
#include <iostream>

#include "support/native_logits.hpp"
#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

using Bits = test::LogitBits;

const std::vector<std::string> kTexts = {
    "hello there",
    "The quick brown fox jumps over the lazy dog, 3.14159 times.",
    "caf\xc3\xa9 \xf0\x9f\xa6\x99 <s></s>\n\ttabs",
    std::string(70, 'z'),
};

test::TinyModel parity_model(std::uint32_t type) {
    test::TinyModel model;
    model.n_ctx = 128;
    model.type = type;
    return model;
}

constexpr std::uint32_t kTypes[] = {LLX_TYPE_F32, LLX_TYPE_F16, LLX_TYPE_Q8_0, LLX_TYPE_Q4_0};

// All models and texts, one after another.
Bits all_library_logits(const llx_kernels* kernels) {
    Bits all;
    for (const std::uint32_t type : kTypes) {
        std::string error;
        const test::LoadedModel model =
            test::load_model(parity_model(type).build().bytes(), kernels, error);
        EXPECT_NE(model, nullptr) << error;
        const Bits bits = model ? test::native_logits(model.get(), kTexts) : Bits{};
        all.insert(all.end(), bits.begin(), bits.end());
    }
    return all;
}

Bits all_kernel_logits() {
    Bits all;
    const Device device;
    for (const std::uint32_t type : kTypes) {
        EXPECT_EQ(device.load(write_model("parity", parity_model(type))), 0);
        for (const std::string& text : kTexts) {
            const Bits bits = device.logits(text);
            all.insert(all.end(), bits.begin(), bits.end());
        }
    }
    return all;
}

std::vector<std::string> kernel_isas() {
    std::vector<std::string> names;
    for (const llx_kernels* const* table = llx_kernels_all; *table; ++table) {
        if (insmod(std::string("isa=") + (*table)->name) == 0) {
            names.emplace_back((*table)->name);
            EXPECT_EQ(rmmod(), 0);
        }
    }
    return names;
}

TEST(ModuleParity, LogitsAreTheLibrarysBits) {
    const Bits expected = all_library_logits(llx_kernels_select(0, "generic"));
    const std::vector<std::string> isas = kernel_isas();
    ASSERT_FALSE(isas.empty());
    for (const std::string& isa : isas) {
        for (const char* threads : {"1", "3"}) {
            const Module module("isa=" + isa + " threads=" + threads);
            EXPECT_EQ(all_kernel_logits(), expected) << isa << " " << threads;
        }
    }
}

TEST(ModuleParity, LogitsWithAQ8_0CacheAreTheLibrarysBits) {
    test::TinyModel model = parity_model(LLX_TYPE_Q8_0);
    model.n_embd = 128;
    model.n_head = 4;  // heads of 32
    model.n_head_kv = 2;
    std::string error;
    const test::LoadedModel library =
        test::load_model(model.build().bytes(), llx_kernels_select(0, "generic"), error);
    ASSERT_NE(library, nullptr) << error;
    const Bits half = test::native_logits(library.get(), {kTexts[1]});
    ASSERT_EQ(llx_model_set_cache(library.get(), LLX_CACHE_Q8_0), 0);
    const Bits expected = test::native_logits(library.get(), {kTexts[1]});
    EXPECT_NE(expected, half);
    const Module module("kv_cache=q8_0 model=" + write_model("parity", model));
    EXPECT_EQ(proc_values("status").at("kv_cache"), "q8_0");
    EXPECT_EQ(Device().logits(kTexts[1]), expected);

    model.n_head = 8;  // heads of 16
    std::string message;
    EXPECT_EQ(Device().load(write_model("narrow", model), &message), EINVAL);
    EXPECT_EQ(message, "kv_cache=q8_0 needs heads of a multiple of 32 values, not of 16");
}

TEST(ModuleParity, LogitsAreTheBitsOfTheMachineThatBuiltThis) {
    const char* path = std::getenv("LLAMUX_NATIVE_LOGITS");
    ASSERT_NE(path, nullptr);
    test::NativeLogits file(path);
    const Bits expected = all_library_logits(llx_kernels_select(0, "generic"));
    const Bits native = file.next(expected.size());
    EXPECT_TRUE(file.at_end());
    EXPECT_EQ(native, expected);
    const Module module;
    EXPECT_EQ(all_kernel_logits(), native);
}

TEST(ModuleParity, PhraseScoresAreTheLibrarys) {
    const Module module("model=" + write_model("parity", parity_model(LLX_TYPE_Q8_0)));
    const Device device;
    const std::string prompt = "hello there";
    const std::vector<std::string> phrases = {" one", " one two", " three", "?"};
    std::string packed;
    for (const std::string& phrase : phrases)
        packed += phrase + '\0';
    llamux_score request = {.size = sizeof(request),
                            .prompt = reinterpret_cast<std::uint64_t>(prompt.data()),
                            .phrases = reinterpret_cast<std::uint64_t>(packed.data()),
                            .prompt_bytes = static_cast<std::uint32_t>(prompt.size()),
                            .phrases_bytes = static_cast<std::uint32_t>(packed.size()),
                            .n_phrases = static_cast<std::uint32_t>(phrases.size())};
    ASSERT_EQ(device.call(LLAMUX_IOC_SCORE, &request), 0);
    for (std::size_t i = 0; i < phrases.size(); ++i) {
        EXPECT_LT(request.logprob_micro_nats[i], 0) << phrases[i];
        EXPECT_GT(request.n_tokens[i], 0u) << phrases[i];
    }
    // A phrase that goes on is less likely than its beginning.
    EXPECT_LT(request.logprob_micro_nats[1], request.logprob_micro_nats[0]);
    // The order does not matter.
    llamux_score reversed = request;
    std::string backwards;
    for (std::size_t i = phrases.size(); i-- > 0;)
        backwards += phrases[i] + '\0';
    reversed.phrases = reinterpret_cast<std::uint64_t>(backwards.data());
    ASSERT_EQ(device.call(LLAMUX_IOC_SCORE, &reversed), 0);
    for (std::size_t i = 0; i < phrases.size(); ++i)
        EXPECT_EQ(reversed.logprob_micro_nats[phrases.size() - 1 - i],
                  request.logprob_micro_nats[i]);
}

}  // namespace

// At build time, on the machine that builds.
test::LogitBits native_logits() {
    return all_library_logits(test::usable_kernels().front());
}

}  // namespace llamux::vm

int main(int argc, char** argv) {
    return llamux::test::run_tests_or_write_logits(argc, argv, llamux::vm::native_logits);
}
