// SPDX-License-Identifier: GPL-2.0-only
//
// A complete model of the llama architecture that is small enough to load
// thousands of times: seeded weights, a vocabulary of 300 tokens. Fields can
// be changed before build(); the writer it returns, before bytes().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/gguf_writer.hpp"

namespace llamux::test {

// tokenizer.ggml.* of a SentencePiece vocabulary.
struct TinyVocab {
    std::vector<std::string> tokens;
    std::vector<float> scores;
    std::vector<std::int32_t> types;

    void add(std::string text, float score, std::int32_t type);
    void put(GgufWriter& writer) const;

    // unk, bos, eos, the 256 bytes, the letters and some words.
    static TinyVocab usual();
};

struct TinyModel {
    std::uint32_t n_layer = 2;
    std::uint32_t n_embd = 64;
    std::uint32_t n_ff = 96;
    std::uint32_t n_head = 4;
    std::uint32_t n_head_kv = 2;
    std::uint32_t n_ctx = 32;
    bool tied = false;
    std::uint32_t seed = 1;
    std::uint32_t type = 0;  // enum llx_type of the matrices: F32, F16 or blocks of 32
    TinyVocab vocab = TinyVocab::usual();

    [[nodiscard]] GgufWriter build() const;
};

}  // namespace llamux::test
