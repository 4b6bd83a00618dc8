// SPDX-License-Identifier: GPL-2.0-only
// Catches: damaged or unknown byte-level BPE vocabularies that are accepted,
// control tokens out of text, lost or invented bytes, and texts that take more
// than linear time. What tokens a text has is compared in tests/golden.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine.hpp"
#include "support/loaded_tokenizer.hpp"
#include "support/tiny_model.hpp"

namespace {

using llamux::test::bpe_character;
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

Ids encode(const Tokenizer& t, std::string_view text) {
    Ids ids(text.size());
    std::uint32_t n = 0;
    EXPECT_EQ(llx_tokenizer_encode(t.get(), text.data(), text.size(), true, ids.data(),
                                   static_cast<std::uint32_t>(ids.size()), &n),
              0);
    ids.resize(n);
    return ids;
}

// All bytes and nothing else; token and byte are the same number.
TinyVocab bytes_only(const std::string& pre = "gpt-2") {
    TinyVocab vocab;
    vocab.pre = pre;
    for (unsigned byte = 0; byte < 256; byte++) {
        vocab.add(bpe_character(static_cast<unsigned char>(byte)), 0, kNormal);
    }
    return vocab;
}

TEST(BpeVocabulary, MergesByRankThenFromTheLeft) {
    TinyVocab vocab = bytes_only();
    for (const char* token : {"ab", "bc", "aa", "aab"}) {
        vocab.add(token, 0, kNormal);  // 256...
    }
    vocab.merges = {"b c", "a b", "a a", "aa b"};
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(encode(t, "abc"), (Ids{'a', 257}));
    EXPECT_EQ(encode(t, "aab"), (Ids{'a', 256}));
    EXPECT_EQ(encode(t, "aaa"), (Ids{258, 'a'}));
    EXPECT_EQ(encode(t, "ab ab"), (Ids{256, ' ', 256}));
    // Of two merges of the same pair the first counts.
    vocab.merges = {"a a", "b c", "aa b", "a b", "a a"};
    EXPECT_EQ(encode(load_vocab(vocab), "aab"), (Ids{259}));
    // No merge goes from one word into the next.
    vocab.add(bpe_character(' ') + "a", 0, kNormal);
    vocab.add("b" + bpe_character(' '), 0, kNormal);
    vocab.merges = {"b " + bpe_character(' '), bpe_character(' ') + " a"};
    EXPECT_EQ(encode(load_vocab(vocab), "b a"), (Ids{'b', 260}));
}

TEST(BpeVocabulary, TakesWholeWordsWhereLlama3Does) {
    TinyVocab vocab = bytes_only("llama-bpe");
    vocab.add("word", 0, kNormal);
    vocab.add("sword", 0, kControl);
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(encode(t, "word"), (Ids{256}));
    EXPECT_EQ(encode(t, "words"), (Ids{'w', 'o', 'r', 'd', 's'}));
    EXPECT_EQ(encode(t, "sword"), (Ids{'s', 'w', 'o', 'r', 'd'}));
    vocab.pre = "qwen2";
    EXPECT_EQ(encode(load_vocab(vocab), "word"), (Ids{'w', 'o', 'r', 'd'}));
}

TEST(BpeVocabulary, NeverMakesControlTokensOutOfText) {
    for (const char* pre : {"default", "gpt-2", "smollm", "llama-bpe", "qwen2"}) {
        const Tokenizer t = load_vocab(TinyVocab::bpe(pre));
        std::mt19937 random(3);
        const std::vector<std::string> parts = {"<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|",
                                                "|>",           "im_end",        "<|tool|>",   " "};
        for (int round = 0; round < 500; round++) {
            std::string text;
            for (unsigned i = 0; i < 1 + random() % 6; i++) {
                text += parts[random() % parts.size()];
            }
            const Ids ids = encode(t, text);
            for (const std::int32_t id : ids) {
                ASSERT_NE(llx_tokenizer_type(t.get(), id), LLX_TOKEN_CONTROL) << text;
            }
            ASSERT_EQ(decode(t, ids), text);
        }
        EXPECT_EQ(llx_tokenizer_control(t.get(), "<|im_end|>"), 2);
        EXPECT_EQ(llx_tokenizer_control(t.get(), "<|tool|>"), -1);
    }
}

TEST(BpeVocabulary, GivesBackEveryByte) {
    TinyVocab vocab = TinyVocab::bpe("llama-bpe");
    vocab.add("\u2581 literally", 0, kUserDefined);
    for (const int byte :
         {0x04, 0xc0, 0xc1, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff}) {
        vocab.add(bpe_character(static_cast<unsigned char>(byte)), 0, kNormal);
    }
    const Tokenizer t = load_vocab(vocab);
    std::mt19937 random(5);
    std::string text = "\u2581 literally";
    EXPECT_EQ(encode(t, text).size(), 1U);
    for (int round = 0; round < 300; round++) {
        EXPECT_EQ(decode(t, encode(t, text)), text);
        text.clear();
        for (unsigned i = 0; i < random() % 60; i++) {
            text += static_cast<char>(random() % 4 == 0 ? random() : " aeht\n'1"[random() % 8]);
        }
    }
    char out[10];
    const std::int32_t word = encode(t, " scheduler").at(0);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), word, out, 9), -ENOSPC);
    EXPECT_EQ(llx_tokenizer_piece(t.get(), word, out, 10), 10);
    EXPECT_EQ(std::string_view(out, 10), " scheduler");
}

