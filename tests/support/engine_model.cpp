// SPDX-License-Identifier: GPL-2.0-only
//
// See engine_model.hpp.
#include "support/engine_model.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support/cpu_features.hpp"

namespace llamux::test {

namespace {

llx_f32 as_f32(float value) {
    llx_f32 out;
    std::memcpy(&out, &value, sizeof(out));
    return out;
}

void require(bool condition, const char* what) {
    if (!condition) {
        std::fprintf(stderr, "test model: %s\n", what);
        std::abort();
    }
}

}  // namespace

void* EngineModel::allocate(std::size_t bytes) {
    memory_.emplace_back(llx_alloc(bytes));
    require(memory_.back() != nullptr, "out of memory");
    return memory_.back().get();
}

llx_matrix EngineModel::pack(const ModelMatrix& matrix) {
    llx_matrix packed{};
    require(llx_matrix_shape(&packed, matrix.type, matrix.n_rows, matrix.n_cols) == 0,
            "a matrix that cannot be run");
    packed.tiles = static_cast<u8*>(allocate(packed.n_tiles * packed.tile_bytes));
    const std::size_t row_bytes = matrix.bytes.size() / matrix.n_rows;
    for (std::uint32_t tile = 0; tile < packed.n_tiles; tile++) {
        const std::uint32_t row = tile * LLX_TILE_ROWS;
        llx_pack_tile(&packed, matrix.bytes.data() + row * row_bytes,
                      std::min(LLX_TILE_ROWS, matrix.n_rows - row),
                      packed.tiles + tile * packed.tile_bytes);
    }
    return packed;
}

llx_f32* EngineModel::copy(const std::vector<float>& values) {
    auto* out = static_cast<llx_f32*>(allocate(values.size() * sizeof(llx_f32)));
    std::memcpy(out, values.data(), values.size() * sizeof(llx_f32));
    return out;
}

EngineModel::EngineModel(const ModelData& data, const llx_kernels* kernels) {
    llx_hparams& h = model_.hparams;
    h.n_layer = static_cast<u32>(data.layers.size());
    h.n_embd = data.n_embd;
    h.n_ff = data.n_ff;
    h.n_head = data.n_head;
    h.n_head_kv = data.n_head_kv;
    h.head_dim = data.head_dim;
    h.n_rot = data.n_rot;
    h.n_ctx = data.n_ctx;
    h.n_vocab = data.n_vocab;
    h.rms_eps = as_f32(data.rms_eps);
    h.rope_freq_base = as_f32(data.rope_freq_base);
    h.rope_freq_scale = as_f32(data.rope_freq_scale);
    model_.kernels = kernels;
    if (data.q8_0_cache)
        require(llx_model_set_cache(&model_, LLX_CACHE_Q8_0) == 0, "heads that q8_0 cannot keep");
    model_.token_embd = pack(data.token_embd);
    for (const ModelLayer& layer : data.layers) {
        layers_.push_back({copy(layer.attn_norm), pack(layer.attn_q), pack(layer.attn_k),
                           pack(layer.attn_v), pack(layer.attn_output), copy(layer.ffn_norm),
                           pack(layer.ffn_gate), pack(layer.ffn_up), pack(layer.ffn_down)});
    }
    model_.layers = layers_.data();
    model_.output_norm = copy(data.output_norm);
    model_.output = data.tied ? model_.token_embd : pack(data.output);
    model_.rope_table = static_cast<llx_f32*>(
        allocate(static_cast<std::size_t>(h.n_ctx) * h.n_rot * sizeof(llx_f32)));
    llx_op_rope_table(model_.rope_table, 0, h.n_ctx, h.n_rot, h.rope_freq_base, h.rope_freq_scale,
                      nullptr);
}

EngineContext::EngineContext(const llx_model* model, llx_exec* exec, std::uint32_t n_ctx) {
    require(llx_context_init(&context_, model, exec, n_ctx ? n_ctx : model->hparams.n_ctx) == 0,
            "no context");
}

int EngineContext::eval(std::span<const std::int32_t> tokens) {
    return llx_context_eval(&context_, tokens.data(), static_cast<u32>(tokens.size()), true);
}

std::vector<std::uint32_t> EngineContext::logit_bits() const {
    std::vector<std::uint32_t> bits(context_.model->hparams.n_vocab);
    std::memcpy(bits.data(), context_.logits, bits.size() * sizeof(bits[0]));
    return bits;
}

std::vector<double> EngineContext::logits() const {
    std::vector<float> values(context_.model->hparams.n_vocab);
    std::memcpy(values.data(), context_.logits, values.size() * sizeof(values[0]));
    return {values.begin(), values.end()};
}

std::vector<const llx_kernels*> usable_kernels() {
    std::vector<const llx_kernels*> usable;
    for (const llx_kernels* const* table = llx_kernels_all; *table != nullptr; table++) {
        if (llx_kernels_select(testable_features(), (*table)->name) != nullptr)
            usable.push_back(*table);
    }
    return usable;
}

}  // namespace llamux::test
