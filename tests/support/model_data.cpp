// SPDX-License-Identifier: GPL-2.0-only
//
// See model_data.hpp.
#include "support/model_data.hpp"

#include <cmath>

#include "support/quantize.hpp"

namespace llamux::test {

namespace {

class Generator {
  public:
    explicit Generator(const ModelShape& shape) : types_(shape.types), random_(shape.seed) {}

    ModelMatrix matrix(std::uint32_t n_rows, std::uint32_t n_cols, double size) {
        ModelMatrix out{types_[n_matrices_++ % types_.size()], n_rows, n_cols, {}};
        out.bytes = quantize_rows(out.type, normal(std::size_t{n_rows} * n_cols, 0, size), n_cols);
        return out;
    }
    // Keeps the length of a vector about the same.
    ModelMatrix projection(std::uint32_t n_rows, std::uint32_t n_cols) {
        return matrix(n_rows, n_cols, 1 / std::sqrt(n_cols));
    }
    std::vector<float> norm(std::uint32_t n) { return normal(n, 1, 0.2); }

  private:
    std::vector<float> normal(std::size_t n, double mean, double deviation) {
        return normal_values(random_, n, mean, deviation);
    }

    std::vector<std::uint32_t> types_;
    std::size_t n_matrices_ = 0;
    std::mt19937_64 random_;
};

}  // namespace

std::vector<float> normal_values(std::mt19937_64& random, std::size_t n, double mean,
                                 double deviation) {
    std::vector<float> out(n);
    for (float& value : out) {
        double sum = -6;
        for (int i = 0; i < 12; i++)
            sum += static_cast<double>(random() >> 32) / 4294967296.0;
        value = static_cast<float>(mean + deviation * sum);
    }
    return out;
}

ModelData random_model(const ModelShape& shape) {
    Generator make(shape);
    const std::uint32_t n_q = shape.n_head * shape.head_dim;
    const std::uint32_t n_kv = shape.n_head_kv * shape.head_dim;
    ModelData model;
    model.n_embd = shape.n_embd;
    model.n_ff = shape.n_ff;
    model.n_head = shape.n_head;
    model.n_head_kv = shape.n_head_kv;
    model.head_dim = shape.head_dim;
    model.n_rot = shape.n_rot;
    model.n_ctx = shape.n_ctx;
    model.n_vocab = shape.n_vocab;
    model.tied = shape.tied;
    model.rms_eps = shape.rms_eps;
    model.q8_0_cache = shape.q8_0_cache;
    model.rope_freq_base = shape.rope_freq_base;
    model.rope_freq_scale = shape.rope_freq_scale;
    // As an output matrix it has to keep lengths, too.
    model.token_embd = shape.tied ? make.projection(shape.n_vocab, shape.n_embd)
                                  : make.matrix(shape.n_vocab, shape.n_embd, 1);
    for (std::uint32_t i = 0; i < shape.n_layer; i++) {
        ModelLayer layer;
        layer.attn_norm = make.norm(shape.n_embd);
        layer.attn_q = make.projection(n_q, shape.n_embd);
        layer.attn_k = make.projection(n_kv, shape.n_embd);
        layer.attn_v = make.projection(n_kv, shape.n_embd);
        layer.attn_output = make.projection(shape.n_embd, n_q);
        layer.ffn_norm = make.norm(shape.n_embd);
        layer.ffn_gate = make.projection(shape.n_ff, shape.n_embd);
        layer.ffn_up = make.projection(shape.n_ff, shape.n_embd);
        layer.ffn_down = make.projection(shape.n_embd, shape.n_ff);
        model.layers.push_back(std::move(layer));
    }
    model.output_norm = make.norm(shape.n_embd);
    if (!shape.tied)
        model.output = make.projection(shape.n_vocab, shape.n_embd);
    return model;
}

ModelData first_layers(const ModelData& model, std::size_t n) {
    ModelData shorter = model;
    shorter.layers.resize(n);
    return shorter;
}

}  // namespace llamux::test
