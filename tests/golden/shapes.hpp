// SPDX-License-Identifier: GPL-2.0-only
//
// The shapes that the golden tests run: every type, every odd corner.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "support/engine.hpp"
#include "support/model_data.hpp"

namespace llamux::test {

inline std::vector<ModelShape> golden_shapes() {
    const auto shape = [](std::string name, std::vector<std::uint32_t> types) {
        ModelShape s;
        s.name = std::move(name);
        s.types = std::move(types);
        s.seed = 1000 + static_cast<std::uint32_t>(s.name.size());
        return s;
    };
    std::vector<ModelShape> shapes = {
        shape("F32", {LLX_TYPE_F32}),   shape("F16", {LLX_TYPE_F16}),
        shape("BF16", {LLX_TYPE_BF16}), shape("Q8_0", {LLX_TYPE_Q8_0}),
        shape("Q4_0", {LLX_TYPE_Q4_0}), shape("Q4_1", {LLX_TYPE_Q4_1}),
        shape("Q5_0", {LLX_TYPE_Q5_0}), shape("Q5_1", {LLX_TYPE_Q5_1}),
        shape("Q2_K", {LLX_TYPE_Q2_K}), shape("Q3_K", {LLX_TYPE_Q3_K}),
        shape("Q4_K", {LLX_TYPE_Q4_K}), shape("Q5_K", {LLX_TYPE_Q5_K}),
        shape("Q6_K", {LLX_TYPE_Q6_K}),
    };

    // Types by tensor as Q4_K_M mixes them, and float types in between, so that
    // one projection holds both kinds of input.
    shapes.push_back(shape("Mixed", {LLX_TYPE_Q4_K, LLX_TYPE_F16, LLX_TYPE_Q6_K, LLX_TYPE_Q4_0,
                                     LLX_TYPE_Q8_0, LLX_TYPE_F32, LLX_TYPE_Q5_K}));
    ModelShape s = shape("GroupOf1Head32", {LLX_TYPE_Q8_0});
    s.n_head = s.n_head_kv = 8;
    s.head_dim = s.n_rot = 32;
    shapes.push_back(s);

    s = shape("GroupOf8Head128Tied", {LLX_TYPE_Q4_K});
    s.n_head = 8;
    s.n_head_kv = 1;
    s.head_dim = s.n_rot = 128;
    s.n_embd = 256;  // head_dim is not n_embd / n_head
    s.tied = true;
    shapes.push_back(s);

    s = shape("GroupOf12PartRotated", {LLX_TYPE_F16});
    s.n_head = 12;
    s.n_head_kv = 1;
    s.head_dim = 32;
    s.n_rot = 20;
    shapes.push_back(s);

    s = shape("OtherConstants", {LLX_TYPE_F16});
    s.rms_eps = 0.05F;
    s.rope_freq_base = 500000.0F;
    s.rope_freq_scale = 0.5F;
    shapes.push_back(s);

    s = shape("OddVocabulary", {LLX_TYPE_Q6_K});
    s.n_vocab = 141;
    shapes.push_back(s);

    s = shape("WidthsThatAreNoMultipleOf32", {LLX_TYPE_F32, LLX_TYPE_BF16});
    s.n_embd = 112;
    s.n_ff = 200;
    s.n_head = 3;
    s.n_head_kv = 3;
    s.head_dim = s.n_rot = 16;
    s.n_vocab = 33;
    s.tied = true;
    shapes.push_back(s);
    return shapes;
}

// Else GoogleTest prints the bytes, padding among them.
inline void PrintTo(const ModelShape& shape, std::ostream* out) {
    *out << shape.name;
}

inline std::string shape_name(const testing::TestParamInfo<ModelShape>& shape) {
    return shape.param.name;
}

inline std::vector<std::int32_t> random_tokens(std::size_t n, std::uint32_t n_vocab,
                                               std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::int32_t> tokens(n);
    for (std::int32_t& token : tokens)
        token = static_cast<std::int32_t>(random() % n_vocab);
    return tokens;
}

}  // namespace llamux::test
