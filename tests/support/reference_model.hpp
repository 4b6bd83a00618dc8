// SPDX-License-Identifier: GPL-2.0-only
//
// The llama forward pass in double precision over the dequantised weights, in
// the plainest loops, written from the papers. It shares nothing with the
// engine, so that it can judge it: quadratic in the tokens, slow, and right.
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
    explicit ReferenceModel(const ModelData& model, ReferenceRounding rounding = {});

    // Logits after each token: tokens.size() rows of n_vocab.
    [[nodiscard]] std::vector<std::vector<double>> logits(
        std::span<const std::int32_t> tokens) const;

  private:
    using Vector = std::vector<double>;

    struct Matrix {
        std::uint32_t n_rows = 0;
        std::uint32_t n_cols = 0;
        bool quantised = false;
        Vector weights;  // (n_rows, n_cols)
    };
    struct Layer {
        Vector attn_norm;
        Matrix q;
        Matrix k;
        Matrix v;
        Matrix output;
        Vector ffn_norm;
        Matrix gate;
        Matrix up;
        Matrix down;
    };

    static Matrix dequantise(const ModelMatrix& matrix);
    [[nodiscard]] Vector multiply(const Matrix& w, const Vector& x) const;
    [[nodiscard]] Vector rmsnorm(const Vector& x, const Vector& weight) const;
    void rope(Vector& x, std::size_t pos) const;
    void round_to_half(Vector& x) const;
    [[nodiscard]] Vector attention(const Vector& q, const std::vector<Vector>& keys,
                                   const std::vector<Vector>& values) const;
    void attention_block(const Layer& layer, std::vector<Vector>& x) const;
    void ffn_block(const Layer& layer, std::vector<Vector>& x) const;

    ReferenceRounding rounding_;
    std::uint32_t n_head_;
    std::uint32_t n_head_kv_;
    std::uint32_t head_dim_;
    std::uint32_t n_rot_;
    double rms_eps_;
    double rope_base_;
    double rope_scale_;
    Matrix token_embd_;
    std::vector<Layer> layers_;
    Vector output_norm_;
    Matrix output_;
};

// sqrt(sum (a - b)^2 / sum b^2)
[[nodiscard]] double relative_rms(std::span<const double> a, std::span<const double> b);

// Kullback-Leibler divergence of softmax(a) from softmax(b), in nats.
[[nodiscard]] double kl_divergence(std::span<const double> a, std::span<const double> b);

}  // namespace llamux::test