TEST(BpeVocabulary, LeavesOutBytesWithoutATokenButMergesNotAcross) {
    TinyVocab vocab = bytes_only();
    vocab.tokens[4] = "[PAD4]";
    vocab.types[4] = kUnused;
    vocab.add("ab", 0, kNormal);
    vocab.merges = {"a b"};
    const Tokenizer t = load_vocab(vocab);
    EXPECT_EQ(encode(t, "a\4b"), (Ids{'a', 'b'}));
    EXPECT_EQ(encode(t, "\4"), Ids{});
    EXPECT_EQ(decode(t, {4, 256}), "[PAD4]ab");
}

TEST(BpeVocabulary, ReadsFlagsAndDefaults) {
    GgufWriter writer;
    bytes_only().put(writer);
    writer.remove("tokenizer.ggml.bos_token_id");
    writer.remove("tokenizer.ggml.eos_token_id");
    writer.set("tokenizer.ggml.add_space_prefix", true);
    LoadedTokenizer loaded = load_tokenizer(writer);
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    const llx_vocab* vocab = llx_tokenizer_vocab(loaded.tokenizer.get());
    EXPECT_EQ(vocab->bos, -1);
    EXPECT_EQ(vocab->eos, -1);
    EXPECT_EQ(vocab->unk, -1);
    EXPECT_FALSE(vocab->add_bos);
    EXPECT_FALSE(vocab->add_eos);
    EXPECT_FALSE(vocab->add_space_prefix);

    writer.set("tokenizer.ggml.pre", "llama-bpe");
    writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{7});
    loaded = load_tokenizer(writer);
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    EXPECT_TRUE(llx_tokenizer_vocab(loaded.tokenizer.get())->add_bos);
    EXPECT_EQ(llx_tokenizer_vocab(loaded.tokenizer.get())->bos, 7);
    writer.set("tokenizer.ggml.add_bos_token", false);
    loaded = load_tokenizer(writer);
    EXPECT_FALSE(llx_tokenizer_vocab(loaded.tokenizer.get())->add_bos);
}

// As in tokenizer_test: without the place in the file.
void expect_refused(const GgufWriter& writer, int code, const std::string& text) {
    const LoadedTokenizer loaded = load_tokenizer(writer);
    EXPECT_EQ(loaded.code, code) << text;
    EXPECT_EQ(loaded.tokenizer, nullptr);
    EXPECT_EQ(std::string(loaded.error.text).substr(0, text.size()), text);
}

void expect_refused(const TinyVocab& vocab, int code, const std::string& text) {
    GgufWriter writer;
    vocab.put(writer);
    expect_refused(writer, code, text);
}

