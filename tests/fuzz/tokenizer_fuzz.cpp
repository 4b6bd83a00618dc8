// SPDX-License-Identifier: GPL-2.0-only
// Catches: texts and vocabularies that make the tokenizer crash, lose bytes,
// give control tokens, or merge otherwise than the plainest implementation of
// SentencePiece's or BPE's rule. The input is a byte, of which the highest bit
// asks for BPE, a vocabulary (see read_vocab, read_bpe) and a text.
#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "support/engine.hpp"
#include "support/tiny_model.hpp"

namespace {

using llamux::test::Bytes;
using llamux::test::GgufWriter;
using llamux::test::TinyVocab;
using Ids = std::vector<std::int32_t>;

enum : std::int32_t { kNormal = 1, kUserDefined = 4, kUnused = 5 };

class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, data + size) {}
    unsigned byte() {
        if (at_ == rest_.size()) {
            return 0;
        }
        return rest_[at_++];
    }
    std::string text(std::size_t n) {
        n = std::min(n, rest_.size() - at_);
        std::string out(rest_.begin() + static_cast<std::ptrdiff_t>(at_),
                        rest_.begin() + static_cast<std::ptrdiff_t>(at_ + n));
        at_ += n;
        return out;
    }
    std::string all() { return text(rest_.size()); }

  private:
    std::vector<std::uint8_t> rest_;
    std::size_t at_ = 0;
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
        text.replace(at, from.size(), to);
    }
}

// One byte: how many pieces; each: one byte length and type, one byte score,
// the bytes. They come after <unk>, <s>, </s> and the 256 bytes.
TinyVocab read_vocab(Input& input) {
    TinyVocab vocab = TinyVocab::usual();
    constexpr std::size_t kBare = 3 + 256;
    vocab.tokens.resize(kBare);
    vocab.scores.resize(kBare);
    vocab.types.resize(kBare);
    for (unsigned n = input.byte() % 32; n > 0; n--) {
        const unsigned head = input.byte();
        const auto score = static_cast<float>(static_cast<std::int8_t>(input.byte()));
        const std::string piece = input.text(head % 16 + 1);
        const std::int32_t types[] = {kNormal, kNormal, kUserDefined, kUnused};
        if (std::find(vocab.tokens.begin(), vocab.tokens.end(), piece) == vocab.tokens.end() &&
            !piece.empty()) {
            vocab.add(piece, score, types[head / 16 % 4]);
        }
    }
    return vocab;
}

// The rule, without heap, list or hash table: quadratic.
class Plain {
  public:
    explicit Plain(const TinyVocab& vocab) : vocab_(vocab) {
        for (std::size_t id = 0; id < vocab.tokens.size(); id++) {
            if (vocab.types[id] == kNormal || vocab.types[id] == kUserDefined) {
                ids_[vocab.tokens[id]] = id;
            }
        }
    }

    Ids encode(std::string text, bool start) const {
        if (text.empty()) {
            return {};
        }
        replace_all(text, " ", "\u2581");
        if (start) {
            text.insert(0, "\u2581");
        }
        std::vector<Symbol> symbols = split(text);
        while (merge_best(symbols)) {
        }
        Ids out;
        for (const Symbol& symbol : symbols) {
            const auto known = ids_.find(symbol.text);
            if (known != ids_.end()) {
                out.push_back(static_cast<std::int32_t>(known->second));
                continue;
            }
            for (const char byte : symbol.text) {
                out.push_back(3 + static_cast<unsigned char>(byte));
            }
        }
        return out;
    }

  private:
    struct Symbol {
        std::string text;
        bool frozen;
    };

    std::vector<Symbol> split(const std::string& text) const {
        std::vector<Symbol> symbols;
        for (std::size_t at = 0; at < text.size();) {
            std::size_t longest = 0;
            for (const auto& [piece, id] : ids_) {
                if (vocab_.types[id] == kUserDefined &&
                    text.compare(at, piece.size(), piece) == 0) {
                    longest = std::max(longest, piece.size());
                }
            }
            const int character = llx_utf8_sequence(text.data() + at, text.size() - at);
            const bool frozen = longest > 0 || character <= 0;
            const std::size_t n =
                longest > 0 ? longest : static_cast<std::size_t>(std::max(character, 1));
            symbols.push_back({text.substr(at, n), frozen});
            at += n;
        }
        return symbols;
    }

