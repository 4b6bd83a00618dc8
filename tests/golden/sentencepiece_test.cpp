// SPDX-License-Identifier: GPL-2.0-only
// Catches: any text that the engine's tokenizer cuts otherwise than the
// sentencepiece library does. Vocabularies are trained here, in several
// flavours, so that nothing binary has to be kept; the texts are pieces of the
// corpus mixed with what tokenizers stumble over.
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/loaded_tokenizer.hpp"

namespace {

using llamux::test::GgufWriter;
using llamux::test::load_tokenizer;
using llamux::test::LoadedTokenizer;
using llamux::test::Tokenizer;
using Ids = std::vector<int>;

const std::vector<std::string> kCorpus = {
    "The scheduler picks the task with the smallest virtual run time.",
    "Group A waits 412 ms of every second for a processor; group B uses 97 % of it.",
    "Lower cpu.weight of group B from 100 to 25, then measure again for 10 seconds.",
    "memory.high is not a limit: above it tasks reclaim before they go on.",
    "    if (!page)\n\t\treturn -ENOMEM; /* nothing was changed */",
    "for (i = 0; i < n; i++) { sum += x[i] * y[i]; }",
    "Why is the service slow? Because the disk is busy: 38 ms a request, 2 ms usually.",
    "Der Rechner tauscht Seiten aus, w\u00e4hrend der Dienst auf die Platte wartet.",
    "L'ordinateur \u00e9change des pages pendant que le service attend.",
    "\u0397 \u03bc\u03bd\u03ae\u03bc\u03b7 \u03b5\u03af\u03bd\u03b1\u03b9 "
    "\u03b3\u03b5\u03bc\u03ac\u03c4\u03b7.",
    "\u0421\u0438\u0441\u0442\u0435\u043c\u0430 \u0436\u0434\u0451\u0442 "
    "\u0434\u0438\u0441\u043a\u0430.",
    "\u5185\u5b58\u4e0d\u8db3\uff0c\u7cfb\u7edf\u5f88\u6162\u3002",
    "ok \U0001f600 good \U0001f44d\U0001f3fd fine \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "<|user|> what now </s> <|assistant|> nothing <s>",
    "a  b   c    d     e      f",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbb",
};

// Not in the corpus: unknown characters, lone and wrong UTF-8, long runs.
const std::vector<std::string> kStumbles = {" ",
                                            "  ",
                                            "\n",
                                            "\t",
                                            "\r\n",
                                            std::string(70, ' '),
                                            std::string(300, 'a'),
                                            std::string(100, '\n'),
                                            std::string(1, '\0'),
                                            "\u2581",
                                            "\u2581\u2581",
                                            "\u00a0",
                                            "\u200b",
                                            "e\u0301",
                                            "\u0301\u0301",
                                            "\ufb01",
                                            "\ufeff",
                                            "\uffff",
                                            "\ufffe",
                                            "\U0001f9ff",
                                            "\U0010ffff",
                                            "\u0e01\u0e33",
                                            "<0x41>",
                                            "<unk>",
                                            "<s>",
                                            "</s>",
                                            "<|user|>",
                                            "<|user|",
                                            "ab",
                                            "abc",
                                            "bcd",
                                            "\x80",
                                            "\xff",
                                            "\xc0\x80",
                                            "\xc3",
                                            "\xe2\x96",
                                            "\xed\xa0\x80",
                                            "\xf0\x9f\x98",
                                            "\xf4\x90\x80\x80",
                                            "\xf8\x88\x80\x80\x80",
                                            "Z",
                                            "0123456789",
                                            "\u00c4\u00d6\u00dc"};

class Lines : public sentencepiece::SentenceIterator {
  public:
    Lines() {
        // Often enough that pairs are worth merging.
        for (int round = 0; round < 5; round++) {
            lines_.insert(lines_.end(), kCorpus.begin(), kCorpus.end());
        }
    }
    bool done() const override { return next_ == lines_.size(); }
    void Next() override { next_++; }
    const std::string& value() const override { return lines_[next_]; }
    sentencepiece::util::Status status() const override { return {}; }

  private:
    std::vector<std::string> lines_;
    std::size_t next_ = 0;
};

using Options = std::unordered_map<std::string, std::string>;

// A vocabulary in the library and in the engine.
class Pair {
  public:
    Pair(Options options, const std::vector<std::string>& user_defined, bool unused)
        : space_prefix_(options["add_dummy_prefix"] != "false") {
        if (space_prefix_) {
            options["add_dummy_prefix"] = "true";
        }
        options["model_type"] = "bpe";
        options["normalization_rule_name"] = "identity";
        options["remove_extra_whitespaces"] = "false";
        options["minloglevel"] = "2";
        for (const std::string& symbol : user_defined) {
            std::string& list = options["user_defined_symbols"];
            list += (list.empty() ? "" : ",") + symbol;
        }
        Lines lines;
        std::string model;
        auto status = sentencepiece::SentencePieceTrainer::Train(options, &lines, &model);
        if (!status.ok()) {
            throw std::runtime_error(status.ToString());
        }
        status = library_.LoadFromSerializedProto(model);
        if (!status.ok()) {
            throw std::runtime_error(status.ToString());
        }
        types_ = read_types(user_defined, unused);
        load_engine();
    }

