// SPDX-License-Identifier: GPL-2.0-only
// Catches: tokens other than SentencePiece's rules give (merge order, ties,
// user-defined and unused pieces, byte fallback), control tokens out of text,
// lost or invented bytes, and damaged vocabularies that are accepted.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine.hpp"
#include "support/loaded_tokenizer.hpp"
#include "support/tiny_model.hpp"

namespace {

using llamux::test::Bytes;
using llamux::test::decode;
using llamux::test::GgufWriter;
using llamux::test::load_tokenizer;
using llamux::test::load_vocab;
using llamux::test::LoadedTokenizer;
using llamux::test::TinyVocab;
using llamux::test::Tokenizer;
using Ids = std::vector<std::int32_t>;

enum : std::int32_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

constexpr std::int32_t kFirstByte = 3;  // <0x00> in TinyVocab::usual()

Ids encode(const Tokenizer& t, std::string_view text, bool start = false) {
    Ids ids(3 * text.size() + 3);
    std::uint32_t n = 0;
    EXPECT_EQ(llx_tokenizer_encode(t.get(), text.data(), text.size(), start, ids.data(),
                                   static_cast<std::uint32_t>(ids.size()), &n),
              0);
    ids.resize(n);
    return ids;
}

// The pieces' own texts, for readable expectations.
std::vector<std::string> pieces(const Tokenizer& t, std::string_view text, bool start = false) {
    std::vector<std::string> out;
    for (const std::int32_t id : encode(t, text, start)) {
        const char* piece = nullptr;
        const std::uint32_t n = llx_tokenizer_text(t.get(), id, &piece);
        out.emplace_back(piece, n);
    }
    return out;
}

using Pieces = std::vector<std::string>;

// "<unk>", control tokens and bytes; then what the test adds.
TinyVocab bare() {
    TinyVocab vocab = TinyVocab::usual();
    constexpr std::size_t kBare = 3 + 256;
    vocab.tokens.resize(kBare);
    vocab.scores.resize(kBare);
    vocab.types.resize(kBare);
    return vocab;
}

TEST(Tokenizer, MergesTheBestScoreFirst) {
    const Tokenizer t = load_vocab(TinyVocab::usual());
    EXPECT_EQ(pieces(t, "the memory", true), (Pieces{"\u2581the", "\u2581memory"}));
    EXPECT_EQ(pieces(t, "the", false), (Pieces{"t", "he"}));
    EXPECT_EQ(pieces(t, "there", true), (Pieces{"\u2581the", "re"}));
    EXPECT_EQ(pieces(t, "  s", true), (Pieces{"\u2581", "\u2581", "\u2581s"}));
    EXPECT_EQ(pieces(t, "", true), Pieces{});
}

TEST(Tokenizer, TakesTheLeftmostOfEqualScores) {
    TinyVocab vocab = bare();
    for (const char* piece : {"aa", "ab", "a", "b"}) {
        vocab.add(piece, 0.0F, kNormal);
    }
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(pieces(t, "aaab"), (Pieces{"aa", "ab"}));
    EXPECT_EQ(pieces(t, "aab"), (Pieces{"aa", "b"}));
    // -0 is 0, and scores are compared as numbers, not as bits.
    vocab.scores[vocab.scores.size() - 4] = -0.0F;
    EXPECT_EQ(pieces(load_vocab(vocab), "aab"), (Pieces{"aa", "b"}));
    vocab.scores[vocab.scores.size() - 4] = -2.5F;
    EXPECT_EQ(pieces(load_vocab(vocab), "aab"), (Pieces{"a", "ab"}));
    vocab.scores[vocab.scores.size() - 3] = -100.0F;
    EXPECT_EQ(pieces(load_vocab(vocab), "aab"), (Pieces{"aa", "b"}));
    vocab.scores[vocab.scores.size() - 3] = -std::numeric_limits<float>::infinity();
    EXPECT_EQ(pieces(load_vocab(vocab), "aab"), (Pieces{"aa", "b"}));
}

TEST(Tokenizer, FallsBackToBytes) {
    const Tokenizer t = load_vocab(TinyVocab::usual());
    EXPECT_EQ(encode(t, "\u00e9"), (Ids{kFirstByte + 0xc3, kFirstByte + 0xa9}));
    EXPECT_EQ(encode(t, "Z\n"), (Ids{kFirstByte + 'Z', kFirstByte + '\n'}));
    EXPECT_EQ(encode(t, std::string_view("\0", 1)), (Ids{kFirstByte}));
}

TEST(Tokenizer, TakesInvalidBytesOneByOne) {
    const Tokenizer t = load_vocab(TinyVocab::usual());
    const auto he = encode(t, "he");
    ASSERT_EQ(he.size(), 1U);
    // A lead byte that nothing follows does not swallow the text behind it.
    EXPECT_EQ(encode(t, "\xe2he"), (Ids{kFirstByte + 0xe2, he[0]}));
    EXPECT_EQ(encode(t, "\xc0\xaf"), (Ids{kFirstByte + 0xc0, kFirstByte + 0xaf}));
    EXPECT_EQ(encode(t, "\xed\xa0\x80"),
              (Ids{kFirstByte + 0xed, kFirstByte + 0xa0, kFirstByte + 0x80}));
    EXPECT_EQ(encode(t, "he\xff"), (Ids{he[0], kFirstByte + 0xff}));
    EXPECT_EQ(encode(t, "\xf0\x9f\x92"),
              (Ids{kFirstByte + 0xf0, kFirstByte + 0x9f, kFirstByte + 0x92}));
}

TEST(Tokenizer, UsesOneUnknownForARun) {
    TinyVocab vocab;
    vocab.add("<unk>", 0, kUnknown);
    vocab.add("<s>", 0, kControl);
    vocab.add("</s>", 0, kControl);
    vocab.add("a", 0, kNormal);
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(encode(t,
                     "a\u00e9xyz\xff"
                     "aq"),
              (Ids{3, 0, 3, 0}));
}

TEST(Tokenizer, NeverMakesControlTokensOutOfText) {
    TinyVocab vocab = TinyVocab::usual();
    // Merges that would lead to "</s>" if its type were not looked at.
    for (const char* piece : {"</", "s>", "<", "/", ">"}) {
        vocab.add(piece, -50.0F, kNormal);
    }
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(pieces(t, "</s>"), (Pieces{"</", "s>"}));
    std::mt19937 random(3);
    const Pieces parts = {"</s>", "<s>", "<unk>", "<0x41>", "<", "s", ">", " ", "the", "\xe2"};
    for (int round = 0; round < 2000; round++) {
        std::string text;
        for (unsigned i = 0; i < 1 + random() % 6; i++) {
            text += parts[random() % parts.size()];
        }
        for (const std::int32_t id : encode(t, text, true)) {
            ASSERT_NE(llx_tokenizer_type(t.get(), id), LLX_TOKEN_CONTROL) << text;
            ASSERT_NE(llx_tokenizer_type(t.get(), id), LLX_TOKEN_UNKNOWN) << text;
        }
    }
    EXPECT_EQ(llx_tokenizer_control(t.get(), "</s>"), 2);
    EXPECT_EQ(llx_tokenizer_control(t.get(), "<unk>"), -1);
    EXPECT_EQ(llx_tokenizer_control(t.get(), "he"), -1);
    EXPECT_EQ(llx_tokenizer_control(t.get(), ""), -1);
    EXPECT_EQ(llx_tokenizer_control(t.get(), std::string(100000, 'x').c_str()), -1);
}

TEST(Tokenizer, MatchesUserDefinedPiecesFirst) {
    TinyVocab vocab = TinyVocab::usual();
    for (const char* piece : {"<|x", "<|x|>", "th", "\u2581\u2581\u2581", "<|xyz"}) {
        vocab.add(piece, 0.0F, kUserDefined);
    }
    const Tokenizer t = load_vocab(vocab);
    // Longest first, and never merged with what is beside it.
    EXPECT_EQ(pieces(t, "<|x|>"), (Pieces{"<|x|>"}));
    EXPECT_EQ(pieces(t, "<|x|"), (Pieces{"<|x", "<0x7C>"}));
    EXPECT_EQ(pieces(t, "<|xyx"), (Pieces{"<|x", "y", "x"}));
    EXPECT_EQ(pieces(t, "the", true), (Pieces{"\u2581", "th", "e"}));
    EXPECT_EQ(pieces(t, "    s"), (Pieces{"\u2581\u2581\u2581", "\u2581s"}));
    EXPECT_EQ(decode(t, encode(t, "    s")), "    s");
}

// A user-defined piece may cut the three bytes that a space becomes, so there
// can be more symbols than bytes of text. Found by tokenizer_fuzz: the scratch
// memory was too small.
TEST(Tokenizer, HasRoomForPiecesThatCutCharacters) {
    TinyVocab vocab = bare();
    vocab.add("\xe2", 0.0F, kUserDefined);
    const Tokenizer t = load_vocab(vocab);
    const std::string spaces(1000, ' ');
    const Ids ids = encode(t, spaces, true);
    ASSERT_EQ(ids.size(), 3003U);
    EXPECT_EQ(ids[3], 259);
    EXPECT_EQ(ids[4], kFirstByte + 0x96);
    EXPECT_EQ(ids[5], kFirstByte + 0x81);
}

TEST(Tokenizer, TakesUnusedPiecesApart) {
    TinyVocab vocab = bare();
    vocab.add("ab", 3, kUnused);
    vocab.add("abc", 2, kNormal);
    vocab.add("abcd", 1, kUnused);
    for (const char* piece : {"a", "b", "c", "d"}) {
        vocab.add(piece, -1, kNormal);
    }
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(pieces(t, "ab"), (Pieces{"a", "b"}));
    EXPECT_EQ(pieces(t, "abc"), (Pieces{"abc"}));
    EXPECT_EQ(pieces(t, "abcd"), (Pieces{"abc", "d"}));
    EXPECT_EQ(pieces(t, "abd"), (Pieces{"a", "b", "d"}));
}

TEST(Tokenizer, GivesBackEveryText) {
    const Tokenizer t = load_vocab(TinyVocab::usual());
    std::mt19937 random(11);
    const Pieces parts = {"the", " ",    "  ",       "memory",  "\u00e9", "\U0001f600", "e\u0301",
                          "\n",  "\xff", "\xe2\x96", "\u2581x", "\t",     "0",          "<s>"};
    for (int round = 0; round < 2000; round++) {
        std::string text;
        for (unsigned i = 0; i < random() % 12; i++) {
            text += parts[random() % parts.size()];
        }
        std::string expected = text;
        // A U+2581 in the text cannot be told from a space, as in SentencePiece.
        for (std::size_t at; (at = expected.find("\u2581")) != std::string::npos;) {
            expected.replace(at, 3, " ");
        }
        ASSERT_EQ(decode(t, encode(t, text)), expected);
        ASSERT_EQ(decode(t, encode(t, text, true)), text.empty() ? "" : " " + expected);
    }
}

TEST(Tokenizer, KeepsToTheRoomItIsGiven) {
    const Tokenizer t = load_vocab(TinyVocab::usual());
    std::int32_t ids[4] = {-7, -7, -7, -7};
    std::uint32_t n = 99;
    EXPECT_EQ(llx_tokenizer_encode(t.get(), "xyxy", 4, false, ids, 3, &n), -E2BIG);
    EXPECT_EQ(ids[3], -7);
    EXPECT_EQ(n, 0U);
    EXPECT_EQ(llx_tokenizer_encode(t.get(), "xyxy", 4, false, ids, 4, &n), 0);
    EXPECT_EQ(n, 4U);
    EXPECT_EQ(llx_tokenizer_encode(t.get(), "x", 1, false, nullptr, 0, &n), -E2BIG);
    llx_alloc_fail_nth(1);
    EXPECT_EQ(llx_tokenizer_encode(t.get(), "xyxy", 4, false, ids, 4, &n), -ENOMEM);
    EXPECT_EQ(llx_tokenizer_encode(t.get(), "", 0, true, ids, 4, &n), 0);
    EXPECT_EQ(n, 0U);

    char out[16];
    const std::int32_t memory = encode(t, "memory", true).at(0);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), memory, out, 6), -ENOSPC);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), memory, out, 7), 7);
    EXPECT_EQ(std::string_view(out, 7), " memory");
    EXPECT_EQ(llx_tokenizer_piece(t.get(), kFirstByte + 10, out, 0), -ENOSPC);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), kFirstByte + 10, out, 1), 1);
    EXPECT_EQ(out[0], '\n');
    EXPECT_EQ(llx_tokenizer_piece(t.get(), 0, out, 0), 0);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), 2, out, 0), 0);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), -1, out, sizeof(out)), -EINVAL);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), 300, out, sizeof(out)), -EINVAL);
    EXPECT_EQ(llx_tokenizer_type(t.get(), 300), 0U);
    EXPECT_EQ(llx_tokenizer_type(t.get(), -1), 0U);
}

