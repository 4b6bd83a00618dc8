// SPDX-License-Identifier: GPL-2.0-only
//
// The engine's most likely continuations, to compare with those of the trainer.
//
//   complete MODEL.gguf < PROMPTS
//
// One JSON object a line in, of which only "segments" matters (see
// generate.cpp); one line out: {"prompt": [token...], "answer": [token...]}.
//
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "model_file.hpp"

namespace llamux::pilot {
namespace {

constexpr u32 kContext = 1024;
constexpr u32 kAnswerTokens = 96;

int run(const char* path) {
    ModelFile model;
    if (!model.open(path, kContext)) {
        return 1;
    }
    for (std::string line; std::getline(std::cin, line);) {
        const auto request = nlohmann::json::parse(line);
        std::string text;
        llx_prompt prompt{};
        for (const auto& segment : request.at("segments")) {
            const auto part = segment.get<std::string>();
            auto& s = prompt.segments[prompt.n_segments++];
            s.kind = LLX_SEGMENT_TEXT;
            s.offset = static_cast<u32>(text.size());
            s.bytes = static_cast<u32>(part.size());
            text += part;
        }
        prompt.text = text.data();
        prompt.bytes = static_cast<u32>(text.size());
        const auto tokens = model.encode(prompt);
        const auto answer = model.complete_tokens(tokens, kAnswerTokens);
        const nlohmann::json out = {{"prompt", tokens}, {"answer", answer}};
        std::cout << out.dump() << "\n";
    }
    return 0;
}

}  // namespace
}  // namespace llamux::pilot

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: complete MODEL.gguf < PROMPTS\n");
        return 2;
    }
    return llamux::pilot::run(argv[1]);
}
