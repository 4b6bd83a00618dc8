// SPDX-License-Identifier: GPL-2.0-only
//
// For a guest (make test-tinyllama): TinyLlama's full geometry in the kernel.
// Catches what small models cannot show there: allocations of hundreds of
// megabytes, long loads, and an engine that computes something else than the
// user-space build. Expected values: tinyllama_test --write-native-logits.
#include <iostream>

#include "support/native_logits.hpp"
#include "support/tinyllama_prompts.hpp"
#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    EXPECT_NE(value, nullptr) << name << " is not set";
    return value ? value : "";
}

TEST(ModuleTinyllama, LogitsAreTheBitsOfTheUserSpaceBuild) {
    test::NativeLogits native(environment("LLAMUX_TINYLLAMA_LOGITS"));
    const auto begin = std::chrono::steady_clock::now();
    const auto seconds = [begin] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    const Module module("model=" + environment("LLAMUX_TINYLLAMA") + " n_ctx=64 nice=0");
    const Device device;
    std::printf("loaded after %.0f s: isa %s\n", seconds(), proc_values("status")["isa"].c_str());
    for (const std::string& prompt : test::tinyllama_prompts()) {
        const test::LogitBits bits = device.logits(prompt);
        const test::LogitBits expected = native.next(bits.size());
        EXPECT_EQ(bits, expected) << prompt;
        std::printf("%s after %.0f s: \"%s\"\n", bits == expected ? "same bits" : "OTHER BITS",
                    seconds(), prompt.c_str());
        std::fflush(stdout);
    }
    EXPECT_TRUE(native.at_end());
}

}  // namespace
}  // namespace llamux::vm
