// SPDX-License-Identifier: GPL-2.0-only
//
// Seeded weights in a complete file; see tiny_model.hpp.
#include "support/tiny_model.hpp"

#include <cstdio>
#include <random>

namespace llamux::test {

namespace {

enum TokenType : std::int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

// Blocks of @type that hold @n values: small random numbers, never NaN.
Bytes random_values(std::mt19937& random, std::uint32_t type, std::uint64_t n) {
    Bytes out;
    switch (type) {
        case 0:
            for (std::uint64_t i = 0; i < n; i++) {
                const auto unit = static_cast<float>(random() % 2001) / 1000.0F - 1.0F;
                put_number(out, unit * 0.25F);
            }
            return out;
        case 1:
            // f16: sign and 10 bits of fraction at random, 2^-4 to 2^-3.
            for (std::uint64_t i = 0; i < n; i++) {
                put_number(out, static_cast<std::uint16_t>(0x2c00U | (random() & 0x83ffU)));
            }
            return out;
        default:
            // d = 2^-9 for Q8_0, else 2^-5; m = -2^-2 for Q4_1 and Q5_1; 32 values.
            for (std::uint64_t i = 0; i < n / 32; i++) {
                put_number(out, static_cast<std::uint16_t>(type == 8 ? 0x1800 : 0x2800));
                if (type == 3 || type == 7) {
                    put_number(out, static_cast<std::uint16_t>(0xb400));
                }
                const int n_bytes = type == 8 ? 32 : type >= 6 ? 20 : 16;
                for (int j = 0; j < n_bytes; j++) {
                    out.push_back(static_cast<std::uint8_t>(random()));
                }
            }
            return out;
    }
}

}  // namespace

void TinyVocab::add(std::string text, float score, std::int32_t type) {
    tokens.push_back(std::move(text));
    scores.push_back(score);
    types.push_back(type);
}

void TinyVocab::put(GgufWriter& writer) const {
    writer.set("tokenizer.ggml.model", pre.empty() ? "llama" : "gpt2");
    writer.set("tokenizer.ggml.tokens", tokens);
    if (pre.empty()) {
        writer.set("tokenizer.ggml.scores", scores);
    }
    writer.set("tokenizer.ggml.token_type", types);
    if (!pre.empty()) {
        writer.set("tokenizer.ggml.pre", pre);
        writer.set("tokenizer.ggml.merges", merges);
        writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{3});
        writer.set("tokenizer.ggml.eos_token_id", std::uint32_t{0});
    }
}

TinyVocab TinyVocab::special_and_bytes() {
    TinyVocab vocab;
    vocab.add("<unk>", 0, kUnknown);
    vocab.add("<s>", 0, kControl);
    vocab.add("</s>", 0, kControl);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        std::snprintf(text, sizeof(text), "<0x%02X>", byte);
        vocab.add(text, 0, kByte);
    }
    return vocab;
}

TinyVocab TinyVocab::usual() {
    TinyVocab vocab = special_and_bytes();
    // Best score first, as SentencePiece numbers them; single characters last.
    float score = 0;
    for (const char* piece :
         {"\u2581t", "he", "\u2581the", "in", "er", "re", "an", "\u2581a", "\u2581s",
          "\u2581memory", "em", "or", "ory", "\u2581m", "\u2581mem"}) {
        vocab.add(piece, score--, kNormal);
    }
    vocab.add("\u2581", score--, kNormal);
    for (char letter = 'a'; letter <= 'y'; letter++) {
        vocab.add(std::string(1, letter), score--, kNormal);
    }
    return vocab;
}

GgufWriter TinyModel::build() const {
    GgufWriter writer;
    writer.set("general.architecture", "llama");
    writer.set("general.name", "tiny");
    writer.set("llama.context_length", n_ctx);
    writer.set("llama.block_count", n_layer);
    writer.set("llama.embedding_length", n_embd);
    writer.set("llama.feed_forward_length", n_ff);
    writer.set("llama.attention.head_count", n_head);
    writer.set("llama.attention.head_count_kv", n_head_kv);
    writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    vocab.put(writer);

    std::mt19937 random(seed);
    const auto matrix = [&](const std::string& name, std::uint64_t n_cols, std::uint64_t n_rows) {
        writer.add_tensor(name, {n_cols, n_rows}, type,
                          random_values(random, type, n_cols * n_rows));
    };
    const auto norm = [&](const std::string& name) {
        writer.add_tensor(name, {n_embd}, 0, random_values(random, 0, n_embd));
    };
    const std::uint64_t n_kv = n_embd / n_head * n_head_kv;
    matrix("token_embd.weight", n_embd, vocab.tokens.size());
    for (std::uint32_t i = 0; i < n_layer; i++) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        norm(layer + "attn_norm.weight");
        matrix(layer + "attn_q.weight", n_embd, n_embd);
        matrix(layer + "attn_k.weight", n_embd, n_kv);
        matrix(layer + "attn_v.weight", n_embd, n_kv);
        matrix(layer + "attn_output.weight", n_embd, n_embd);
        norm(layer + "ffn_norm.weight");
        matrix(layer + "ffn_gate.weight", n_embd, n_ff);
        matrix(layer + "ffn_up.weight", n_embd, n_ff);
        matrix(layer + "ffn_down.weight", n_ff, n_embd);
    }
    norm("output_norm.weight");
    if (!tied) {
        matrix("output.weight", n_embd, vocab.tokens.size());
    }
    return writer;
}

}  // namespace llamux::test
