// SPDX-License-Identifier: GPL-2.0-only
//
// How good is a model file? Runs the engine, as the kernel does, on scenes it
// was not trained on.
//
//   evaluate MODEL.gguf --scenes N --seed S [--held-out] [--show N]
//            [--calibrate | --fit | --permute]
//
// advise: the rate at which the candidate that should be chosen is, by score
// and margin (llx_advise_rank). ask: the rate at which the greedy answer is,
// word for word, one of those that would be right. Per class and in all, as one
// JSON object on stdout; --show prints answers and wrong choices to stderr.
// --calibrate: how much the probabilities mean; --fit: the temperature alone, in
// thousandths, for the file's llamux.rank_temperature_milli. --permute: how often
// another order of the facts, or other letters for the groups, changes the choice.
#include <CLI/CLI.hpp>
#include <algorithm>
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

// A choice by the same parts as llx_advise_rank(), with any order of the facts and
// any letters.
class Chooser {
  public:
    explicit Chooser(ModelFile& model) : model_(model), text_(LLX_PROMPT_TEXT) {}

    // Index of the candidate, in the order of the facts as they were detected.
    // n_candidates of the scene: it could not be ranked.
    u32 choose(const Scene& scene, const std::vector<u32>& order, const llx_letters& letters) {
        const auto& advice = scene.advice;
        llamux_candidate candidates[LLAMUX_MAX_CANDIDATES];
        const u32 n = llx_candidates_build(scene.snapshot.get(), advice.facts, advice.n_facts,
                                           &letters, candidates);
        const llx_model& model = model_.model();
        llx_prompt prompt;
        llx_prompt_init(&prompt, text_.data(), LLX_PROMPT_TEXT);
        llx_prompt_advise(&prompt, model.prompt_format, scene.snapshot.get(), advice.facts,
                          advice.n_facts, order.data(), &letters);
        const std::vector<s32> tokens = model_.encode(prompt);
        llx_phrase phrases[LLAMUX_MAX_CANDIDATES];
        for (u32 i = 0; i < n; ++i) {
            const std::string phrase = std::string(" ") + candidates[i].phrase;
            if (llx_tokenizer_encode(model.tokenizer, phrase.data(),
                                     static_cast<u32>(phrase.size()), false, phrases[i].tokens,
                                     LLX_MAX_PHRASE_TOKENS, &phrases[i].n_tokens) != 0) {
                return n;
            }
        }
        llx_context_truncate(model_.context(), 0);
        if (tokens.empty() ||
            llx_context_eval(model_.context(), tokens.data(), static_cast<u32>(tokens.size()),
                             true) != 0 ||
            llx_score_phrases(model_.context(), phrases, n) != 0) {
            return n;
        }
        std::vector<double> nats;
        for (u32 i = 0; i < n; ++i) {
            nats.push_back(static_cast<double>(phrases[i].logprob_micro_nats) / 1e6 /
                           phrases[i].n_tokens);
        }
        return with_margin(probabilities(nats, model.rank_temperature_milli / 1000.0));
    }

  private:
    static u32 with_margin(const std::vector<double>& p) {
        const auto best = std::max_element(p.begin(), p.end());
        double next = 0;
        for (auto it = p.begin(); it != p.end(); ++it) {
            next = it == best ? next : std::max(next, *it);
        }
        const bool clear = (*best - next) * 1000 >= LLAMUX_ADVISE_MARGIN_PERMILLE;
        return static_cast<u32>(clear ? best - p.begin() : p.end() - p.begin() - 1);
    }

    ModelFile& model_;
    std::vector<char> text_;
};

class Evaluation {
  public:
    Evaluation(ModelFile& model, bool held_out, unsigned show)
        : model_(model), held_out_(held_out), show_(show) {}

