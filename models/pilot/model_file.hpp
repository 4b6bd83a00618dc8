// SPDX-License-Identifier: GPL-2.0-only
//
// A GGUF file run by the engine, for tools.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "support/engine.hpp"

namespace llamux::pilot {

class ModelFile {
  public:
    ModelFile() = default;
    ~ModelFile();
    ModelFile(const ModelFile&) = delete;
    ModelFile& operator=(const ModelFile&) = delete;

    // False: it said why on stderr.
    bool open(const std::string& path, u32 n_ctx);

    llx_context* context() { return &context_; }
    const llx_model& model() const { return *model_; }

    // Tokens of a prompt; empty if it cannot be encoded.
    std::vector<s32> encode(const llx_prompt& prompt) const;

    // The most likely continuation up to its end.
    std::vector<s32> complete_tokens(const std::vector<s32>& prompt, u32 max_tokens);
    std::string complete(const llx_prompt& prompt, u32 max_tokens);

  private:
    static int read(void* file, u64 offset, void* buffer, size_t bytes);

    llx_model* model_ = nullptr;
    llx_context context_{};
    bool has_context_ = false;
};

}  // namespace llamux::pilot
