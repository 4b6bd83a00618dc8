// SPDX-License-Identifier: GPL-2.0-only
//
// See reference_model.hpp. RMSNorm: Zhang and Sennrich 2019; RoPE on pairs
// (x0, x1), (x2, x3)...: Su et al. 2021; grouped queries: Ainslie et al. 2023;
// SwiGLU: Shazeer 2020.
#include "support/reference_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

#include "support/reference_dequant.hpp"

namespace llamux::test {

namespace {

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

void add_to(ReferenceModel::Rows& x, const ReferenceModel::Rows& y) {
    for (std::size_t pos = 0; pos < x.size(); pos++)
        for (std::size_t i = 0; i < x[pos].size(); i++)
            x[pos][i] += y[pos][i];
}

// F32, F16 and BF16 are multiplied with unrounded activations.
bool is_quantised(const ModelMatrix& matrix) {
    return matrix.type != 0 && matrix.type != 1 && matrix.type != 30;
}

std::vector<Weight> weights_of(const ModelMatrix& matrix, std::size_t row) {
    const std::size_t row_bytes = matrix.bytes.size() / matrix.n_rows;
    return reference_dequantize(matrix.type, matrix.bytes.data() + row * row_bytes, matrix.n_cols);
}

// Ranges of 0..n to as many threads as there are CPUs, if it is worth it.
template <typename Range>
void in_parallel(std::size_t n, bool worth_it, const Range& run) {
    const std::size_t n_threads = worth_it ? std::max(1U, std::thread::hardware_concurrency()) : 1;
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < n_threads; i++)
        threads.emplace_back(run, n * i / n_threads, n * (i + 1) / n_threads);
    run(0, n / n_threads);
    for (std::thread& thread : threads)
        thread.join();
}

}  // namespace

// Each sum goes over the columns in order; the sums of all positions go along
// together.
ReferenceModel::Rows ReferenceModel::multiply(const ModelMatrix& w, const Rows& x) const {
    const bool rounds = is_quantised(w) && rounding_.int8_activations;
    const std::size_t n = x.size();
    Vector columns(w.n_cols * n);
    for (std::size_t pos = 0; pos < n; pos++) {
        const Vector input = rounds ? nearest_int8(x[pos]) : x[pos];
        for (std::size_t col = 0; col < w.n_cols; col++)
            columns[col * n + pos] = input[col];
    }
    Rows y(n, Vector(w.n_rows));
    in_parallel(w.n_rows, w.bytes.size() > 1 << 18, [&](std::size_t begin, std::size_t end) {
        Vector sums(n);
        for (std::size_t row = begin; row < end; row++) {
            std::fill(sums.begin(), sums.end(), 0.0);
            const double* column = columns.data();
            for (const Weight& weight : weights_of(w, row)) {
                for (std::size_t pos = 0; pos < n; pos++)
                    sums[pos] += weight.exact * column[pos];
                column += n;
            }
            for (std::size_t pos = 0; pos < n; pos++)
                y[pos][row] = sums[pos];
        }
    });
    return y;
}

ReferenceModel::Rows ReferenceModel::rmsnorm(const Rows& x,
                                             const std::vector<float>& weight) const {
    Rows out = x;
    for (Vector& row : out) {
        double mean = 0;
        for (const double value : row)
            mean += value * value / static_cast<double>(row.size());
        for (std::size_t i = 0; i < row.size(); i++)
            row[i] = row[i] / std::sqrt(mean + static_cast<double>(model_.rms_eps)) *
                     static_cast<double>(weight[i]);
    }
    return out;
}