    void advise(const Scene& scene) {
        if (scene.advice.n_candidates < 2) {
            return;
        }
        llamux_advice advice = scene.advice;
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
                           advice.n_facts, scene.order, &scene.letters,
                           &advice.candidates[advice.chosen], question.text.data(),
                           static_cast<u32>(question.text.size())) != 0) {
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
    // The facts from the last to the first; then their letters in another order.
    void permute(Random& random, const Scene& scene) {
        const auto& advice = scene.advice;
        if (advice.n_candidates < 2) {
            return;
        }
        llx_letters letters = scene.letters;
        const std::vector<u32> order(scene.order, scene.order + advice.n_facts);
        Chooser chooser(model_);
        const u32 usual = chooser.choose(scene, order, letters);
        if (order.size() > 1) {
            const std::vector<u32> reversed(order.rbegin(), order.rend());
            count(permuted_, "facts", chooser.choose(scene, reversed, letters) != usual);
        }
        if (letters.n > 1) {
            const auto by = static_cast<std::ptrdiff_t>(random.between(1, letters.n - 1));
            std::rotate(letters.id, letters.id + by, letters.id + letters.n);
            count(permuted_, "letters", chooser.choose(scene, order, letters) != usual);
        }
    }
    void print_permuted() const {
        for (const char* name : {"facts", "letters"}) {
            const auto found = permuted_.find(name);
            const Rate changed = found == permuted_.end() ? Rate{} : found->second;
            std::printf("%s permuted: %u of %u choices change\n", name, changed.right, changed.all);
        }
    }
    // A scene with one candidate is not ranked, so halves are of rankings.
    std::vector<Ranking> half(bool second) const {
        const auto middle = rankings_.begin() + static_cast<std::ptrdiff_t>(rankings_.size() / 2);
        return second ? std::vector<Ranking>(middle, rankings_.end())
                      : std::vector<Ranking>(rankings_.begin(), middle);
    }
    void print_fit() const { std::printf("%.0f\n", fit_temperature(half(false)) * 1000); }
    void print_calibration() const {
        const std::vector<Ranking> first = half(false);
        const std::vector<Ranking> second = half(true);
        const double fitted = fit_temperature(first);
        std::printf("temperature fitted on %zu rankings: %.3f nats per token\n%s", first.size(),
                    fitted, table(reliability(second, fitted)).c_str());
        const double in_use = model_.model().rank_temperature_milli / 1000.0;
        std::printf("at the %.3f that are in use:\n%s", in_use,
                    table(reliability(second, in_use)).c_str());
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
    Rates permuted_;  // right: the choice was another one
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
    bool fit = false;
    bool permute = false;
    app.add_option("model", path, "GGUF file")->required();
    app.add_option("--scenes", scenes, "scenes to try");
    app.add_option("--seed", seed, "random seed; training uses others");
    app.add_option("--show", show, "answers to print");
    app.add_flag("--held-out", held_out, "wordings that training never saw");
    auto* only = app.add_option_group("measure instead");
    only->add_flag("--calibrate", calibrate, "how much the probabilities mean");
    only->add_flag("--fit", fit, "the temperature, in thousandths");
    only->add_flag("--permute", permute, "what the order of facts and letters changes");
    only->require_option(0, 1);
    CLI11_PARSE(app, argc, argv);

    llamux::pilot::ModelFile model;
    if (!model.open(path, llamux::pilot::kContext)) {
        return 1;
    }
    llamux::pilot::Random random(seed);
    llamux::pilot::Evaluation evaluation(model, held_out, show);
    for (unsigned i = 0; i < scenes; ++i) {
        auto scene = llamux::pilot::make_scene(random, 1 + i % 3 / 2);
        llamux::pilot::tell_as_service(scene);
        if (permute) {
            evaluation.permute(random, scene);
            continue;
        }
        evaluation.advise(scene);
        if (!calibrate && !fit) {
            evaluation.ask(random, scene);
        }
    }
    if (permute) {
        evaluation.print_permuted();
    } else if (fit) {
        evaluation.print_fit();
    } else if (calibrate) {
        evaluation.print_calibration();
    } else {
        evaluation.print();
    }
    return 0;
}