TEST(Tokenizer, ReadsFlagsAndDefaults) {
    GgufWriter writer;
    TinyVocab::usual().put(writer);
    LoadedTokenizer loaded = load_tokenizer(writer);
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    const llx_vocab* vocab = llx_tokenizer_vocab(loaded.tokenizer.get());
    EXPECT_EQ(vocab->n_tokens, 300U);
    EXPECT_EQ(vocab->bos, 1);
    EXPECT_EQ(vocab->eos, 2);
    EXPECT_EQ(vocab->unk, 0);
    EXPECT_TRUE(vocab->add_bos);
    EXPECT_FALSE(vocab->add_eos);
    EXPECT_TRUE(vocab->add_space_prefix);

    writer.set("tokenizer.ggml.add_bos_token", false);
    writer.set("tokenizer.ggml.add_eos_token", true);
    writer.set("tokenizer.ggml.add_space_prefix", false);
    writer.set("tokenizer.ggml.eos_token_id", std::uint32_t{1});
    loaded = load_tokenizer(writer);
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    vocab = llx_tokenizer_vocab(loaded.tokenizer.get());
    EXPECT_FALSE(vocab->add_bos);
    EXPECT_TRUE(vocab->add_eos);
    EXPECT_EQ(vocab->eos, 1);
    EXPECT_FALSE(vocab->add_space_prefix);
    EXPECT_EQ(pieces(loaded.tokenizer, "he", true), (Pieces{"he"}));
}