// x: some heads of head_dim values each
void ReferenceModel::rope(Vector& x, std::size_t pos) const {
    for (std::size_t head = 0; head < x.size(); head += model_.head_dim) {
        for (std::size_t i = 0; i < model_.n_rot; i += 2) {
            const double frequency = std::pow(static_cast<double>(model_.rope_freq_base),
                                              -static_cast<double>(i) / model_.n_rot);
            const double angle =
                static_cast<double>(pos) * frequency * static_cast<double>(model_.rope_freq_scale);
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

// One token's queries against the first @n keys and values.
std::vector<double> ReferenceModel::attention(const Vector& q, const Rows& keys, const Rows& values,
                                              std::size_t n) const {
    const std::size_t head_dim = model_.head_dim;
    Vector out(q.size());
    for (std::size_t head = 0; head < model_.n_head; head++) {
        const std::size_t query = head * head_dim;
        const std::size_t kv = head / (model_.n_head / model_.n_head_kv) * head_dim;
        Vector weights;
        for (std::size_t pos = 0; pos < n; pos++) {
            double dot = 0;
            for (std::size_t i = 0; i < head_dim; i++)
                dot += q[query + i] * keys[pos][kv + i];
            weights.push_back(dot / std::sqrt(static_cast<double>(head_dim)));
        }
        const double largest = *std::max_element(weights.begin(), weights.end());
        for (double& weight : weights)
            weight = std::exp(weight - largest);
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (std::size_t pos = 0; pos < n; pos++)
            for (std::size_t i = 0; i < head_dim; i++)
                out[query + i] += weights[pos] / sum * values[pos][kv + i];
    }
    return out;
}

void ReferenceModel::attention_block(const ModelLayer& layer, Rows& x) const {
    const Rows norm = rmsnorm(x, layer.attn_norm);
    Rows q = multiply(layer.attn_q, norm);
    Rows keys = multiply(layer.attn_k, norm);
    Rows values = multiply(layer.attn_v, norm);
    Rows out;
    for (std::size_t pos = 0; pos < x.size(); pos++) {
        rope(q[pos], pos);
        rope(keys[pos], pos);
        round_to_half(keys[pos]);
        round_to_half(values[pos]);
        out.push_back(attention(q[pos], keys, values, pos + 1));
    }
    add_to(x, multiply(layer.attn_output, out));
}

void ReferenceModel::ffn_block(const ModelLayer& layer, Rows& x) const {
    const Rows norm = rmsnorm(x, layer.ffn_norm);
    Rows gate = multiply(layer.ffn_gate, norm);
    const Rows up = multiply(layer.ffn_up, norm);
    for (std::size_t pos = 0; pos < x.size(); pos++)
        for (std::size_t i = 0; i < gate[pos].size(); i++)
            gate[pos][i] = gate[pos][i] / (1 + std::exp(-gate[pos][i])) * up[pos][i];
    add_to(x, multiply(layer.ffn_down, gate));
}

ReferenceModel::Rows ReferenceModel::embeddings(std::span<const std::int32_t> tokens) const {
    Rows x;
    for (const std::int32_t token : tokens) {
        Vector row;
        for (const Weight& weight : weights_of(model_.token_embd, static_cast<std::size_t>(token)))
            row.push_back(weight.exact);
        x.push_back(row);
    }
    return x;
}

ReferenceModel::Rows ReferenceModel::output(const Rows& x) const {
    return multiply(model_.output_matrix(), rmsnorm(x, model_.output_norm));
}

ReferenceModel::Rows ReferenceModel::logits(std::span<const std::int32_t> tokens) const {
    Rows x = embeddings(tokens);
    for (const ModelLayer& layer : model_.layers) {
        attention_block(layer, x);
        ffn_block(layer, x);
    }
    return output(x);
}

std::vector<ReferenceModel::Rows> ReferenceModel::logits_by_layer(
    std::span<const std::int32_t> tokens) const {
    std::vector<Rows> by_layer;
    Rows x = embeddings(tokens);
    for (const ModelLayer& layer : model_.layers) {
        attention_block(layer, x);
        ffn_block(layer, x);
        by_layer.push_back(output(x));
    }
    return by_layer;
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