TEST(BpeVocabulary, RefusesWhatItDoesNotKnow) {
    TinyVocab vocab = bytes_only("tekken");
    expect_refused(vocab, -ENOEXEC,
                   "pre-tokeniser tekken is not known: default, gpt-2, smollm, llama-bpe and qwen2 "
                   "are (at byte ");
    vocab.pre = "gpt-2x";
    expect_refused(vocab, -ENOEXEC, "pre-tokeniser gpt-2x is not known");
    GgufWriter writer;
    bytes_only().put(writer);
    writer.remove("tokenizer.ggml.pre");  // as files of 2023
    EXPECT_EQ(load_tokenizer(writer).code, 0);
    writer.set("tokenizer.ggml.pre", std::uint32_t{2});
    expect_refused(writer, -EINVAL, "tokenizer.ggml.pre is of type u32, not string");
    writer.set("tokenizer.ggml.pre", "gpt-2");
    writer.set("tokenizer.ggml.merges", std::vector<std::uint32_t>{1});
    expect_refused(writer, -EINVAL, "tokenizer.ggml.merges has elements of type u32, not string");
    writer.remove("tokenizer.ggml.merges");
    expect_refused(writer, -EINVAL, "tokenizer.ggml.merges is missing");
    writer.set("tokenizer.ggml.merges", std::vector<std::string>(LLX_MAX_MERGES + 1));
    expect_refused(writer, -EINVAL, "1048577 merges: at most 1048576 are accepted");
}

TEST(BpeVocabulary, RefusesDamagedMerges) {
    for (const std::string merge :
         {"", " ", "a", "a ", " a", "ab", "a b c", "a\tb", "a b", "b a", "a a", "a zz", "zz a"}) {
        TinyVocab vocab = bytes_only();
        vocab.add("ab", 0, kControl);
        vocab.add("ba", 0, kUnknown);
        vocab.merges = {merge};
        std::string shown = merge;
        std::replace(shown.begin(), shown.end(), '\t', '?');
        expect_refused(vocab, -EINVAL,
                       "merge 0 is " + shown + ": both parts and the whole must be tokens of text");
    }
    TinyVocab vocab = bytes_only();
    vocab.merges = {"a b"};
    vocab.merges[0].append(2 * LLX_MAX_PIECE_BYTES, 'b');
    expect_refused(vocab, -EINVAL, "merge 0 is a bbb");
    vocab = bytes_only();
    vocab.add("<0x41>", 0, kByte);
    expect_refused(vocab, -EINVAL, "token 256 is a byte token: a gpt2 vocabulary has none");
    vocab = TinyVocab();
    vocab.pre = "gpt-2";
    vocab.add("ab", 0, kNormal);
    vocab.add("ac", 0, kNormal);
    vocab.add("ad", 0, kNormal);
    vocab.add("ae", 0, kNormal);
    expect_refused(vocab, -EINVAL, "the vocabulary has no token for any byte");
}

TEST(BpeVocabulary, SaysSoWhenThereIsNoMemory) {
    GgufWriter writer;
    TinyVocab::bpe("llama-bpe").put(writer);
    for (std::uint64_t nth = 2; nth <= 3; nth++) {
        llx_alloc_fail_nth(nth);
        EXPECT_EQ(load_tokenizer(writer).code, -ENOMEM);
    }
    EXPECT_EQ(llx_alloc_fail_nth(0), 3U);
}

// Chosen to make a careless implementation quadratic: long words that merge all
// the way, long runs that every call looks through, parts of user-defined
// pieces. The bound is some hundred times what a prompt of 256 KiB needs.
TEST(BpeVocabulary, IsNotQuadraticInHostileText) {
    for (const char* pre : {"default", "gpt-2", "smollm", "llama-bpe", "qwen2"}) {
        TinyVocab vocab = bytes_only(pre);
        for (std::size_t n = 2; n <= LLX_MAX_PIECE_BYTES; n *= 2) {
            vocab.merges.push_back(std::string(n / 2, 'z') + " " + std::string(n / 2, 'z'));
            vocab.add(std::string(n, 'z'), 0, kNormal);
            vocab.add(std::string(n - 1, '~') + "!", 0, kUserDefined);
        }
        const Tokenizer t = load_vocab(vocab);
        for (const std::string unit : {"z", " ", "\n", "~", "1", "\u0661", "\u3000", "'", "\xff",
                                       "\u0661\u0662 12", " \n", "a1", "\n "}) {
            std::string text;
            while (text.size() < 1U << 18) {
                text += unit;
            }
            const auto begin = std::chrono::steady_clock::now();
            const Ids ids = encode(t, text);
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
            EXPECT_GT(ids.size(), text.size() / LLX_MAX_PIECE_BYTES / 2);
            EXPECT_LT(took.count(), 30.0) << pre << " " << testing::PrintToString(unit);
        }
    }
}

}  // namespace