    bool merge_best(std::vector<Symbol>& symbols) const {
        std::size_t best = symbols.size();
        float best_score = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); i++) {
            if (symbols[i].frozen || symbols[i + 1].frozen) {
                continue;
            }
            const auto known = ids_.find(symbols[i].text + symbols[i + 1].text);
            if (known == ids_.end()) {
                continue;
            }
            const float score = vocab_.scores[known->second];
            if (best == symbols.size() || score > best_score) {
                best = i;
                best_score = score;
            }
        }
        if (best == symbols.size()) {
            return false;
        }
        symbols[best].text += symbols[best + 1].text;
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
        return true;
    }

    const TinyVocab& vocab_;
    std::map<std::string, std::size_t> ids_;
};

// One byte: how many merges or pieces; each: one byte, of which the highest bit
// asks for a user-defined piece of that many bytes; or else two bytes name the
// tokens to be merged.
TinyVocab read_bpe(Input& input, unsigned pre) {
    const char* const pres[] = {"default", "gpt-2", "smollm", "llama-bpe", "qwen2"};
    TinyVocab vocab;
    vocab.pre = pres[pre % 5];
    for (unsigned byte = 0; byte < 256; byte++) {
        vocab.add(llamux::test::bpe_character(static_cast<unsigned char>(byte)), 0, kNormal);
    }
    const auto is_new = [&](const std::string& token) {
        return std::find(vocab.tokens.begin(), vocab.tokens.end(), token) == vocab.tokens.end();
    };
    for (unsigned n = input.byte() % 64; n > 0; n--) {
        const unsigned head = input.byte();
        if (head >= 128) {
            const std::string piece = input.text(head % 8 + 1);
            if (!piece.empty() && is_new(piece)) {
                vocab.add(piece, 0, kUserDefined);
            }
            continue;
        }
        // 256 tokens are bytes; those with the first bit set are later ones.
        const auto token = [&](unsigned byte, bool late) {
            const std::size_t id = late ? 256 + byte % (vocab.tokens.size() - 255) : byte;
            const bool usable = id < vocab.tokens.size() && vocab.types[id] == kNormal;
            return vocab.tokens[usable ? id : byte];
        };
        const std::string left = token(input.byte(), (head & 1U) != 0);
        const std::string right = token(input.byte(), (head & 2U) != 0);
        if (left.size() + right.size() <= LLX_MAX_PIECE_BYTES) {
            if (is_new(left + right)) {
                vocab.add(left + right, 0, kNormal);
            }
            vocab.merges.push_back(left + " " + right);
        }
    }
    return vocab;
}

// BPE's rule, likewise; the words are the engine's (tests/golden compares them).
class PlainBpe {
  public:
    PlainBpe(const TinyVocab& vocab, const llx_tokenizer* t) : vocab_(vocab), t_(t) {
        for (std::size_t id = 0; id < vocab.tokens.size(); id++) {
            ids_[vocab.tokens[id]] = static_cast<std::int32_t>(id);
        }
        for (std::size_t rank = vocab.merges.size(); rank-- > 0;) {
            ranks_[vocab.merges[rank]] = rank;
        }
    }

    Ids encode(const std::string& text) const {
        Ids out;
        std::string part;
        for (std::size_t at = 0; at < text.size();) {
            std::size_t longest = 0;
            for (const auto& [piece, id] : ids_) {
                if (vocab_.types[static_cast<std::size_t>(id)] == kUserDefined &&
                    text.compare(at, piece.size(), piece) == 0) {
                    longest = std::max(longest, piece.size());
                }
            }
            if (longest == 0) {
                part += text[at++];
                continue;
            }
            encode_part(part, out);
            part.clear();
            out.push_back(ids_.at(text.substr(at, longest)));
            at += longest;
        }
        encode_part(part, out);
        return out;
    }

  private:
    void encode_part(const std::string& part, Ids& out) const {
        for (std::size_t at = 0; at < part.size();) {
            const std::size_t n = llx_pretokenize_word(
                t_->pre, part.data() + at, static_cast<std::uint32_t>(part.size() - at));
            FUZZ_CHECK(n > 0 && n <= part.size() - at);
            encode_word(part.substr(at, n), out);
            at += n;
        }
    }

