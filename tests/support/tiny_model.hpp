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

// tokenizer.ggml.* of a SentencePiece vocabulary, or of a byte-level BPE one if
// it has a pre-tokeniser; the latter has merges instead of scores.
struct TinyVocab {
    std::vector<std::string> tokens;
    std::vector<float> scores;
    std::vector<std::int32_t> types;
    std::vector<std::string> merges;
    std::string pre;

    void add(std::string text, float score, std::int32_t type);
    void put(GgufWriter& writer) const;

    // unk, bos, eos and the 256 bytes, as every Llama vocabulary begins.
    static TinyVocab special_and_bytes();
    // These, the letters and some words.
    static TinyVocab usual();

    // Byte-level BPE, trained over a few texts without cutting them into words,
    // so that a wrong cut shows; see bpe_vocab.cpp.
    static TinyVocab bpe(const std::string& pre);
};

// GPT-2's character for a byte, in UTF-8 (encoder.py, bytes_to_unicode).
std::string bpe_character(unsigned char byte);

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
