// SPDX-License-Identifier: GPL-2.0-only
//
// See reference_model.hpp. RMSNorm: Zhang and Sennrich 2019; RoPE on pairs
// (x0, x1), (x2, x3)...: Su et al. 2021; grouped queries: Ainslie et al. 2023;
// SwiGLU: Shazeer 2020.
#include "support/reference_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/reference_dequant.hpp"

namespace llamux::test {

namespace {

std::vector<double> as_doubles(const std::vector<float>& values) {
    return {values.begin(), values.end()};
}

// The nearest number with 11 significant bits, ties to even; subnormals have
// fewer. Halves beyond 65504 do not occur here.
double nearest_half(double x) {
    if (x == 0.0)
        return x;
    const int exponent = std::max(std::ilogb(x), -14);
    const double unit = std::ldexp(1.0, exponent - 10);
    return std::nearbyint(x / unit) * unit;
}

std::vector<double> nearest_int8(const std::vector<double>& x) {
    std::vector<double> rounded(x.size());
    for (std::size_t begin = 0; begin < x.size(); begin += 32) {
        double largest = 0;
        for (std::size_t i = begin; i < begin + 32; i++)
            largest = std::max(largest, std::abs(x[i]));
        const double step = largest / 127;
        for (std::size_t i = begin; i < begin + 32; i++)
            rounded[i] = step > 0 ? std::nearbyint(x[i] / step) * step : 0;
    }
    return rounded;
}

void add_to(std::vector<double>& x, const std::vector<double>& y) {
    for (std::size_t i = 0; i < x.size(); i++)
        x[i] += y[i];
}

}  // namespace

ReferenceModel::Matrix ReferenceModel::dequantise(const ModelMatrix& matrix) {
    Matrix result{matrix.n_rows, matrix.n_cols, true, {}};
    // F32, F16 and BF16 are multiplied with unrounded activations.
    result.quantised = matrix.type != 0 && matrix.type != 1 && matrix.type != 30;
    const std::size_t row_bytes = matrix.bytes.size() / matrix.n_rows;
    for (std::uint32_t row = 0; row < matrix.n_rows; row++) {
        const auto weights =
            reference_dequantize(matrix.type, matrix.bytes.data() + row * row_bytes, matrix.n_cols);
        for (const Weight& weight : weights)
            result.weights.push_back(weight.exact);
    }
    return result;
}

ReferenceModel::ReferenceModel(const ModelData& model, ReferenceRounding rounding)
    : rounding_(rounding),
      n_head_(model.n_head),
      n_head_kv_(model.n_head_kv),
      head_dim_(model.head_dim),
      n_rot_(model.n_rot),
      rms_eps_(model.rms_eps),
      rope_base_(model.rope_freq_base),
      rope_scale_(model.rope_freq_scale),
      token_embd_(dequantise(model.token_embd)),
      output_norm_(as_doubles(model.output_norm)),
      output_(dequantise(model.output_matrix())) {
    for (const ModelLayer& layer : model.layers) {
        layers_.push_back(
            {as_doubles(layer.attn_norm), dequantise(layer.attn_q), dequantise(layer.attn_k),
             dequantise(layer.attn_v), dequantise(layer.attn_output), as_doubles(layer.ffn_norm),
             dequantise(layer.ffn_gate), dequantise(layer.ffn_up), dequantise(layer.ffn_down)});
    }
}

std::vector<double> ReferenceModel::multiply(const Matrix& w, const Vector& x) const {
    const Vector input = w.quantised && rounding_.int8_activations ? nearest_int8(x) : x;
    Vector y(w.n_rows);
    for (std::size_t row = 0; row < w.n_rows; row++)
        for (std::size_t col = 0; col < w.n_cols; col++)
            y[row] += w.weights[row * w.n_cols + col] * input[col];
    return y;
}

std::vector<double> ReferenceModel::rmsnorm(const Vector& x, const Vector& weight) const {
    double mean = 0;
    for (const double value : x)
        mean += value * value / static_cast<double>(x.size());
    Vector out(x.size());
    for (std::size_t i = 0; i < x.size(); i++)
        out[i] = x[i] / std::sqrt(mean + rms_eps_) * weight[i];
    return out;
}

// x: some heads of head_dim values each
void ReferenceModel::rope(Vector& x, std::size_t pos) const {
    for (std::size_t head = 0; head < x.size(); head += head_dim_) {
        for (std::size_t i = 0; i < n_rot_; i += 2) {
            const double frequency = std::pow(rope_base_, -static_cast<double>(i) / n_rot_);
            const double angle = static_cast<double>(pos) * frequency * rope_scale_;
            const double x0 = x[head + i];
            const double x1 = x[head + i + 1];
            x[head + i] = x0 * std::cos(angle) - x1 * std::sin(angle);
            x[head + i + 1] = x0 * std::sin(angle) + x1 * std::cos(angle);
        }
    }
}

void ReferenceModel::round_to_half(Vector& x) const {
    if (rounding_.f16_cache)
        std::transform(x.begin(), x.end(), x.begin(), nearest_half);
}

// One token's queries against all keys and values up to it.
std::vector<double> ReferenceModel::attention(const Vector& q, const std::vector<Vector>& keys,
                                              const std::vector<Vector>& values) const {
    Vector out(q.size());
    for (std::size_t head = 0; head < n_head_; head++) {
        const std::size_t query = head * head_dim_;
        const std::size_t kv = head / (n_head_ / n_head_kv_) * head_dim_;
        Vector weights;
        for (const Vector& key : keys) {
            double dot = 0;
            for (std::size_t i = 0; i < head_dim_; i++)
                dot += q[query + i] * key[kv + i];
            weights.push_back(dot / std::sqrt(static_cast<double>(head_dim_)));
        }
        const double largest = *std::max_element(weights.begin(), weights.end());
        for (double& weight : weights)
            weight = std::exp(weight - largest);
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (std::size_t pos = 0; pos < values.size(); pos++)
            for (std::size_t i = 0; i < head_dim_; i++)
                out[query + i] += weights[pos] / sum * values[pos][kv + i];
    }
    return out;
}

void ReferenceModel::attention_block(const Layer& layer, std::vector<Vector>& x) const {
    std::vector<Vector> keys;
    std::vector<Vector> values;
    for (std::size_t pos = 0; pos < x.size(); pos++) {
        const Vector norm = rmsnorm(x[pos], layer.attn_norm);
        Vector q = multiply(layer.q, norm);
        Vector key = multiply(layer.k, norm);
        Vector value = multiply(layer.v, norm);
        rope(q, pos);
        rope(key, pos);
        round_to_half(key);
        round_to_half(value);
        keys.push_back(key);
        values.push_back(value);
        add_to(x[pos], multiply(layer.output, attention(q, keys, values)));
    }
}

void ReferenceModel::ffn_block(const Layer& layer, std::vector<Vector>& x) const {
    for (Vector& row : x) {
        const Vector norm = rmsnorm(row, layer.ffn_norm);
        Vector gate = multiply(layer.gate, norm);
        const Vector up = multiply(layer.up, norm);
        for (std::size_t i = 0; i < gate.size(); i++)
            gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        add_to(row, multiply(layer.down, gate));
    }
}

std::vector<std::vector<double>> ReferenceModel::logits(
    std::span<const std::int32_t> tokens) const {
    std::vector<Vector> x;
    for (const std::int32_t token : tokens) {
        const auto row =
            token_embd_.weights.begin() + static_cast<std::ptrdiff_t>(token) * token_embd_.n_cols;
        x.emplace_back(row, row + token_embd_.n_cols);
    }
    for (const Layer& layer : layers_) {
        attention_block(layer, x);
        ffn_block(layer, x);
    }
    for (Vector& row : x)
        row = multiply(output_, rmsnorm(row, output_norm_));
    return x;
}

double relative_rms(std::span<const double> a, std::span<const double> b) {
    double error = 0;
    double size = 0;
    for (std::size_t i = 0; i < b.size(); i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return std::sqrt(error / size);
}

namespace {

std::vector<double> log_softmax(std::span<const double> x) {
    const double largest = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (const double value : x)
        sum += std::exp(value - largest);
    std::vector<double> out;
    for (const double value : x)
        out.push_back(value - largest - std::log(sum));
    return out;
}

}  // namespace

double kl_divergence(std::span<const double> a, std::span<const double> b) {
    const std::vector<double> log_a = log_softmax(a);
    const std::vector<double> log_b = log_softmax(b);
    double sum = 0;
    for (std::size_t i = 0; i < log_b.size(); i++)
        sum += std::exp(log_b[i]) * (log_b[i] - log_a[i]);
    return sum;
}

}  // namespace llamux::test
