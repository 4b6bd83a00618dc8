// SPDX-License-Identifier: GPL-2.0-only
//
// See model_file.hpp.
#include "model_file.hpp"

#include "support/cpu_features.hpp"

namespace llamux::pilot {

ModelFile::~ModelFile() {
    if (has_context_) {
        llx_context_destroy(&context_);
    }
    llx_model_free(model_);
}

int ModelFile::read(void* file, u64 offset, void* buffer, size_t bytes) {
    auto* in = static_cast<std::FILE*>(file);
    if (std::fseek(in, static_cast<long>(offset), SEEK_SET) != 0 ||
        std::fread(buffer, 1, bytes, in) != bytes) {
        return -EIO;
    }
    return 0;
}

bool ModelFile::open(const std::string& path, u32 n_ctx) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                               std::fclose);
    if (!file || std::fseek(file.get(), 0, SEEK_END) != 0) {
        std::perror(path.c_str());
        return false;
    }
    const llx_reader reader{file.get(), static_cast<u64>(std::ftell(file.get())), read};
    llx_error error{};
    const auto* kernels = llx_kernels_select(test::cpu_features(), nullptr);
    if (llx_model_load(&model_, &reader, kernels, &llx_exec_inline, n_ctx, LLX_PROMPT_BY_FILE,
                       &error) != 0) {
        std::fprintf(stderr, "%s: %s (offset %llu)\n", path.c_str(), error.text, error.offset);
        return false;
    }
    has_context_ = llx_context_init(&context_, model_, &llx_exec_inline, n_ctx) == 0;
    if (!has_context_) {
        std::fprintf(stderr, "%s: no memory for a context of %u tokens\n", path.c_str(), n_ctx);
    }
    return has_context_;
}

std::vector<s32> ModelFile::encode(const llx_prompt& prompt) const {
    std::vector<s32> tokens(context_.n_ctx);
    u32 n = 0;
    if (llx_prompt_encode(&prompt, model_->tokenizer, tokens.data(), context_.n_ctx, &n, nullptr) != 0) {
        n = 0;
    }
    tokens.resize(n);
    return tokens;
}

std::vector<s32> ModelFile::complete_tokens(const std::vector<s32>& prompt, u32 max_tokens) {
    std::vector<s32> answer;
    llx_context_truncate(&context_, 0);
    if (prompt.empty() ||
        llx_context_eval(&context_, prompt.data(), static_cast<u32>(prompt.size()), true) != 0) {
        return answer;
    }
    while (answer.size() < max_tokens) {
        const auto token =
            static_cast<s32>(llx_op_argmax(context_.logits, model_->hparams.n_vocab));
        if (llx_prompt_is_end(model_->prompt_format, model_->tokenizer, token)) {
            break;
        }
        answer.push_back(token);
        if (llx_context_eval(&context_, &token, 1, true) != 0) {
            break;
        }
    }
    return answer;
}

std::string ModelFile::complete(const llx_prompt& prompt, u32 max_tokens) {
    std::string text;
    char piece[64];
    for (const s32 token : complete_tokens(encode(prompt), max_tokens)) {
        const int n = llx_tokenizer_piece(model_->tokenizer, token, piece, sizeof(piece));
        text.append(piece, n > 0 ? static_cast<size_t>(n) : 0);
    }
    return text;
}

}  // namespace llamux::pilot
