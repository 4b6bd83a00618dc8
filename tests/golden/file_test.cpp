// SPDX-License-Identifier: GPL-2.0-only
//
// The tiny models as files. Catches hyperparameters or tensors that the loader
// hands to the forward pass otherwise than they were written, and bits that
// change from one compiler, machine or version of the engine to the next: the
// hashes below were computed once and hold for all of them. They change only
// together with docs/NUMERICS.md.
#include <gtest/gtest.h>

#include <cstdio>

#include "support/engine_model.hpp"
#include "support/model_file.hpp"

namespace llamux::test {
namespace {

constexpr char kPrompt[] = "the memory of a system";

struct Expected {
    const char* name;
    std::uint32_t type;
    std::uint64_t file_hash;
    std::uint64_t logits_hash;
};

// Else GoogleTest prints the bytes, padding among them.
void PrintTo(const Expected& expected, std::ostream* out) {
    *out << expected.name;
}

// build/tests/support/llamux_run --hash -p "the memory of a system" FILE
constexpr Expected kExpected[] = {
    {"F32", LLX_TYPE_F32, 0x1c1fe7382211d0c8U, 0x1f33f90a4d52e5e6U},
    {"F16", LLX_TYPE_F16, 0xa8235c6389b583f8U, 0x00a5fb6c89f1a3f4U},
    {"BF16", LLX_TYPE_BF16, 0x45c696dc3299de67U, 0x5e6a89be7b8633a0U},
    {"Q8_0", LLX_TYPE_Q8_0, 0x2105df95e4f9669cU, 0x51c30659bcbb5348U},
    {"Q4_0", LLX_TYPE_Q4_0, 0x578ea9516e8dd8d6U, 0x1af9c29c88c2453bU},
    {"Q4_1", LLX_TYPE_Q4_1, 0xc21f0650f5c7cdbbU, 0xcb1ec5f460de06ceU},
    {"Q5_0", LLX_TYPE_Q5_0, 0xc1e1851b5586d0f4U, 0x4daa1cd3f0391761U},
    {"Q5_1", LLX_TYPE_Q5_1, 0x01f23f6cd5029382U, 0xa7969855f4685571U},
    {"Q2_K", LLX_TYPE_Q2_K, 0x0cfe9a3aea56bcc4U, 0x46385e1cd9ebb625U},
    {"Q3_K", LLX_TYPE_Q3_K, 0x1ad5578dbba20608U, 0xd90fac26ce25874bU},
    {"Q4_K", LLX_TYPE_Q4_K, 0x3cdcbde95c21a448U, 0xd3fd4f972207d287U},
    {"Q5_K", LLX_TYPE_Q5_K, 0x17199a7d604f34a9U, 0x5445dc60b1c0f4adU},
    {"Q6_K", LLX_TYPE_Q6_K, 0xa61b28c2ca807d21U, 0x164b35699ed43b01U},
    {"mixed", kMixedTypes, 0xd877f24d7f7d19dfU, 0x6de87b6b43d9f659U},
};

std::uint64_t file_hash(const Bytes& file) {
    std::vector<std::uint32_t> words((file.size() + 3) / 4);
    std::memcpy(words.data(), file.data(), file.size());
    return logits_hash(words);
}

class TinyFile : public testing::TestWithParam<Expected> {};

TEST_P(TinyFile, GivesTheBitsOfTheDataAndOfEveryOtherBuild) {
    const ModelData data = tiny_model_data(GetParam().type);
    const Bytes file = gguf_of(data, TinyVocab::usual()).bytes();
    EXPECT_EQ(file_hash(file), GetParam().file_hash);
    for (const llx_kernels* kernels : usable_kernels()) {
        std::string error;
        const LoadedModel loaded = load_model(file, kernels, error);
        ASSERT_NE(loaded, nullptr) << error;
        const std::vector<std::int32_t> tokens = raw_tokens(loaded.get(), kPrompt);
        ASSERT_GT(tokens.size(), 5U);
        EngineContext from_file(loaded.get(), &llx_exec_inline);
        ASSERT_EQ(from_file.eval(tokens), 0);

        const EngineModel packed(data, kernels);
        EngineContext from_data(packed.get(), &llx_exec_inline);
        ASSERT_EQ(from_data.eval(tokens), 0);
        EXPECT_EQ(from_file.logit_bits(), from_data.logit_bits()) << kernels->name;
        EXPECT_EQ(logits_hash(from_file.logit_bits()), GetParam().logits_hash) << kernels->name;
    }
}

INSTANTIATE_TEST_SUITE_P(Types, TinyFile, testing::ValuesIn(kExpected),
                         [](const testing::TestParamInfo<Expected>& expected) {
                             return std::string(expected.param.name);
                         });

TEST(LogitsHash, IsFnv1a64) {
    // Landon Curt Noll's test vectors for "" and "foob".
    EXPECT_EQ(logits_hash({}), 0xcbf29ce484222325U);
    const std::vector<std::uint32_t> foob = {0x626f6f66};
    EXPECT_EQ(logits_hash(foob), 0xdd120e790c2512afU);
}

}  // namespace
}  // namespace llamux::test
