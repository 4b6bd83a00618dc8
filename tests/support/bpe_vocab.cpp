// SPDX-License-Identifier: GPL-2.0-only
//
// TinyVocab::bpe(): what byte-level BPE vocabularies in use have, in small.
// Tokens: control, user-defined, bytes (but for some that no text has), merges
// by training, other ways to the same token (as in Llama 3's vocabulary), and
// words that no merge makes.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "support/tiny_model.hpp"

namespace llamux::test {

namespace {

enum TokenType : std::int32_t { kNormal = 1, kControl = 3, kUserDefined = 4 };

constexpr int kTrainedMerges = 360;
constexpr std::size_t kLongestTrained = 10;  // bytes

const char* const kTexts[] = {
    "The scheduler doesn't pick the task that they've slept with; it's I'll, you're, I'm, he'd.",
    "THE SCHEDULER DOESN'T PICK THE TASK THAT THEY'VE SLEPT WITH; IT'S I'LL, YOU'RE, I'M, HE'D.",
    "Group A waits 412 ms of every 1000 ms: 12345678 90 3.1415926 2026-11-27 0x1234567890abcdef",
    "    if (!page)\n\t\treturn -ENOMEM; /* nothing */\n\n\n    for (i = 0; i < n; i++) {\n  "
    "}\r\n\r\n",
    "a  b   c    d     e      f  \n  g \n\n h\t\ti   ",
    "L'\u00e9t\u00e9, les g\u00e2teaux na\u00effs co\u00fbtent 12\u00a0\u20ac; "
    "\u00ab\u00a0l\u00e0\u00a0\u00bb. \u00dcber gro\u00dfe \u00c4rger.",
    "\u0397 \u03bc\u03bd\u03ae\u03bc\u03b7 \u03b5\u03af\u03bd\u03b1\u03b9 "
    "\u03b3\u03b5\u03bc\u03ac\u03c4\u03b7. \u041f\u0430\u043c\u044f\u0442\u044c \u0438 "
    "\u0434\u0438\u0441\u043a.",
    "\u5185\u5b58\u4e0d\u8db3\uff0c\u7cfb\u7edf\u5f88\u6162\u3002\u5185\u5b58\u4e0d\u8db3\uff01 "
    "\u30e1\u30e2\u30ea\u304c\u8db3\u308a\u306a\u3044\u3002\u3000\u3000\ud55c\uad6d\uc5b4",
    "\u0661\u0662\u0663 \u0967\u0968\u0969 \u2460\u2461 \u00bd\u00bc x\u00b2\u00b3 "
    "\u0928\u092e\u0938\u094d\u0924\u0947 e\u0301e\u0301",
    "ok \U0001f600\U0001f600 good \U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 "
    "$5 + <b>~x|y^z`w` == 7 >= 3",
};

using Ids = std::vector<std::size_t>;

class Trainer {
  public:
    explicit Trainer(TinyVocab& vocab) : vocab_(vocab) {
        for (std::size_t id = 0; id < vocab.tokens.size(); id++)
            ids_[vocab.tokens[id]] = id;
        for (const char* text : kTexts) {
            for (const char* c = text; *c != 0; c++)
                sequence_.push_back(ids_.at(bpe_character(static_cast<unsigned char>(*c))));
        }
    }

    // The most frequent pair becomes a token; of several the lowest.
    bool merge_one() {
        std::map<std::pair<std::size_t, std::size_t>, int> counts;
        for (std::size_t i = 0; i + 1 < sequence_.size(); i++)
            counts[{sequence_[i], sequence_[i + 1]}]++;
        std::pair<std::size_t, std::size_t> best;
        int most = 1;
        for (const auto& [pair, count] : counts) {
            const std::string whole = vocab_.tokens[pair.first] + vocab_.tokens[pair.second];
            if (count > most && whole.size() <= kLongestTrained && ids_.count(whole) == 0) {
                best = pair;
                most = count;
            }
        }
        if (most == 1)
            return false;
        vocab_.merges.push_back(vocab_.tokens[best.first] + " " + vocab_.tokens[best.second]);
        const std::size_t id = add(vocab_.tokens[best.first] + vocab_.tokens[best.second]);
        Ids merged;
        for (std::size_t i = 0; i < sequence_.size(); i++) {
            const bool here =
                i + 1 < sequence_.size() && std::pair{sequence_[i], sequence_[i + 1]} == best;
            merged.push_back(here ? id : sequence_[i]);
            i += here ? 1 : 0;
        }
        sequence_ = std::move(merged);
        return true;
    }

    // Every other pair of tokens that makes a token, last.
    void add_other_ways() {
        const std::set<std::string> known(vocab_.merges.begin(), vocab_.merges.end());
        for (const std::string& token : vocab_.tokens) {
            for (std::size_t at = 1; at < token.size(); at++) {
                const std::string left = token.substr(0, at);
                const std::string right = token.substr(at);
                if (is_merged(left) && is_merged(right) && is_merged(token) &&
                    known.count(left + " " + right) == 0)
                    vocab_.merges.push_back(left + " " + right);
            }
        }
    }

    std::size_t add(const std::string& token) {
        vocab_.add(token, 0, kNormal);
        return ids_[token] = vocab_.tokens.size() - 1;
    }

  private:
    bool is_merged(const std::string& token) const {
        const auto found = ids_.find(token);
        return found != ids_.end() && vocab_.types[found->second] == kNormal;
    }

    TinyVocab& vocab_;
    std::map<std::string, std::size_t> ids_;
    Ids sequence_;
};

bool has_token(unsigned byte) {
    return byte != 0x04 && byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
}

}  // namespace

std::string bpe_character(unsigned char byte) {
    const auto is_shown = [](unsigned b) {
        return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
    };
    unsigned point = byte;
    if (!is_shown(byte)) {
        point = 256;
        for (unsigned before = 0; before < byte; before++)
            point += is_shown(before) ? 0 : 1;
    }
    if (point < 0x80)
        return {static_cast<char>(point)};
    return {static_cast<char>(0xc0 | point >> 6), static_cast<char>(0x80 | (point & 0x3f))};
}

TinyVocab TinyVocab::bpe(const std::string& pre) {
    TinyVocab vocab;
    vocab.pre = pre;
    for (const char* token : {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>",
                              "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"})
        vocab.add(token, 0, kControl);
    for (const char* token : {"<|tool|>", "<|tool", "     ", "lept"})
        vocab.add(token, 0, kUserDefined);
    for (unsigned byte = 0; byte < 256; byte++) {
        if (has_token(byte))
            vocab.add(bpe_character(static_cast<unsigned char>(byte)), 0, kNormal);
    }
    Trainer trainer(vocab);
    for (int i = 0; i < kTrainedMerges && trainer.merge_one(); i++) {
    }
    for (const char* word : {"\u0120scheduler", "doesn", "\u0120nothing", "\u0120every"})
        trainer.add(word);
    trainer.add_other_ways();
    return vocab;
}

}  // namespace llamux::test
