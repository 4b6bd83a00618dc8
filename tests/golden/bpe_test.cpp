// SPDX-License-Identifier: GPL-2.0-only
// Catches: any text that the engine cuts into other tokens than llama.cpp and
// the package tokenizers do with a byte-level BPE vocabulary, and tokens that do
// not give the text back. bpe/make_fixtures.py recorded the tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "support/loaded_tokenizer.hpp"

namespace llamux::test {
namespace {

using Ids = std::vector<std::int32_t>;

struct Recorded {
    std::string text;
    std::map<std::string, Ids> tokens;  // by pre-tokeniser
};

std::string from_hex(const std::string& hex) {
    std::string text;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return text;
}

std::vector<Recorded> read_fixture(const std::string& path) {
    std::vector<Recorded> recorded;
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string key;
        words >> key;
        if (key == "text") {
            std::string hex;
            words >> hex;
            recorded.push_back({from_hex(hex), {}});
        } else if (key != "#" && !recorded.empty()) {
            Ids& ids = recorded.back().tokens[key];
            for (std::int32_t id = 0; words >> id;)
                ids.push_back(id);
        }
    }
    return recorded;
}

Ids encode(const Tokenizer& t, const std::string& text) {
    Ids ids(text.size() + 1);
    std::uint32_t n = 0;
    EXPECT_EQ(llx_tokenizer_encode(t.get(), text.data(), text.size(), true, ids.data(),
                                   static_cast<std::uint32_t>(ids.size()), &n),
              0);
    ids.resize(n);
    return ids;
}

// Bytes without a token are left out.
std::string without_missing(const Tokenizer& t, std::string text) {
    std::erase_if(text, [&](char c) { return t->byte_token[static_cast<unsigned char>(c)] < 0; });
    return text;
}

class Bpe : public testing::TestWithParam<const char*> {};

TEST_P(Bpe, CutsTextsAsLlamaCppDoes) {
    const Tokenizer t = load_vocab(TinyVocab::bpe(GetParam()));
    const std::vector<Recorded> recorded = read_fixture(LLAMUX_BPE_FIXTURES "/tokens.txt");
    ASSERT_GT(recorded.size(), 100U);
    for (const Recorded& one : recorded) {
        const Ids ids = encode(t, one.text);
        EXPECT_EQ(ids, one.tokens.at(GetParam())) << testing::PrintToString(one.text);
        EXPECT_EQ(decode(t, ids), without_missing(t, one.text));
    }
}

INSTANTIATE_TEST_SUITE_P(Pretokenizers, Bpe,
                         testing::Values("default", "gpt-2", "smollm", "llama-bpe", "qwen2"),
                         [](const testing::TestParamInfo<const char*>& pre) {
                             std::string name = pre.param;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

#ifdef LLAMUX_SMOLLM2
// A vocabulary in use: 49152 tokens, 48900 merges, 21 bytes without a token.
TEST(Smollm2, CutsTextsAsLlamaCppDoes) {
    std::ifstream file(LLAMUX_SMOLLM2, std::ios::binary);
    const Bytes bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const LoadedTokenizer loaded = load_tokenizer(bytes);
    const Tokenizer& t = loaded.tokenizer;
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    ASSERT_EQ(llx_tokenizer_vocab(t.get())->n_tokens, 49152U);
    const std::vector<Recorded> recorded = read_fixture(LLAMUX_BPE_FIXTURES "/smollm2_tokens.txt");
    ASSERT_GT(recorded.size(), 100U);
    for (const Recorded& one : recorded) {
        const Ids ids = encode(t, one.text);
        EXPECT_EQ(ids, one.tokens.at("smollm")) << testing::PrintToString(one.text);
        EXPECT_EQ(decode(t, ids), without_missing(t, one.text));
    }
}
#endif

}  // namespace
}  // namespace llamux::test