// What a damaged vocabulary is refused with. The place depends on how long the
// keys before it are, so it is compared apart.
void expect_refused(const GgufWriter& writer, int code, const std::string& text) {
    const LoadedTokenizer loaded = load_tokenizer(writer);
    EXPECT_EQ(loaded.code, code) << text;
    EXPECT_EQ(loaded.tokenizer, nullptr);
    std::string got = loaded.error.text;
    const std::string place = " (at byte " + std::to_string(loaded.error.offset) + ")";
    if (loaded.error.offset) {
        ASSERT_TRUE(got.ends_with(place)) << got;
        got.resize(got.size() - place.size());
    }
    EXPECT_EQ(got, text);
}

void expect_refused(const TinyVocab& vocab, int code, const std::string& text) {
    GgufWriter writer;
    vocab.put(writer);
    expect_refused(writer, code, text);
}

TEST(Tokenizer, RefusesMissingOrForeignKeys) {
    GgufWriter whole;
    TinyVocab::usual().put(whole);
    for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.tokens",
                            "tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
        GgufWriter writer = whole;
        writer.remove(key);
        expect_refused(writer, -EINVAL, std::string(key) + " is missing");
    }
    GgufWriter writer = whole;
    writer.set("tokenizer.ggml.model", "bert");
    expect_refused(writer, -ENOEXEC, "tokenizer bert is not known: llama and gpt2 are");
    writer = whole;
    writer.set("tokenizer.ggml.model", std::uint32_t{1});
    expect_refused(writer, -EINVAL, "tokenizer.ggml.model is of type u32, not string");
    writer = whole;
    writer.set("tokenizer.ggml.scores", std::vector<double>(300));
    expect_refused(writer, -EINVAL, "tokenizer.ggml.scores has elements of type f64, not f32");
    writer = whole;
    writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{300});
    expect_refused(writer, -EINVAL,
                   "tokenizer.ggml.bos_token_id is 300 but there are only 300 tokens");
    writer = whole;
    writer.set("tokenizer.ggml.add_bos_token", std::uint8_t{1});
    expect_refused(writer, -EINVAL, "tokenizer.ggml.add_bos_token is of type u8, not bool");
}

