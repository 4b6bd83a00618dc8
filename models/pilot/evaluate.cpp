// SPDX-License-Identifier: GPL-2.0-only
//
// How good is a model file? Runs the engine, as the kernel does, on scenes it
// was not trained on.
//
//   evaluate MODEL.gguf --scenes N --seed S [--held-out] [--show N] [--calibrate]
//
// advise: the rate at which the candidate that should be chosen is, by score
// and margin (llx_advise_rank). ask: the rate at which the greedy answer is,
// word for word, one of those that would be right. Per class and in all, as one
// JSON object on stdout; --show prints answers and wrong choices to stderr.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "answer.hpp"
#include "calibration.hpp"
#include "model_file.hpp"
#include "question.hpp"
#include "scene.hpp"

namespace llamux::pilot {
namespace {

constexpr u32 kContext = 1024;
constexpr u32 kAnswerTokens = 96;

constexpr const char* kCauses[] = {
#define NAME_OF(id, words) #id,
    LLAMUX_CAUSES(NAME_OF)
#undef NAME_OF
};
constexpr const char* kIntents[] = {"diagnose", "health", "suggest",     "explain",  "who",
                                    "is-it",    "goal",   "who-are-you", "greeting", "other"};

struct Rate {
    u32 right = 0;
    u32 all = 0;
};
using Rates = std::map<std::string, Rate>;

void count(Rates& rates, const std::string& name, bool right) {
    for (const auto& key : {name, std::string("all")}) {
        rates[key].right += right ? 1 : 0;
        rates[key].all += 1;
    }
}

class Evaluation {
  public:
    Evaluation(ModelFile& model, bool held_out, unsigned show)
        : model_(model), held_out_(held_out), show_(show) {}

    void advise(const Scene& scene) {
        if (scene.advice.n_candidates < 2) {
            return;
        }
        // letters in order of mention, as in service
        llamux_advice advice = scene.advice;
        llx_letters letters;
        llx_letters_assign(&letters, advice.facts, advice.n_facts);
        advice.n_candidates = llx_candidates_build(scene.snapshot.get(), advice.facts,
                                                   advice.n_facts, &letters, advice.candidates);
        if (llx_advise_rank(model_.context(), scene.snapshot.get(), &advice, nullptr, 0) != 0) {
            std::fprintf(stderr, "evaluate: ranking failed\n");
            return;
        }
        const bool right = advice.chosen == scene.advice.chosen;
        Ranking ranking{{}, scene.advice.chosen};
        for (u32 i = 0; i < advice.n_candidates; ++i) {
            ranking.nats.push_back(advice.candidates[i].score / 1e6);
        }
        rankings_.push_back(std::move(ranking));
        count(advise_, kCauses[advice.facts[0].cause], right);
        if (show_ > 0 && !right) {
            show_wrong(scene, advice);
        }
        max_tokens_ = std::max(max_tokens_, advice.n_prompt_tokens);
    }
    void ask(Random& random, const Scene& scene) {
        const Question question = make_question(random, held_out_, scene.letters.n);
        std::vector<char> buffer(LLX_PROMPT_TEXT);
        llx_prompt prompt;
        llx_prompt_init(&prompt, buffer.data(), LLX_PROMPT_TEXT);
        const auto& advice = scene.advice;
        if (llx_prompt_ask(&prompt, LLX_PROMPT_PILOT, scene.snapshot.get(), advice.facts,
                           advice.n_facts, &scene.letters, &advice.candidates[advice.chosen],
                           question.text.data(), static_cast<u32>(question.text.size())) != 0) {
            return;
        }
        const std::string answer = model_.complete(prompt, kAnswerTokens);
        std::set<std::string> right;
        for (std::uint64_t seed = 0; seed < 64; ++seed) {
            Random other(seed);
            right.insert(" " + make_answer(other, scene, question));
        }
        count(ask_, kIntents[static_cast<int>(question.intent)], right.contains(answer));
        if (show_ > 0) {
            --show_;
            std::fprintf(stderr, "%s%s %s\n\n", prompt.text, answer.c_str(),
                         right.contains(answer) ? "[right]" : "[wrong]");
        }
    }
    // A scene with one candidate is not ranked, so halves are of rankings.
    void print_calibration() const {
        const auto middle = rankings_.begin() + static_cast<std::ptrdiff_t>(rankings_.size() / 2);
        const std::vector<Ranking> first(rankings_.begin(), middle);
        const std::vector<Ranking> second(middle, rankings_.end());
        const double fitted = fit_temperature(first);
        std::printf("temperature fitted on %zu rankings: %.3f nats per token\n%s", first.size(),
                    fitted, table(reliability(second, fitted)).c_str());
        const double built_in = LLX_ADVISE_TEMPERATURE_MILLI / 1000.0;
        std::printf("at the engine's %.3f:\n%s", built_in,
                    table(reliability(second, built_in)).c_str());
    }
    void print() const {
        std::printf("{\"longest_advise_prompt_tokens\": %u", max_tokens_);
        print("advise", advise_);
        print("ask", ask_);
        std::printf("}\n");
    }

  private:
    static void show_wrong(const Scene& scene, const llamux_advice& advice) {
        std::fprintf(stderr, "%s:", kCauses[advice.facts[0].cause]);
        for (u32 i = 0; i < advice.n_candidates; ++i) {
            const auto& c = advice.candidates[i];
            std::fprintf(stderr, " %s%s%s %d/%u", i == advice.chosen ? "*" : "",
                         i == scene.advice.chosen ? "!" : "", c.phrase, c.score,
                         c.probability_permille);
        }
        std::fprintf(stderr, "\n");
    }
    static void print(const char* title, const Rates& rates) {
        std::printf(",\n \"%s\": {", title);
        for (const auto& [name, rate] : rates) {
            std::printf("%s\n  \"%s\": [%u, %u]", &name == &rates.begin()->first ? "" : ",",
                        name.c_str(), rate.right, rate.all);
        }
        std::printf("}");
    }

    ModelFile& model_;
    bool held_out_;
    unsigned show_;
    u32 max_tokens_ = 0;
    Rates advise_;
    Rates ask_;
    std::vector<Ranking> rankings_;
};

}  // namespace
}  // namespace llamux::pilot

int main(int argc, char** argv) {
    CLI::App app{"Measure a pilot model on scenes it was not trained on."};
    std::string path;
    unsigned scenes = 200;
    unsigned show = 0;
    std::uint64_t seed = 99;
    bool held_out = false;
    bool calibrate = false;
    app.add_option("model", path, "GGUF file")->required();
    app.add_option("--scenes", scenes, "scenes to try");
    app.add_option("--seed", seed, "random seed; training uses others");
    app.add_option("--show", show, "answers to print");
    app.add_flag("--held-out", held_out, "wordings that training never saw");
    app.add_flag("--calibrate", calibrate, "how much the probabilities mean");
    CLI11_PARSE(app, argc, argv);

    llamux::pilot::ModelFile model;
    if (!model.open(path, llamux::pilot::kContext)) {
        return 1;
    }
    llamux::pilot::Random random(seed);
    llamux::pilot::Evaluation evaluation(model, held_out, show);
    for (unsigned i = 0; i < scenes; ++i) {
        const auto scene = llamux::pilot::make_scene(random, 1 + i % 3 / 2);
        evaluation.advise(scene);
        if (!calibrate) {
            evaluation.ask(random, scene);
        }
    }
    if (calibrate) {
        evaluation.print_calibration();
    } else {
        evaluation.print();
    }
    return 0;
}
