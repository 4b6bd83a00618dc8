// SPDX-License-Identifier: GPL-2.0-only
// Catches: a file that makes loading crash, read outside the file, lose memory
// or fail without a printable line; and one that is loaded but cannot be run.
// The input is the file.
#include <cmath>
#include <cstring>

#include "fuzz/fuzz.hpp"
#include "support/engine.hpp"

namespace {

struct File {
    const std::uint8_t* bytes;
    std::size_t size;
};

int read_file(void* ctx, u64 offset, void* buf, std::size_t n) {
    const auto* file = static_cast<const File*>(ctx);
    FUZZ_CHECK(offset <= file->size && n <= file->size - offset);
    std::memcpy(buf, file->bytes + offset, n);
    return 0;
}

void check_error(const llx_error& error, int code) {
    FUZZ_CHECK(error.code == code);
    const std::size_t length = std::strlen(error.text);
    FUZZ_CHECK(length > 0 && length < sizeof(error.text));
    for (std::size_t i = 0; i < length; i++) {
        FUZZ_CHECK(error.text[i] >= ' ' && error.text[i] <= '~');
    }
}

void check_runs(const llx_model* model) {
    const llx_hparams& h = model->hparams;
    FUZZ_CHECK(h.n_ctx >= 1 && h.n_vocab >= 1);
    std::int32_t tokens[16];
    std::uint32_t n = 0;
    const int code = llx_tokenizer_encode(model->tokenizer, "ab <s>\xff", 7, true, tokens, 16, &n);
    FUZZ_CHECK(code == 0 && n > 0);
    for (std::uint32_t i = 0; i < n; i++) {
        FUZZ_CHECK(tokens[i] >= 0 && static_cast<std::uint32_t>(tokens[i]) < h.n_vocab);
        char piece[LLX_MAX_PIECE_BYTES];
        FUZZ_CHECK(llx_tokenizer_piece(model->tokenizer, tokens[i], piece, sizeof(piece)) >= 0);
    }
    llx_context context = {};
    if (llx_context_init(&context, model, &llx_exec_inline, h.n_ctx) != 0) {
        return;
    }
    const std::uint32_t n_eval = n < h.n_ctx ? n : h.n_ctx;
    FUZZ_CHECK(llx_context_eval(&context, tokens, n_eval, true) == 0);
    llx_context_destroy(&context);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::uint32_t kContext = 8;
    File file = {data, size};
    const llx_reader reader = {&file, size, read_file};
    llx_model* model = nullptr;
    llx_error error = {};
    const int code = llx_model_load(&model, &reader, llx_kernels_select(0, "generic"),
                                    &llx_exec_inline, kContext, LLX_PROMPT_BY_FILE, &error);
    FUZZ_CHECK((code == 0) == (model != nullptr));
    if (code != 0) {
        FUZZ_CHECK(code == -EINVAL || code == -ENOEXEC || code == -ENOMEM);
        check_error(error, code);
        return 0;
    }
    check_runs(model);
    llx_model_free(model);
    return 0;
}
