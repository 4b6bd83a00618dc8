// SPDX-License-Identifier: GPL-2.0-only
//
// Training text for the pilot model, made by the engine's own detectors,
// candidates and prompt code: what is trained on is what is asked.
//
//   generate --scenes N --seed S [--held-out] [--accept] [--choices]
//
// One scene a line on stdout, as JSON: {"samples": [{"kind": "advise",
// "class": ..., "segments": [...], "target": ..., "candidates": [...]}]}. All
// samples of a scene begin alike. Segments are those of struct llx_prompt;
// the target continues them and ends the text. --held-out: wordings that
// training never sees. --accept: with every answer that would be as good. --choices:
// as many scenes more that have the first sample only.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "answer.hpp"
#include "question.hpp"
#include "scene.hpp"

namespace llamux::pilot {
namespace {

constexpr const char* kCauses[] = {
#define NAME_OF(id, words) #id,
    LLAMUX_CAUSES(NAME_OF)
#undef NAME_OF
};
constexpr const char* kIntents[] = {"diagnose", "health", "suggest",     "explain",  "who",
                                    "is-it",    "goal",   "who-are-you", "greeting", "other"};

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
    return out + '"';
}

// A prompt with its own buffer.
struct Text {
    std::vector<char> buffer = std::vector<char>(LLX_PROMPT_TEXT);
    llx_prompt prompt{};

    Text() { llx_prompt_init(&prompt, buffer.data(), LLX_PROMPT_TEXT); }

    std::string segments() const {
        std::string out = "[";
        for (u32 i = 0; i < prompt.n_segments; ++i) {
            const auto& s = prompt.segments[i];
            out += i == 0 ? "" : ", ";
            out += json_text({prompt.text + s.offset, s.bytes});
        }
        return out + "]";
    }
};

class Writer {
  public:
    Writer(Random& random, bool held_out, bool accept)
        : r_(random), held_out_(held_out), accept_(accept) {}

    void scene() {
        const auto dice = r_.between(0, 99);
        const unsigned trouble = dice < 6 ? 0 : dice < 66 ? 1 : dice < 90 ? 2 : 3;
        const Scene scene = make_scene(r_, trouble);
        out_.clear();
        advise(scene);
        const int questions = scene.has_fact() ? 4 : 2;
        for (int i = 0; i < questions; ++i) {
            ask(scene);
        }
        flush();
    }
    // The change alone, of a machine that has more than one trouble.
    void choice() {
        out_.clear();
        advise(make_scene(r_, r_.chance(60) ? 2 : 3));
        flush();
    }
    void chat() {
        out_.clear();
        const Question question = make_small_talk(r_, held_out_);
        Text text;
        llx_prompt_chat(&text.prompt, LLX_PROMPT_PILOT, question.text.data(),
                        static_cast<u32>(question.text.size()));
        add("chat", kIntents[static_cast<int>(question.intent)], text,
            " " + make_chat_answer(r_, question), "");
        flush();
    }

  private:
    void advise(const Scene& scene) {
        const auto& advice = scene.advice;
        if (advice.n_candidates < 2) {
            return;
        }
        Text text;
        llx_prompt_advise(&text.prompt, LLX_PROMPT_PILOT, scene.snapshot.get(), advice.facts,
                          advice.n_facts, scene.order, &scene.letters);
        std::string candidates = ", \"candidates\": [";
        for (u32 i = 0; i < advice.n_candidates; ++i) {
            candidates +=
                (i == 0 ? "" : ", ") + json_text(std::string(" ") + advice.candidates[i].phrase);
        }
        add("advise", kCauses[advice.facts[0].cause], text,
            std::string(" ") + advice.candidates[advice.chosen].phrase, candidates + "]");
    }
    void ask(const Scene& scene) {
        const auto& advice = scene.advice;
        const Question question = make_question(r_, held_out_, scene.letters.n);
        Text text;
        const int ret = llx_prompt_ask(&text.prompt, LLX_PROMPT_PILOT, scene.snapshot.get(),
                                       advice.facts, advice.n_facts, scene.order, &scene.letters,
                                       &advice.candidates[advice.chosen], question.text.data(),
                                       static_cast<u32>(question.text.size()));
        if (ret == 0) {
            const std::string target = " " + make_answer(r_, scene, question);
            add("ask", kIntents[static_cast<int>(question.intent)], text, target,
                accept_ ? accepted(scene, question) : "");
        }
    }
    // Sentences are drawn at random, so many draws find all of them.
    static std::string accepted(const Scene& scene, const Question& question) {
        std::set<std::string> answers;
        for (std::uint64_t seed = 0; seed < 64; ++seed) {
            Random random(seed);
            answers.insert(" " + make_answer(random, scene, question));
        }
        std::string out = ", \"accept\": [";
        for (const auto& answer : answers) {
            out += (answer == *answers.begin() ? "" : ", ") + json_text(answer);
        }
        return out + "]";
    }
    void add(const char* kind, const char* name, const Text& text, const std::string& target,
             const std::string& more) {
        out_ += out_.empty() ? "{\"samples\": [" : ", ";
        out_ += std::string("{\"kind\": \"") + kind + "\", \"class\": \"" + name +
                "\", \"segments\": " + text.segments() + ", \"target\": " + json_text(target) +
                more + "}";
    }
    void flush() {
        if (!out_.empty()) {
            std::printf("%s]}\n", out_.c_str());
        }
    }

    Random& r_;
    bool held_out_;
    bool accept_;
    std::string out_;
};

}  // namespace
}  // namespace llamux::pilot

int main(int argc, char** argv) {
    CLI::App app{"Make training text for the pilot model."};
    unsigned scenes = 1000;
    std::uint64_t seed = 1;
    bool held_out = false;
    bool accept = false;
    bool choices = false;
    app.add_option("--scenes", scenes, "scenes to make");
    app.add_option("--seed", seed, "random seed");
    app.add_flag("--held-out", held_out, "wordings that training never sees");
    app.add_flag("--accept", accept, "with every answer that would be as good");
    app.add_flag("--choices", choices, "and as many scenes in which only the change is asked for");
    CLI11_PARSE(app, argc, argv);

    llamux::pilot::Random random(seed);
    llamux::pilot::Writer writer(random, held_out, accept);
    for (unsigned i = 0; i < scenes; ++i) {
        writer.scene();
        if (choices) {
            writer.choice();
        }
        if (i % 12 == 0) {
            writer.chat();
        }
    }
    return 0;
}
