// SPDX-License-Identifier: GPL-2.0-only
//
// The llama forward pass in double precision over the dequantised weights, in
// the plainest loops, written from the papers. It shares nothing with the
// engine, so that it can judge it: quadratic in the tokens, slow, and right. A
// matrix is dequantised row by row, and a row multiplied with all positions, so
// that TinyLlama takes minutes and no memory of its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "support/model_data.hpp"

namespace llamux::test {

// Roundings that the engine does by design. With all off the reference is the
// mathematical model; with the engine's ones on what is left is float rounding,
// which finds errors that the roundings would hide.
struct ReferenceRounding {
    bool f16_cache = false;         // keys and values to binary16
    bool int8_activations = false;  // inputs of quantised matrices, per 32
};

class ReferenceModel {
  public:
    using Vector = std::vector<double>;
    using Rows = std::vector<Vector>;  // one of each position

    // @model must outlive this: weights are dequantised where they are used.
    explicit ReferenceModel(const ModelData& model, ReferenceRounding rounding = {})
        : model_(model), rounding_(rounding) {}

    // Logits after each token: tokens.size() rows of n_vocab.
    [[nodiscard]] Rows logits(std::span<const std::int32_t> tokens) const;

    // What logits() would give with the first 1, 2, ... layers only.
    [[nodiscard]] std::vector<Rows> logits_by_layer(std::span<const std::int32_t> tokens) const;

  private:
    [[nodiscard]] Rows multiply(const ModelMatrix& w, const Rows& x) const;
    [[nodiscard]] Rows rmsnorm(const Rows& x, const std::vector<float>& weight) const;
    void rope(Vector& x, std::size_t pos) const;
    void round_to_half(Vector& x) const;
    [[nodiscard]] Vector attention(const Vector& q, const Rows& keys, const Rows& values,
                                   std::size_t n) const;
    void attention_block(const ModelLayer& layer, Rows& x) const;
    void ffn_block(const ModelLayer& layer, Rows& x) const;
    [[nodiscard]] Rows embeddings(std::span<const std::int32_t> tokens) const;
    [[nodiscard]] Rows output(const Rows& x) const;

    const ModelData& model_;
    ReferenceRounding rounding_;
};

// sqrt(sum (a - b)^2 / sum b^2)
[[nodiscard]] double relative_rms(std::span<const double> a, std::span<const double> b);

// Kullback-Leibler divergence of softmax(a) from softmax(b), in nats.
[[nodiscard]] double kl_divergence(std::span<const double> a, std::span<const double> b);

}  // namespace llamux::test
