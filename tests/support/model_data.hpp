// SPDX-License-Identifier: GPL-2.0-only
//
// A model of the llama architecture as plain data: hyperparameters and the
// bytes of each tensor as a GGUF file has them. What the engine's model and the
// double-precision reference are both made from, so that they can be compared.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace llamux::test {

struct ModelMatrix {
    std::uint32_t type = 0;  // number of the type in GGUF
    std::uint32_t n_rows = 0;
    std::uint32_t n_cols = 0;
    std::vector<std::uint8_t> bytes;
};

struct ModelLayer {
    std::vector<float> attn_norm;
    ModelMatrix attn_q;
    ModelMatrix attn_k;
    ModelMatrix attn_v;
    ModelMatrix attn_output;
    std::vector<float> ffn_norm;
    ModelMatrix ffn_gate;
    ModelMatrix ffn_up;
    ModelMatrix ffn_down;
};

struct ModelData {
    std::uint32_t n_embd = 0;
    std::uint32_t n_ff = 0;
    std::uint32_t n_head = 0;
    std::uint32_t n_head_kv = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t n_rot = 0;
    std::uint32_t n_ctx = 0;
    std::uint32_t n_vocab = 0;
    float rms_eps = 1e-5F;
    float rope_freq_base = 10000.0F;
    float rope_freq_scale = 1.0F;
    ModelMatrix token_embd;
    std::vector<ModelLayer> layers;
    std::vector<float> output_norm;
    bool tied = false;        // output is token_embd
    bool q8_0_cache = false;  // what the engine's contexts keep, instead of f16
    ModelMatrix output;       // empty if tied

    [[nodiscard]] const ModelMatrix& output_matrix() const { return tied ? token_embd : output; }
};

// What a random model looks like. Tensor i gets types[i % types.size()], so
// several types give a mixed model.
struct ModelShape {
    std::string name;  // of the test case
    std::uint32_t n_layer = 2;
    std::uint32_t n_embd = 256;
    std::uint32_t n_ff = 256;
    std::uint32_t n_head = 4;
    std::uint32_t n_head_kv = 2;
    std::uint32_t head_dim = 64;
    std::uint32_t n_rot = 64;
    std::uint32_t n_ctx = 128;
    std::uint32_t n_vocab = 160;
    bool tied = false;
    bool q8_0_cache = false;
    float rms_eps = 1e-5F;
    float rope_freq_base = 10000.0F;
    float rope_freq_scale = 1.0F;
    std::vector<std::uint32_t> types = {0};
    std::uint32_t seed = 1;
};

// The sum of twelve uniform numbers is nearly normal and, unlike
// std::normal_distribution, the same everywhere.
[[nodiscard]] std::vector<float> normal_values(std::mt19937_64& random, std::size_t n, double mean,
                                               double deviation);

// Weights drawn from a normal distribution of the size that keeps activations
// near 1, then quantised; norms around 1.
[[nodiscard]] ModelData random_model(const ModelShape& shape);

// The first @n layers with the same embedding and output: what makes a
// comparison layer by layer possible without hooks in the engine.
[[nodiscard]] ModelData first_layers(const ModelData& model, std::size_t n);

}  // namespace llamux::test
