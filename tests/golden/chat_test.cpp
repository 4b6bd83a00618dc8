// SPDX-License-Identifier: GPL-2.0-only
// Catches: chat templates that are taken for another family's, and prompts that
// differ from what the template would have written, in text or in tokens.
// chat/make_fixtures.py rendered the templates with Jinja.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/model_file.hpp"

namespace llamux::test {
namespace {

using Ids = std::vector<std::int32_t>;

struct Chat {
    std::string user;
    std::string prompt;
    Ids tokens;
};

struct Family {
    std::string name;
    std::string jinja;
    std::vector<Chat> chats;
};

std::string from_hex(const std::string& hex) {
    std::string text;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return text;
}

std::vector<Family> read_fixture() {
    std::vector<Family> families;
    std::ifstream file(LLAMUX_CHAT_FIXTURE);
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string key;
        std::string first;
        std::string second;
        words >> key >> first >> second;
        if (key == "template")
            families.push_back({first, from_hex(second), {}});
        if (key != "chat")
            continue;
        Chat chat = {from_hex(first), from_hex(second), {}};
        for (std::int32_t id = 0; words >> id;)
            chat.tokens.push_back(id);
        families.back().chats.push_back(chat);
    }
    return families;
}

LoadedModel model_of(const Family& family) {
    TinyModel tiny;
    if (family.name == "chatml")
        tiny.vocab = TinyVocab::bpe("smollm");
    if (family.name == "llama-3")
        tiny.vocab = TinyVocab::bpe("llama-bpe");
    GgufWriter writer = tiny.build();
    writer.set("tokenizer.chat_template", family.jinja);
    const Bytes file = writer.bytes();
    std::string error;
    LoadedModel model = load_model(file, llx_kernels_select(0, "generic"), error);
    EXPECT_NE(model, nullptr) << error;
    return model;
}

TEST(ChatTemplate, WritesWhatTheFamilysOwnTemplateWrites) {
    const std::vector<Family> families = read_fixture();
    ASSERT_EQ(families.size(), 4U);
    for (const Family& family : families) {
        const LoadedModel model = model_of(family);
        ASSERT_NE(model, nullptr);
        EXPECT_EQ(llx_prompt_format_names[model->prompt_format], family.name);
        ASSERT_EQ(family.chats.size(), 2U);
        for (const Chat& chat : family.chats) {
            std::vector<char> text(LLX_PROMPT_TEXT);
            llx_prompt prompt = {};
            llx_prompt_init(&prompt, text.data(), LLX_PROMPT_TEXT);
            ASSERT_EQ(llx_prompt_chat(&prompt, model->prompt_format, chat.user.data(),
                                      static_cast<u32>(chat.user.size())),
                      0);
            EXPECT_EQ(std::string(prompt.text), chat.prompt);
            Ids tokens(LLX_PROMPT_TEXT);
            u32 n = 0;
            ASSERT_EQ(llx_prompt_encode(&prompt, model->tokenizer, tokens.data(), LLX_PROMPT_TEXT,
                                        &n, nullptr),
                      0);
            tokens.resize(n);
            EXPECT_EQ(tokens, chat.tokens) << family.name;
        }
    }
}

// An answer ends where the assistant's turn does, though eos may be another.
TEST(ChatTemplate, EndsAnAnswerWithTheTurn) {
    for (const Family& family : read_fixture()) {
        const LoadedModel model = model_of(family);
        ASSERT_NE(model, nullptr);
        const bool spm = family.name == "zephyr" || family.name == "llama-2";
        const char* end = spm ? "</s>" : family.name == "chatml" ? "<|im_end|>" : "<|eot_id|>";
        const auto is_end = [&](const char* token) {
            return llx_prompt_is_end(model->prompt_format, model->tokenizer,
                                     llx_tokenizer_control(model->tokenizer, token));
        };
        EXPECT_TRUE(is_end(end)) << family.name;
        EXPECT_TRUE(is_end(spm ? "</s>" : "<|endoftext|>")) << family.name;
        EXPECT_FALSE(is_end(spm ? "<s>" : "<|im_start|>")) << family.name;
    }
}

// Phi 3's, Mistral's and half a template: a guess would ruin every answer.
TEST(ChatTemplate, IsRefusedIfUnknownUnlessOneIsChosen) {
    GgufWriter writer = TinyModel().build();
    const auto load = [&](llx_prompt_format format, llx_error& error) {
        const Bytes file = writer.bytes();
        const llx_reader reader = {
            const_cast<Bytes*>(&file), file.size(), [](void* ctx, u64 offset, void* to, size_t n) {
                std::memcpy(to, static_cast<Bytes*>(ctx)->data() + offset, n);
                return 0;
            }};
        llx_model* model = nullptr;
        llx_model_load(&model, &reader, llx_kernels_select(0, "generic"), &llx_exec_inline, 0,
                       format, &error);
        return LoadedModel(model);
    };
    for (const char* text : {"<|user|><|assistant|><|end|>", "[INST] [/INST]", "<|user|>", "x"}) {
        writer.set("tokenizer.chat_template", text);
        llx_error error = {};
        EXPECT_EQ(load(LLX_PROMPT_BY_FILE, error), nullptr);
        EXPECT_EQ(error.code, -ENOEXEC);
        EXPECT_TRUE(std::string(error.text)
                        .starts_with("tokenizer.chat_template is not known: choose plain, zephyr, "
                                     "chatml, llama-2 or llama-3 when loading"))
            << error.text;
        for (const auto format : {LLX_PROMPT_PLAIN, LLX_PROMPT_ZEPHYR, LLX_PROMPT_LLAMA2}) {
            const LoadedModel model = load(format, error);
            ASSERT_NE(model, nullptr);
            EXPECT_EQ(model->prompt_format, format);
        }
    }
    llx_error error = {};
    EXPECT_EQ(load(LLX_PROMPT_LLAMA3, error), nullptr);
    EXPECT_EQ(error.code, -ENOEXEC);
    EXPECT_STREQ(error.text,
                 "prompts in the format llama-3 need the control token <|start_header_id|>: choose "
                 "another when loading");
}

}  // namespace
}  // namespace llamux::test