    Ids by_library(const std::string& text) const { return library_.EncodeAsIds(text); }

    Ids by_engine(const std::string& text) const {
        Ids ids(3 * text.size() + 4);
        std::uint32_t n = 0;
        const int code =
            llx_tokenizer_encode(engine_.get(), text.data(), text.size(), true, ids.data(),
                                 static_cast<std::uint32_t>(ids.size()), &n);
        EXPECT_EQ(code, 0);
        ids.resize(n);
        return ids;
    }

    long pieces_of_type(std::int32_t type) const {
        return std::count(types_.begin(), types_.end(), type);
    }
    const sentencepiece::SentencePieceProcessor& library() const { return library_; }

  private:
    std::vector<std::int32_t> read_types(const std::vector<std::string>& user_defined,
                                         bool unused) {
        std::vector<std::int32_t> types;
        std::vector<std::string> valid;
        for (int id = 0; id < library_.GetPieceSize(); id++) {
            const std::string& piece = library_.IdToPiece(id);
            types.push_back(library_.IsUnknown(id)   ? LLX_TOKEN_UNKNOWN
                            : library_.IsControl(id) ? LLX_TOKEN_CONTROL
                            : library_.IsByte(id)    ? LLX_TOKEN_BYTE
                                                     : LLX_TOKEN_NORMAL);
            // A space in a user-defined symbol is kept as U+2581.
            std::string plain = piece;
            for (std::size_t at; (at = plain.find("\u2581")) != std::string::npos;) {
                plain.replace(at, 3, " ");
            }
            if (std::find(user_defined.begin(), user_defined.end(), plain) != user_defined.end() ||
                std::find(user_defined.begin(), user_defined.end(), piece) != user_defined.end()) {
                types.back() = LLX_TOKEN_USER_DEFINED;
            }
            if (id % 3 != 0) {
                valid.push_back(piece);
            }
        }
        if (!unused) {
            return types;
        }
        const std::vector<absl::string_view> views(valid.begin(), valid.end());
        EXPECT_TRUE(library_.SetVocabulary(views).ok());
        for (int id = 0; id < library_.GetPieceSize(); id++) {
            auto& type = types[static_cast<std::size_t>(id)];
            if (type == LLX_TOKEN_NORMAL && library_.IsUnused(id)) {
                type = LLX_TOKEN_UNUSED;
            }
        }
        return types;
    }

    void load_engine() {
        std::vector<std::string> tokens;
        std::vector<float> scores;
        for (int id = 0; id < library_.GetPieceSize(); id++) {
            tokens.push_back(library_.IdToPiece(id));
            scores.push_back(library_.GetScore(id));
        }
        GgufWriter writer;
        writer.set("tokenizer.ggml.model", "llama");
        writer.set("tokenizer.ggml.tokens", tokens);
        writer.set("tokenizer.ggml.scores", scores);
        writer.set("tokenizer.ggml.token_type", types_);
        writer.set("tokenizer.ggml.add_space_prefix", space_prefix_);
        LoadedTokenizer loaded = load_tokenizer(writer);
        EXPECT_EQ(loaded.code, 0) << loaded.error.text;
        engine_ = std::move(loaded.tokenizer);
    }

