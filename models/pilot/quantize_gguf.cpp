// SPDX-License-Identifier: GPL-2.0-only
//
// A GGUF file -> one whose matrices have other types, by our own quantiser.
// Metadata is copied as it is, but for the file type.
//
//   quantize_gguf IN.gguf OUT.gguf q8_0|q4_k_m|f32
//
// q4_k_m: Q4_K, and Q6_K for the embedding, attn_v and ffn_down, close to what
// llama.cpp calls Q4_K_M. f32: of a quantised file the same weights, for a
// comparison without the rounding of inputs. Vectors stay F32.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine.hpp"
#include "support/gguf_writer.hpp"
#include "support/quantize.hpp"
#include "support/reference_dequant.hpp"

namespace llamux::pilot {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Kind {
    std::string_view name;
    std::uint32_t file_type;  // llama.cpp's llama_ftype
    u32 fine;                 // of the embedding, attn_v and ffn_down
    u32 usual;
};

constexpr Kind kKinds[] = {
    {"q8_0", 7, LLX_TYPE_Q8_0, LLX_TYPE_Q8_0},
    {"q4_k_m", 15, LLX_TYPE_Q6_K, LLX_TYPE_Q4_K},
    {"f32", 0, LLX_TYPE_F32, LLX_TYPE_F32},
};

std::string_view text_of(const llx_gguf_text& text) {
    return {text.text, text.bytes};
}

// Entries of keys and tensors lie one after another, so a value ends where the
// next entry begins.
std::uint64_t end_of(const llx_gguf& file, std::uint64_t offset) {
    std::uint64_t end = file.tensor_data;
    for (u32 i = 0; i < file.n_keys; ++i) {
        if (file.keys[i].offset > offset) {
            end = std::min<std::uint64_t>(end, file.keys[i].offset);
        }
    }
    for (u32 i = 0; i < file.n_tensors; ++i) {
        end = std::min<std::uint64_t>(end, file.tensors[i].offset);
    }
    return end;
}

// In the order of the file.
template <typename T>
std::vector<T> in_order(const T* entries, u32 n) {
    std::vector<T> sorted(entries, entries + n);
    std::sort(sorted.begin(), sorted.end(),
              [](const T& a, const T& b) { return a.offset < b.offset; });
    return sorted;
}

u32 type_of(std::string_view name, const Kind& kind) {
    const bool fine = name.starts_with("token_embd") ||
                      name.find("attn_v") != std::string_view::npos ||
                      name.find("ffn_down") != std::string_view::npos;
    return fine ? kind.fine : kind.usual;
}

Bytes quantised(const llx_gguf_tensor& tensor, const Bytes& file, u32 type) {
    const auto n_cols = static_cast<std::size_t>(tensor.dims[0]);
    const auto n_rows = static_cast<std::size_t>(tensor.n_values) / n_cols;
    const std::size_t row_bytes = tensor.bytes / n_rows;
    Bytes out;
    for (std::size_t row = 0; row < n_rows; ++row) {
        std::vector<float> values;
        values.reserve(n_cols);
        for (const auto& weight : test::reference_dequantize(
                 tensor.type, &file[tensor.start + row * row_bytes], n_cols)) {
            values.push_back(static_cast<float>(weight.value));
        }
        const auto part = quantize_row(type, values);
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

bool convert(const llx_gguf& file, const Bytes& bytes, const std::string& out, const Kind& kind) {
    test::GgufWriter writer;
    for (const auto& key : in_order(file.keys, file.n_keys)) {
        writer.set_raw(
            text_of(key.name), key.type,
            Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(key.value),
                  bytes.begin() + static_cast<std::ptrdiff_t>(end_of(file, key.offset))));
    }
    writer.set("general.file_type", kind.file_type);
    writer.set("general.quantization_version", std::uint32_t{2});
    for (const auto& tensor : in_order(file.tensors, file.n_tensors)) {
        const std::string name(text_of(tensor.name));
        const std::vector<std::uint64_t> dims(tensor.dims, tensor.dims + tensor.n_dims);
        if (tensor.n_dims < 2) {
            writer.add_tensor(name, dims, tensor.type,
                              Bytes(&bytes[tensor.start], &bytes[tensor.start] + tensor.bytes));
        } else {
            const u32 type = type_of(name, kind);
            writer.add_tensor(name, dims, type, quantised(tensor, bytes, type));
        }
    }
    if (!writer.write(out)) {
        std::perror(out.c_str());
        return false;
    }
    return true;
}

int run(const std::string& in, const std::string& out, const std::string& name) {
    const Kind* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                    [&](const Kind& known) { return known.name == name; });
    if (kind == std::end(kKinds)) {
        std::fprintf(stderr, "quantize_gguf: no such kind: %s\n", name.c_str());
        return 2;
    }
    std::ifstream stream(in, std::ios::binary);
    const Bytes bytes{std::istreambuf_iterator<char>(stream), {}};
    llx_gguf file{};
    llx_error error{};
    if (llx_gguf_parse(&file, bytes.data(), bytes.size(), bytes.size(), &error) != 0) {
        std::fprintf(stderr, "%s: %s (offset %llu)\n", in.c_str(), error.text, error.offset);
        llx_gguf_destroy(&file);
        return 1;
    }
    const bool done = convert(file, bytes, out, *kind);
    llx_gguf_destroy(&file);
    return done ? 0 : 1;
}

}  // namespace
}  // namespace llamux::pilot

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: quantize_gguf IN.gguf OUT.gguf q8_0|q4_k_m|f32\n");
        return 2;
    }
    return llamux::pilot::run(argv[1], argv[2], argv[3]);
}
