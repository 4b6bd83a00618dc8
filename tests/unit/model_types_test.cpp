// SPDX-License-Identifier: GPL-2.0-only
//
// Types of tensors at load. Catches a type that is run as another one, and a
// refusal that does not say which type the file has.
#include <gtest/gtest.h>

#include <string>

#include "support/model_file.hpp"

namespace llamux::test {
namespace {

// A model whose output matrix, (300, 256), has this type.
std::string error_for(std::uint32_t type, std::uint64_t n_bytes) {
    TinyModel tiny;
    tiny.n_embd = 256;
    GgufWriter writer = tiny.build();
    writer.remove_tensor("output.weight");
    writer.add_tensor("output.weight", {256, 300}, type, Bytes(n_bytes));
    std::string error;
    EXPECT_EQ(load_model(writer.bytes(), llx_kernels_select(0, "generic"), error), nullptr);
    return error;
}

struct Type {
    std::uint32_t number;
    const char* name;
    std::uint64_t values;  // of a block
    std::uint64_t bytes;
};

// GGMLQuantizationType and GGML_QUANT_SIZES of PyPI's gguf 0.19.0, without the
// thirteen types that run; Q8_1 as in ggml-common.h.
constexpr Type kRefused[] = {
    {9, "Q8_1", 32, 36},      {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},
    {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},    {41, "Q1_0", 128, 18},
};

TEST(ModelTypes, EveryTypeThatCannotBeRunIsNamed) {
    for (const Type& type : kRefused) {
        const std::string error = error_for(type.number, 256 / type.values * type.bytes * 300);
        const std::string expected =
            std::string("tensor output.weight: type ") + type.name + " cannot be run (at byte ";
        EXPECT_EQ(error.substr(0, expected.size()), expected);
    }
}

TEST(ModelTypes, NumbersWithoutATypeAreShown) {
    for (const std::uint32_t number : {4U, 5U, 31U, 32U, 33U, 36U, 37U, 38U, 42U, 4711U, ~0U}) {
        const std::string expected =
            "tensor output.weight: type ? (" + std::to_string(number) + ") is not known (at byte ";
        EXPECT_EQ(error_for(number, 4096).substr(0, expected.size()), expected);
    }
}

}  // namespace
}  // namespace llamux::test