    sentencepiece::SentencePieceProcessor library_;
    Tokenizer engine_;
    bool space_prefix_;
    std::vector<std::int32_t> types_;
};

// Bytes of the UTF-8 character at @at, 0 if there is none: RFC 3629, written
// apart from the engine's own.
std::size_t character_bytes(std::string_view text, std::size_t at) {
    static const struct {
        unsigned char low, high, second_low, second_high;
        std::size_t n;
    } kForms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                  {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                  {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                  {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    const auto byte = [&](std::size_t i) {
        return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
    };
    if (byte(0) < 0x80) {
        return 1;
    }
    for (const auto& form : kForms) {
        if (byte(0) >= form.low && byte(0) <= form.high && byte(1) >= form.second_low &&
            byte(1) <= form.second_high && (form.n < 3 || (byte(2) & 0xc0) == 0x80) &&
            (form.n < 4 || (byte(3) & 0xc0) == 0x80)) {
            return form.n;
        }
    }
    return 0;
}

// What the engine is to give: the library's ids, but for bytes that are no
// UTF-8. There the library has U+FFFD, the engine the byte itself.
Ids expected_ids(const Pair& pair, const std::string& text) {
    const Ids ids = pair.by_library(text);
    const auto byte_id = [&](unsigned byte) {
        char piece[16];
        std::snprintf(piece, sizeof(piece), "<0x%02X>", byte);
        return pair.library().PieceToId(piece);
    };
    const int replacement[] = {byte_id(0xef), byte_id(0xbf), byte_id(0xbd)};
    if (pair.library().IsUnknown(replacement[0])) {
        return ids;
    }
    // For each U+FFFD of the normalised text: the byte it stands for, or -1.
    std::vector<int> replaced;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t n = character_bytes(text, at);
        if (n == 0) {
            replaced.push_back(static_cast<unsigned char>(text[at]));
        } else if (text.compare(at, n, "\ufffd") == 0) {
            replaced.push_back(-1);
        }
        at += std::max<std::size_t>(n, 1);
    }
    Ids out;
    std::size_t next = 0;
    for (std::size_t i = 0; i < ids.size(); i++) {
        if (i + 2 < ids.size() && std::equal(replacement, replacement + 3,
                                             ids.begin() + static_cast<std::ptrdiff_t>(i))) {
            EXPECT_LT(next, replaced.size());
            const int byte = next < replaced.size() ? replaced[next] : -1;
            next++;
            if (byte >= 0) {
                out.push_back(byte_id(static_cast<unsigned>(byte)));
                i += 2;
                continue;
            }
        }
        out.push_back(ids[i]);
    }
    EXPECT_EQ(next, replaced.size());
    return out;
}

std::string random_text(std::mt19937& random) {
    std::string text;
    for (unsigned i = 0, n = random() % 8; i < n; i++) {
        switch (random() % 4) {
            case 0:
                text += kStumbles[random() % kStumbles.size()];
                break;
            case 1: {
                // Cut anywhere, so also inside characters.
                const std::string& line = kCorpus[random() % kCorpus.size()];
                const std::size_t at = random() % line.size();
                text += line.substr(at, random() % 20);
                break;
            }
            case 2:
                text += static_cast<char>(random());
                break;
            default:
                text += static_cast<char>(' ' + random() % 95);
        }
    }
    return text;
}

void compare_all(const Pair& pair, unsigned seed) {
    ASSERT_FALSE(::testing::Test::HasFailure());
    const auto compare = [&](const std::string& text) {
        ASSERT_EQ(pair.by_engine(text), expected_ids(pair, text)) << ::testing::PrintToString(text);
    };
    for (const std::string& line : kCorpus) {
        compare(line);
    }
    for (const std::string& text : kStumbles) {
        compare(text);
    }
    std::mt19937 random(seed);
    for (int round = 0; round < 20000 && !::testing::Test::HasFailure(); round++) {
        compare(random_text(random));
    }
    // One long text, near the largest prompt.
    std::string text;
    while (text.size() < 60000) {
        text += random_text(random);
    }
    compare(text);
}

// A small vocabulary with byte fallback, unless @more says otherwise.
Options with(Options more) {
    more.merge(
        Options{{"vocab_size", "640"}, {"byte_fallback", "true"}, {"character_coverage", "0.99"}});
    return more;
}

TEST(SentencePiece, WithByteFallback) {
    compare_all(Pair(with({}), {}, false), 1);
}

TEST(SentencePiece, WithoutSpacePrefix) {
    compare_all(Pair(with({{"add_dummy_prefix", "false"}}), {}, false), 2);
}

TEST(SentencePiece, WithPiecesAcrossSpaces) {
    const Options across = {{"split_by_whitespace", "false"},
                            {"split_by_unicode_script", "false"},
                            {"split_by_number", "false"}};
    compare_all(Pair(with(across), {}, false), 3);
}

TEST(SentencePiece, WithUserDefinedPieces) {
    const Pair pair(with({}), {"<|user|>", "<|user", "ab", "abc", "   ", "\u0301", "for"}, false);
    ASSERT_EQ(pair.pieces_of_type(LLX_TOKEN_USER_DEFINED), 7);
    compare_all(pair, 4);
}

TEST(SentencePiece, WithUnusedPieces) {
    const Pair pair(with({}), {"ab"}, true);
    ASSERT_GT(pair.pieces_of_type(LLX_TOKEN_UNUSED), 50);
    compare_all(pair, 5);
}

TEST(SentencePiece, WithoutByteFallback) {
    const Options none = {{"vocab_size", "384"}, {"byte_fallback", "false"}};
    compare_all(Pair(with(none), {}, false), 6);
}

}  // namespace