    void encode_word(const std::string& word, Ids& out) const {
        std::vector<std::string> symbols;
        std::string whole;
        for (const char c : word) {
            symbols.push_back(llamux::test::bpe_character(static_cast<unsigned char>(c)));
            whole += symbols.back();
        }
        if (t_->whole_words && ids_.count(whole) != 0) {
            out.push_back(ids_.at(whole));
            return;
        }
        while (merge_best(symbols)) {
        }
        for (const std::string& symbol : symbols) {
            out.push_back(ids_.at(symbol));
        }
    }

    bool merge_best(std::vector<std::string>& symbols) const {
        std::size_t best = symbols.size();
        std::size_t best_rank = ranks_.size() + vocab_.merges.size();
        for (std::size_t i = 0; i + 1 < symbols.size(); i++) {
            const auto known = ranks_.find(symbols[i] + " " + symbols[i + 1]);
            if (known != ranks_.end() && known->second < best_rank) {
                best = i;
                best_rank = known->second;
            }
        }
        if (best == symbols.size()) {
            return false;
        }
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
        return true;
    }

    const TinyVocab& vocab_;
    const llx_tokenizer* t_;
    std::map<std::string, std::int32_t> ids_;
    std::map<std::string, std::size_t> ranks_;  // the first of equal merges
};

llx_tokenizer* load(const TinyVocab& vocab) {
    GgufWriter writer;
    vocab.put(writer);
    const Bytes file = writer.bytes();
    llx_gguf gguf = {};
    llx_error error = {};
    llx_tokenizer* t = nullptr;
    FUZZ_CHECK(llx_gguf_parse(&gguf, file.data(), file.size(), file.size(), &error) == 0);
    FUZZ_CHECK(llx_tokenizer_load(&t, &gguf, &error) == 0);
    llx_gguf_destroy(&gguf);
    return t;
}

Ids encode(const llx_tokenizer* t, const std::string& text, bool start) {
    Ids ids(3 * text.size() + 3);
    std::uint32_t n = 0;
    FUZZ_CHECK(llx_tokenizer_encode(t, text.data(), text.size(), start, ids.data(),
                                    static_cast<std::uint32_t>(ids.size()), &n) == 0);
    ids.resize(n);
    return ids;
}

std::string decode(const llx_tokenizer* t, const Ids& ids) {
    std::string out;
    for (const std::int32_t id : ids) {
        FUZZ_CHECK(llx_tokenizer_type(t, id) != LLX_TOKEN_CONTROL);
        FUZZ_CHECK(llx_tokenizer_type(t, id) != LLX_TOKEN_UNKNOWN);
        char piece[LLX_MAX_PIECE_BYTES];
        const int n = llx_tokenizer_piece(t, id, piece, sizeof(piece));
        FUZZ_CHECK(n > 0);
        out.append(piece, static_cast<std::size_t>(n));
    }
    return out;
}

constexpr std::size_t kPlainBytes = 400;

void try_bpe(Input& input, unsigned pre) {
    const TinyVocab vocab = read_bpe(input, pre);
    const std::string text = input.all();
    llx_tokenizer* t = load(vocab);
    const Ids ids = encode(t, text, true);
    FUZZ_CHECK(decode(t, ids) == text);
    if (text.size() <= kPlainBytes) {
        FUZZ_CHECK(ids == PlainBpe(vocab, t).encode(text));
    }
    llx_tokenizer_free(t);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const unsigned first = input.byte();
    if (first >= 128) {
        try_bpe(input, first);
        return 0;
    }
    const bool start = first % 2 != 0;
    const TinyVocab vocab = read_vocab(input);
    const std::string text = input.all();
    llx_tokenizer* t = load(vocab);
    const Ids ids = encode(t, text, start);

    // Nothing is lost; a U+2581 cannot be told from a space. Pieces may be cut
    // anywhere in this vocabulary, so compare after undoing the replacement.
    std::string expected = text;
    replace_all(expected, "\u2581", " ");
    std::string got = decode(t, ids);
    replace_all(got, "\u2581", " ");
    if (start && !text.empty()) {
        expected.insert(0, " ");
    }
    FUZZ_CHECK(got == expected);

    const bool unused = std::count(vocab.types.begin(), vocab.types.end(), kUnused) > 0;
    if (!unused && text.size() <= kPlainBytes) {
        FUZZ_CHECK(ids == Plain(vocab).encode(text, start));
    }
    llx_tokenizer_free(t);
    return 0;
}