TEST(Tokenizer, RefusesDamagedVocabularies) {
    TinyVocab vocab;
    expect_refused(vocab, -EINVAL, "a vocabulary of 0 tokens: 1 to 524288 are accepted");
    vocab = TinyVocab::usual();
    vocab.scores.pop_back();
    expect_refused(vocab, -EINVAL, "300 tokens and 299 scores: they must be as many");
    vocab = TinyVocab::usual();
    vocab.types.pop_back();
    expect_refused(vocab, -EINVAL, "300 tokens and 299 types: they must be as many");
    vocab = TinyVocab::usual();
    vocab.scores[270] = std::nanf("");
    expect_refused(vocab, -EINVAL, "token 270: its score is not a number");
    vocab.scores[270] = -std::nanf("");
    expect_refused(vocab, -EINVAL, "token 270: its score is not a number");
    for (const std::int32_t type : {0, 7, -1}) {
        vocab = TinyVocab::usual();
        vocab.types[299] = type;
        expect_refused(
            vocab, -EINVAL,
            "token 299 is of unknown type " + std::to_string(static_cast<std::uint32_t>(type)));
    }
    vocab = TinyVocab::usual();
    vocab.tokens[299] = std::string(LLX_MAX_PIECE_BYTES + 1, 'y');
    expect_refused(vocab, -EINVAL, "token 299 has 513 bytes: at most 512 are accepted");
    vocab.tokens[299] = "a";
    expect_refused(vocab, -EINVAL, "tokens 275 and 299 are both a");
    for (const char* text : {"", "<0x4>", "<0x4g>", "<0xAB", "<0xab>"}) {
        vocab = TinyVocab::usual();
        vocab.tokens[kFirstByte] = text;
        expect_refused(vocab, -EINVAL,
                       "byte token 3 is " + std::string(text) + ", not <0x00> to <0xFF>");
    }
    vocab = TinyVocab::usual();
    vocab.types[kFirstByte] = kNormal;
    expect_refused(vocab, -EINVAL, "the vocabulary has 255 of 256 byte tokens");
    vocab = TinyVocab();
    vocab.add("<s>", 0, kNormal);
    vocab.add("<t>", 0, kControl);
    expect_refused(vocab, -EINVAL, "the vocabulary has neither byte tokens nor an unknown token");
    vocab.types[1] = kNormal;
    expect_refused(vocab, -EINVAL, "texts are to start or end with a token that is missing");
}

