// SPDX-License-Identifier: GPL-2.0-only
//
// See tinyllama.hpp. Quantising 1.1e9 values takes our quantiser a quarter of an
// hour of CPU time. So of each type and size it quantises a pool of blocks, and
// tensors are drawn from the pool, block by block: a matrix of 2048 x 2048 has as
// many blocks as the pool, and no two tensors or rows are alike.
#include "support/tinyllama.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <unordered_set>

#include "support/engine.hpp"
#include "support/model_data.hpp"
#include "support/quantize.hpp"

extern "C" {
#include "engine/quant.h"
}

namespace llamux::test {

namespace {

constexpr std::uint32_t kLayers = 22;
constexpr std::uint32_t kEmbd = 2048;
constexpr std::uint32_t kFf = 5632;
constexpr std::uint32_t kHeads = 32;
constexpr std::uint32_t kHeadsKv = 4;
constexpr std::uint32_t kHeadDim = 64;
constexpr std::size_t kPoolBlocks = 16384;
constexpr std::size_t kMaxPiece = 24;  // bytes

// What llama.cpp's "Q4_K_M" makes Q6_K: attn_v and ffn_down of these layers.
bool is_fine_layer(std::uint32_t layer) {
    constexpr std::uint32_t kFine[] = {0, 1, 4, 7, 10, 13, 16, 19, 20, 21};
    return std::find(std::begin(kFine), std::end(kFine), layer) != std::end(kFine);
}

constexpr char kZephyrTemplate[] =
    "{% for message in messages %}\n"
    "{% if message['role'] == 'user' %}\n"
    "{{ '<|user|>\\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n"
    "{{ '<|system|>\\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n"
    "{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n"
    "{{ '<|assistant|>' }}\n"
    "{% endif %}\n"
    "{% endfor %}";

// --- Vocabulary ----------------------------------------------------------------

// Split into the first and all other letters again and again, so that each word
// can be merged from its letters: "▁t", "▁th", "▁the".
constexpr const char* kWords[] = {
    "the",   "and",    "memory", "system",  "process", "kernel", "is",    "of",   "to",
    "in",    "that",   "it",     "for",     "was",     "on",     "are",   "with", "as",
    "group", "weight", "cpu",    "disk",    "because", "slow",   "waits", "why",  "what",
    "how",   "user",   "answer", "machine", "change",  "lower",  "raise", "hello"};

class VocabMaker {
  public:
    VocabMaker() {
        for (char c = '!'; c <= '~'; c++)
            characters_.emplace_back(1, c);
        for (const char* other : {"\u00e9", "\u00fc", "\u00df", "\u0434", "\u03bb", "\u4e2d"})
            characters_.emplace_back(other);
        // Not at the beginning, where letters are drawn from.
        characters_.emplace_back("\u2581");
        known_.insert(characters_.begin(), characters_.end());
    }

    std::vector<std::string> pieces(std::size_t n) {
        for (const char* word : kWords) {
            std::string piece = "\u2581";
            for (const char* letter = word; *letter != 0; letter++)
                add(piece += *letter);
        }
        while (pieces_.size() + characters_.size() < n)
            add_pair();
        pieces_.insert(pieces_.end(), characters_.rbegin(), characters_.rend());
        return pieces_;
    }

  private:
    void add(const std::string& piece) {
        if (piece.size() <= kMaxPiece && known_.insert(piece).second)
            pieces_.push_back(piece);
    }
    void add_pair() {
        const std::string first = draw(true);
        add(first + draw(false));
    }
    // A piece or a character; early ones are frequent, and a word begins with
    // the space if at all.
    std::string draw(bool first) {
        const std::size_t n = characters_.size() + pieces_.size();
        const std::size_t i = std::min(random_() % n, random_() % n);
        const std::string& piece =
            i < characters_.size() ? characters_[i] : pieces_[i - characters_.size()];
        return first || !piece.starts_with("\u2581") ? piece : piece.substr(3);
    }

    std::mt19937_64 random_{32000};
    std::vector<std::string> characters_;
    std::vector<std::string> pieces_;
    std::unordered_set<std::string> known_;
};

// All pairs of pieces that make up a piece, as converters derive them from a
// SentencePiece vocabulary. The engine does not read them.
std::vector<std::string> merges_of(const TinyVocab& vocab) {
    const std::unordered_set<std::string> known(vocab.tokens.begin(), vocab.tokens.end());
    std::vector<std::string> merges;
    for (const std::string& piece : vocab.tokens) {
        for (std::size_t cut = 1; cut < piece.size(); cut++) {
            const std::string left = piece.substr(0, cut);
            const std::string right = piece.substr(cut);
            if (known.contains(left) && known.contains(right))
                merges.push_back(left + " " + right);
        }
    }
    return merges;
}

// --- Weights -------------------------------------------------------------------

// Quantised blocks of 256 nearly normal values of one size.
class Pool {
  public:
    Pool(std::uint32_t type, std::uint32_t n_cols, double deviation)
        : block_bytes_(llx_type_traits(type)->block_bytes) {
        std::mt19937_64 random(std::uint64_t{type} << 32 | n_cols);
        const std::vector<float> values =
            normal_values(random, kPoolBlocks * LLX_QK_K, 0, deviation);
        blocks_ = quantize_row(type, values);
    }
    void draw(std::uint64_t seed, std::span<std::uint8_t> out) const {
        std::mt19937_64 random(seed);
        for (std::size_t at = 0; at < out.size(); at += block_bytes_) {
            const auto block = blocks_.begin() +
                               static_cast<std::ptrdiff_t>(random() % kPoolBlocks * block_bytes_);
            std::copy_n(block, block_bytes_, out.begin() + static_cast<std::ptrdiff_t>(at));
        }
    }

