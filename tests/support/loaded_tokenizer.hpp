// SPDX-License-Identifier: GPL-2.0-only
//
// Tokenizers out of the metadata of a file, and their text, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/engine.hpp"
#include "support/gguf_writer.hpp"
#include "support/tiny_model.hpp"

namespace llamux::test {

struct FreeTokenizer {
    void operator()(llx_tokenizer* t) const { llx_tokenizer_free(t); }
};
using Tokenizer = std::unique_ptr<llx_tokenizer, FreeTokenizer>;

struct LoadedTokenizer {
    Tokenizer tokenizer;
    llx_error error = {};
    int code = 0;
};

inline LoadedTokenizer load_tokenizer(const Bytes& file) {
    LoadedTokenizer loaded;
    llx_gguf gguf = {};
    llx_tokenizer* t = nullptr;
    loaded.code = llx_gguf_parse(&gguf, file.data(), file.size(), file.size(), &loaded.error);
    if (loaded.code == 0) {
        loaded.code = llx_tokenizer_load(&t, &gguf, &loaded.error);
    }
    loaded.tokenizer.reset(t);
    llx_gguf_destroy(&gguf);
    return loaded;
}

inline LoadedTokenizer load_tokenizer(const GgufWriter& writer) {
    return load_tokenizer(writer.bytes());
}

inline Tokenizer load_vocab(const TinyVocab& vocab) {
    GgufWriter writer;
    vocab.put(writer);
    LoadedTokenizer loaded = load_tokenizer(writer);
    EXPECT_EQ(loaded.code, 0) << loaded.error.text;
    return std::move(loaded.tokenizer);
}

inline std::string decode(const Tokenizer& t, const std::vector<std::int32_t>& ids) {
    std::string text;
    for (const std::int32_t id : ids) {
        char piece[LLX_MAX_PIECE_BYTES];
        const int n = llx_tokenizer_piece(t.get(), id, piece, sizeof(piece));
        EXPECT_GE(n, 0) << id;
        text.append(piece, static_cast<std::size_t>(std::max(n, 0)));
    }
    return text;
}

}  // namespace llamux::test
