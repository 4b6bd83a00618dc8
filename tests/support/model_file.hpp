// SPDX-License-Identifier: GPL-2.0-only
//
// Models as GGUF files: plain data written with a vocabulary, and files loaded
// by the engine. Also the fingerprint of logits by which two builds of the
// engine are compared.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine.hpp"
#include "support/gguf_writer.hpp"
#include "support/model_data.hpp"
#include "support/tiny_model.hpp"

namespace llamux::test {

// A complete file. @vocab must have model.n_vocab tokens.
[[nodiscard]] GgufWriter gguf_of(const ModelData& model, const TinyVocab& vocab);

// The model that tests compare over builds, kernels and with llama.cpp: two
// layers, TinyVocab::usual(), all matrices of @type, or of eight types in turn if
// @type is kMixedTypes. The same bytes on every machine.
constexpr std::uint32_t kMixedTypes = ~0U;
[[nodiscard]] ModelData tiny_model_data(std::uint32_t type);

struct FreeModel {
    void operator()(llx_model* model) const { llx_model_free(model); }
};
using LoadedModel = std::unique_ptr<llx_model, FreeModel>;

// nullptr: @error says why.
[[nodiscard]] LoadedModel load_model(std::span<const std::uint8_t> file, const llx_kernels* kernels,
                                     std::string& error);
[[nodiscard]] LoadedModel load_model_file(const std::string& path, const llx_kernels* kernels,
                                          std::uint32_t n_ctx_max, std::string& error);

// The tokens of @text as LLAMUX_FORMAT_RAW and LLAMUX_IOC_EVAL make them: bos
// if the vocabulary asks for one, then the text.
[[nodiscard]] std::vector<std::int32_t> raw_tokens(const llx_model* model, std::string_view text);

// 64-bit FNV-1a of the logits' bits, little-endian, in the order of tokens.
[[nodiscard]] std::uint64_t logits_hash(std::span<const std::uint32_t> bits);

}  // namespace llamux::test