TEST(Tokenizer, AcceptsEmptyPiecesAsPadding) {
    TinyVocab vocab = TinyVocab::usual();
    vocab.add("", 0, kNormal);
    vocab.add("", 0, kUserDefined);
    vocab.add("", 0, kUnused);
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(pieces(t, "the memory", true), (Pieces{"\u2581the", "\u2581memory"}));
    EXPECT_EQ(decode(t, {300, 301, 302}), "");
}

TEST(Tokenizer, SaysSoWhenThereIsNoMemory) {
    GgufWriter writer;
    TinyVocab::usual().put(writer);
    // The parser takes one for its keys, the tokenizer two.
    const char* texts[] = {"no memory for a tokenizer", "no memory for a vocabulary of 300 tokens"};
    for (std::uint64_t nth = 2; nth <= 3; nth++) {
        llx_alloc_fail_nth(nth);
        expect_refused(writer, -ENOMEM, texts[nth - 2]);
    }
    EXPECT_EQ(llx_alloc_fail_nth(0), 3U);
}

// Texts and vocabularies chosen to make a careless implementation quadratic:
// the bound is some thousand times what they need.
TEST(Tokenizer, IsNotQuadraticInHostileText) {
    TinyVocab vocab = TinyVocab::usual();
    for (std::size_t n = 2; n <= LLX_MAX_PIECE_BYTES; n++) {
        vocab.add(std::string(n, 'z'), static_cast<float>(n), kNormal);
        vocab.add(std::string(n, 'q'), static_cast<float>(n), kUnused);
        vocab.add(std::string(n - 1, '~') + "!", 0, kUserDefined);
    }
    vocab.add("z", 0, kNormal);
    const Tokenizer t = load_vocab(vocab);
    constexpr std::size_t kBytes = 1U << 18;
    for (const char letter : {'z', 'q', '~', ' ', 'a', '\xff', '\xe2'}) {
        const auto begin = std::chrono::steady_clock::now();
        const Ids ids = encode(t, std::string(kBytes, letter), true);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        EXPECT_GT(ids.size(), kBytes / LLX_MAX_PIECE_BYTES);
        EXPECT_LT(took.count(), 30.0) << letter;
    }
}

}  // namespace
