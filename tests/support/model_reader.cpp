// SPDX-License-Identifier: GPL-2.0-only
//
// See model_reader.hpp.
#include "support/model_reader.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/engine.hpp"
#include "support/quantize.hpp"
#include "support/reference_dequant.hpp"

namespace llamux::test {

namespace {

// A file in memory, and its parsed metadata.
class GgufFile {
  public:
    explicit GgufFile(const std::string& path) {
        const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat status {};
        if (fd >= 0 && fstat(fd, &status) == 0) {
            size_ = static_cast<std::size_t>(status.st_size);
            void* map = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
            bytes_ = map == MAP_FAILED ? nullptr : static_cast<const std::uint8_t*>(map);
        }
        if (bytes_ == nullptr) {
            error_ = std::strerror(errno);
        } else {
            llx_error why{};
            if (llx_gguf_parse(&gguf_, bytes_, size_, size_, &why) != 0)
                error_ = why.text;
        }
        if (fd >= 0)
            close(fd);
    }
    ~GgufFile() {
        llx_gguf_destroy(&gguf_);
        if (bytes_ != nullptr)
            munmap(const_cast<std::uint8_t*>(bytes_), size_);
    }
    GgufFile(const GgufFile&) = delete;
    GgufFile& operator=(const GgufFile&) = delete;

    // Empty while everything asked for was there.
    [[nodiscard]] const std::string& error() const { return error_; }

    std::uint32_t number(const std::string& key, std::optional<std::uint32_t> usual = {}) {
        u32 value = usual.value_or(0);
        const int code = llx_gguf_read_u32(&gguf_, key.c_str(), &value, nullptr);
        if (code != 0 && !(code == -ENOENT && usual))
            error_ = key + " is missing or wrong";
        return value;
    }
    float real(const std::string& key, float usual) {
        llx_f32 value{};
        if (llx_gguf_read_f32(&gguf_, key.c_str(), &value, nullptr) == 0)
            std::memcpy(&usual, &value, sizeof(usual));
        return usual;
    }
    [[nodiscard]] bool has(const std::string& name) const {
        return llx_gguf_find_tensor(&gguf_, name.c_str()) != nullptr;
    }
    ModelMatrix matrix(const std::string& name) {
        const llx_gguf_tensor* tensor = llx_gguf_find_tensor(&gguf_, (name + ".weight").c_str());
        if (tensor == nullptr) {
            error_ = name + " is missing";
            return {};
        }
        const std::uint8_t* begin = bytes_ + tensor->start;
        return {tensor->type,
                static_cast<std::uint32_t>(tensor->n_values / tensor->dims[0]),
                static_cast<std::uint32_t>(tensor->dims[0]),
                {begin, begin + tensor->bytes}};
    }
    std::vector<float> vector(const std::string& name) {
        const ModelMatrix raw = matrix(name);
        std::vector<float> values(raw.bytes.size() / sizeof(float));
        if (raw.type != LLX_TYPE_F32)
            error_ = name + " is not F32";
        else if (!values.empty())
            std::memcpy(values.data(), raw.bytes.data(), raw.bytes.size());
        return values;
    }

  private:
    const std::uint8_t* bytes_ = nullptr;
    std::size_t size_ = 0;
    llx_gguf gguf_{};
    std::string error_;
};

ModelLayer read_layer(GgufFile& file, std::uint32_t i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    return {file.vector(prefix + "attn_norm"),   file.matrix(prefix + "attn_q"),
            file.matrix(prefix + "attn_k"),      file.matrix(prefix + "attn_v"),
            file.matrix(prefix + "attn_output"), file.vector(prefix + "ffn_norm"),
            file.matrix(prefix + "ffn_gate"),    file.matrix(prefix + "ffn_up"),
            file.matrix(prefix + "ffn_down")};
}

ModelMatrix as_f32(const ModelMatrix& matrix) {
    ModelMatrix out{LLX_TYPE_F32, matrix.n_rows, matrix.n_cols, {}};
    if (matrix.n_rows == 0)
        return out;
    const std::size_t row_bytes = matrix.bytes.size() / matrix.n_rows;
    for (std::uint32_t row = 0; row < matrix.n_rows; row++) {
        std::vector<float> values;
        for (const Weight& weight : reference_dequantize(
                 matrix.type, matrix.bytes.data() + row * row_bytes, matrix.n_cols))
            values.push_back(weight.value);
        const std::vector<std::uint8_t> bytes = quantize_row(LLX_TYPE_F32, values);
        out.bytes.insert(out.bytes.end(), bytes.begin(), bytes.end());
    }
    return out;
}

}  // namespace

std::optional<ModelData> read_model_data(const std::string& path, std::string& error) {
    GgufFile file(path);
    ModelData model;
    if (file.error().empty()) {
        model.n_embd = file.number("llama.embedding_length");
        model.n_ff = file.number("llama.feed_forward_length");
        model.n_head = file.number("llama.attention.head_count");
        model.n_head_kv = file.number("llama.attention.head_count_kv", model.n_head);
        model.n_ctx = file.number("llama.context_length");
        model.rms_eps = file.real("llama.attention.layer_norm_rms_epsilon", 1e-5F);
        model.rope_freq_base = file.real("llama.rope.freq_base", 10000.0F);
        model.token_embd = file.matrix("token_embd");
        model.n_vocab = model.token_embd.n_rows;
        model.output_norm = file.vector("output_norm");
        model.tied = !file.has("output.weight");
        if (!model.tied)
            model.output = file.matrix("output");
    }
    const std::uint32_t n_layer = file.error().empty() ? file.number("llama.block_count") : 0;
    for (std::uint32_t i = 0; i < n_layer && file.error().empty(); i++)
        model.layers.push_back(read_layer(file, i));
    if (file.error().empty()) {
        const std::uint32_t usual = model.n_embd / model.n_head;
        model.head_dim = file.number("llama.attention.key_length", usual);
        model.n_rot = file.number("llama.rope.dimension_count", model.head_dim);
    }
    if (!file.error().empty()) {
        error = path + ": " + file.error();
        return std::nullopt;
    }
    return model;
}

ModelData as_f32(const ModelData& model) {
    ModelData out = model;
    out.token_embd = as_f32(model.token_embd);
    out.output = as_f32(model.output);
    for (ModelLayer& layer : out.layers) {
        for (ModelMatrix* matrix : {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_output,
                                    &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down})
            *matrix = as_f32(*matrix);
    }
    return out;
}

}  // namespace llamux::test