  private:
    std::size_t block_bytes_;
    std::vector<std::uint8_t> blocks_;
};

class Tensors {
  public:
    explicit Tensors(GgufWriter& writer) : writer_(writer) {}

    // Of a size that keeps the length of a vector about the same.
    void projection(const std::string& name, bool fine, std::uint32_t n_cols,
                    std::uint32_t n_rows) {
        matrix(name, fine, n_cols, n_rows, 1 / std::sqrt(n_cols));
    }
    void matrix(const std::string& name, bool fine, std::uint32_t n_cols, std::uint32_t n_rows,
                double deviation) {
        const std::uint32_t type = fine ? LLX_TYPE_Q6_K : LLX_TYPE_Q4_K;
        const std::uint64_t n_bytes =
            std::uint64_t{n_cols} * n_rows / LLX_QK_K * llx_type_traits(type)->block_bytes;
        writer_.add_tensor(name + ".weight", {n_cols, n_rows}, type, n_bytes,
                           [=, pools = pools_, seed = ++n_tensors_](std::span<std::uint8_t> out) {
                               pools
                                   ->try_emplace({type, n_cols, deviation}, type, n_cols, deviation)
                                   .first->second.draw(seed, out);
                           });
    }
    void norm(const std::string& name) {
        std::mt19937_64 random(++n_tensors_);
        Bytes bytes;
        for (const float value : normal_values(random, kEmbd, 1, 0.2))
            put_number(bytes, value);
        writer_.add_tensor(name + ".weight", {kEmbd}, LLX_TYPE_F32, std::move(bytes));
    }

  private:
    using Pools = std::map<std::tuple<std::uint32_t, std::uint32_t, double>, Pool>;

    GgufWriter& writer_;
    std::uint64_t n_tensors_ = 0;
    std::shared_ptr<Pools> pools_ = std::make_shared<Pools>();
};

void put_metadata(GgufWriter& writer) {
    writer.set("general.architecture", "llama");
    writer.set("general.name", "random weights like tinyllama-1.1b-chat-v1.0");
    writer.set("llama.context_length", std::uint32_t{2048});
    writer.set("llama.embedding_length", kEmbd);
    writer.set("llama.block_count", kLayers);
    writer.set("llama.feed_forward_length", kFf);
    writer.set("llama.rope.dimension_count", kHeadDim);
    writer.set("llama.attention.head_count", kHeads);
    writer.set("llama.attention.head_count_kv", kHeadsKv);
    writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    writer.set("llama.rope.freq_base", 10000.0F);
    writer.set("general.file_type", std::uint32_t{15});
    const TinyVocab vocab = tinyllama_vocab();
    vocab.put(writer);
    writer.set("tokenizer.ggml.merges", merges_of(vocab));
    writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
    writer.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
    writer.set("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
    writer.set("tokenizer.ggml.padding_token_id", std::uint32_t{2});
    writer.set("tokenizer.chat_template", kZephyrTemplate);
    writer.set("general.quantization_version", std::uint32_t{2});
}

}  // namespace

TinyVocab tinyllama_vocab() {
    TinyVocab vocab = TinyVocab::special_and_bytes();
    float score = 0;
    for (std::string& piece : VocabMaker().pieces(kTinyllamaVocab - vocab.tokens.size()))
        vocab.add(std::move(piece), score--, LLX_TOKEN_NORMAL);
    return vocab;
}

GgufWriter tinyllama_file() {
    GgufWriter writer;
    put_metadata(writer);
    Tensors tensors(writer);
    tensors.projection("output", true, kEmbd, kTinyllamaVocab);
    tensors.matrix("token_embd", false, kEmbd, kTinyllamaVocab, 1);
    for (std::uint32_t i = 0; i < kLayers; i++) {
        const std::string prefix = "blk." + std::to_string(i) + ".";
        tensors.norm(prefix + "attn_norm");
        tensors.projection(prefix + "ffn_down", is_fine_layer(i), kFf, kEmbd);
        tensors.projection(prefix + "ffn_gate", false, kEmbd, kFf);
        tensors.projection(prefix + "ffn_up", false, kEmbd, kFf);
        tensors.norm(prefix + "ffn_norm");
        tensors.projection(prefix + "attn_k", false, kEmbd, kHeadsKv * kHeadDim);
        tensors.projection(prefix + "attn_output", false, kHeads * kHeadDim, kEmbd);
        tensors.projection(prefix + "attn_q", false, kEmbd, kHeads * kHeadDim);
        tensors.projection(prefix + "attn_v", is_fine_layer(i), kEmbd, kHeadsKv * kHeadDim);
    }
    tensors.norm("output_norm");
    return writer;
}

}  // namespace llamux::test
