// SPDX-License-Identifier: GPL-2.0-only
//
// See model_file.hpp.
#include "support/model_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace llamux::test {

namespace {

Bytes bytes_of(const std::vector<float>& values) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(values.data());
    return {begin, begin + values.size() * sizeof(float)};
}

LoadedModel load(const llx_reader& reader, const llx_kernels* kernels, std::uint32_t n_ctx_max,
                 std::string& error) {
    llx_model* model = nullptr;
    llx_error why{};
    const int code = llx_model_load(&model, &reader, kernels, &llx_exec_inline, n_ctx_max,
                                    LLX_PROMPT_BY_FILE, &why);
    if (code != 0)
        error = why.text[0] != 0 ? why.text : std::strerror(-code);
    return LoadedModel(model);
}

int read_memory(void* ctx, u64 offset, void* to, size_t bytes) {
    const auto* file = static_cast<const std::span<const std::uint8_t>*>(ctx);
    if (offset > file->size() || bytes > file->size() - offset)
        return -EIO;
    std::memcpy(to, file->data() + offset, bytes);
    return 0;
}

int read_fd(void* ctx, u64 offset, void* to, size_t bytes) {
    const int fd = *static_cast<const int*>(ctx);
    auto* out = static_cast<std::uint8_t*>(to);
    while (bytes > 0) {
        const ssize_t n = pread(fd, out, bytes, static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        out += n;
        offset += static_cast<u64>(n);
        bytes -= static_cast<size_t>(n);
    }
    return 0;
}

}  // namespace

GgufWriter gguf_of(const ModelData& model, const TinyVocab& vocab) {
    GgufWriter writer;
    writer.set("general.architecture", "llama");
    writer.set("general.name", "tiny");
    writer.set("llama.context_length", model.n_ctx);
    writer.set("llama.block_count", static_cast<std::uint32_t>(model.layers.size()));
    writer.set("llama.embedding_length", model.n_embd);
    writer.set("llama.feed_forward_length", model.n_ff);
    writer.set("llama.attention.head_count", model.n_head);
    writer.set("llama.attention.head_count_kv", model.n_head_kv);
    writer.set("llama.attention.key_length", model.head_dim);
    writer.set("llama.attention.value_length", model.head_dim);
    writer.set("llama.attention.layer_norm_rms_epsilon", model.rms_eps);
    writer.set("llama.rope.dimension_count", model.n_rot);
    writer.set("llama.rope.freq_base", model.rope_freq_base);
    vocab.put(writer);
    writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
    writer.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
    writer.set("tokenizer.ggml.unknown_token_id", std::uint32_t{0});

    const auto matrix = [&](const std::string& name, const ModelMatrix& m) {
        writer.add_tensor(name + ".weight", {m.n_cols, m.n_rows}, m.type, m.bytes);
    };
    const auto norm = [&](const std::string& name, const std::vector<float>& values) {
        writer.add_tensor(name + ".weight", {values.size()}, LLX_TYPE_F32, bytes_of(values));
    };
    matrix("token_embd", model.token_embd);
    for (std::size_t i = 0; i < model.layers.size(); i++) {
        const ModelLayer& layer = model.layers[i];
        const std::string prefix = "blk." + std::to_string(i) + ".";
        norm(prefix + "attn_norm", layer.attn_norm);
        matrix(prefix + "attn_q", layer.attn_q);
        matrix(prefix + "attn_k", layer.attn_k);
        matrix(prefix + "attn_v", layer.attn_v);
        matrix(prefix + "attn_output", layer.attn_output);
        norm(prefix + "ffn_norm", layer.ffn_norm);
        matrix(prefix + "ffn_gate", layer.ffn_gate);
        matrix(prefix + "ffn_up", layer.ffn_up);
        matrix(prefix + "ffn_down", layer.ffn_down);
    }
    norm("output_norm", model.output_norm);
    if (!model.tied)
        matrix("output", model.output);
    return writer;
}

ModelData tiny_model_data(std::uint32_t type) {
    ModelShape shape;
    shape.n_vocab = static_cast<std::uint32_t>(TinyVocab::usual().tokens.size());
    shape.types = {type};
    if (type == kMixedTypes) {
        shape.types = {LLX_TYPE_Q4_K, LLX_TYPE_Q6_K, LLX_TYPE_Q5_K, LLX_TYPE_Q8_0,
                       LLX_TYPE_Q4_0, LLX_TYPE_F16,  LLX_TYPE_BF16, LLX_TYPE_F32};
    }
    return random_model(shape);
}

LoadedModel load_model(std::span<const std::uint8_t> file, const llx_kernels* kernels,
                       std::string& error) {
    return load({&file, file.size(), read_memory}, kernels, 0, error);
}

LoadedModel load_model_file(const std::string& path, const llx_kernels* kernels,
                            std::uint32_t n_ctx_max, std::string& error) {
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (fd < 0 || fstat(fd, &status) != 0) {
        error = path + ": " + std::strerror(errno);
        if (fd >= 0)
            close(fd);
        return nullptr;
    }
    LoadedModel model =
        load({&fd, static_cast<u64>(status.st_size), read_fd}, kernels, n_ctx_max, error);
    close(fd);
    return model;
}

std::vector<std::int32_t> raw_tokens(const llx_model* model, std::string_view text) {
    const llx_vocab* vocab = llx_tokenizer_vocab(model->tokenizer);
    std::vector<std::int32_t> tokens(text.size() + 2);
    u32 n_first = 0;
    if (vocab->add_bos && vocab->bos >= 0)
        tokens[n_first++] = vocab->bos;
    u32 n = 0;
    const int code =
        llx_tokenizer_encode(model->tokenizer, text.data(), text.size(), true, &tokens[n_first],
                             static_cast<u32>(tokens.size()) - n_first, &n);
    tokens.resize(code == 0 ? n_first + n : 0);
    return tokens;
}

std::uint64_t logits_hash(std::span<const std::uint32_t> bits) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::uint32_t word : bits) {
        for (int shift = 0; shift < 32; shift += 8) {
            hash ^= word >> shift & 0xff;
            hash *= 0x100000001b3;
        }
    }
    return hash;
}

}  // namespace llamux::test
