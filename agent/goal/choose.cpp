// SPDX-License-Identifier: GPL-2.0-only
//
// See choose.hpp. Margin and temperature are those of kmod/engine/advise.h.
#include "goal/choose.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <optional>
#include <set>

namespace llamux {
namespace {

constexpr std::uint32_t kMarginPermille = 100;
constexpr double kTemperature = 0.125;
constexpr std::size_t kMaxText = 400;

std::set<std::string> words_of(std::string_view text) {
    std::set<std::string> words;
    std::string word;
    for (const char c : std::string(text) + " ") {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || c == '-') {
            word += static_cast<char>(std::tolower(byte));
        } else if (!word.empty()) {
            words.insert(std::exchange(word, {}));
        }
    }
    return words;
}

// The one profile that most words name; nullopt: none, or more than one.
std::optional<std::size_t> by_words(std::string_view text,
                                    const std::vector<GoalProfile>& profiles) {
    const std::set<std::string> words = words_of(text);
    std::optional<std::size_t> best;
    std::size_t most = 0;
    for (std::size_t i = 0; i < profiles.size(); i++) {
        std::size_t n = words.contains(profiles[i].name) ? 1 : 0;
        for (const std::string& word : profiles[i].words) {
            n += word != profiles[i].name && words.contains(word) ? 1 : 0;
        }
        if (n > most) {
            best = i;
            most = n;
        } else if (n == most) {
            best.reset();
        }
    }
    return best;
}

// What the person wrote is data: no line breaks, no control characters, not
// endless.
std::string prompt_for(std::string_view text) {
    std::string quoted;
    for (const char c : text.substr(0, kMaxText)) {
        quoted += static_cast<unsigned char>(c) < ' ' || c == '"' ? ' ' : c;
    }
    return "A user wants this of a computer: \"" + quoted + "\". The computer is for";
}

// Micro-nats per token of each phrase.
Result<std::vector<double>> scores_after(const std::string& prompt,
                                         const std::vector<GoalProfile>& profiles, Device& device) {
    std::vector<std::string> phrases;
    for (const GoalProfile& profile : profiles) {
        phrases.push_back(" " + profile.phrase);
    }
    const Result<std::vector<PhraseScore>> scored = device.score(prompt, phrases);
    if (!scored) {
        return scored.error();
    }
    std::vector<double> scores;
    for (const PhraseScore& score : *scored) {
        scores.push_back(static_cast<double>(score.logprob_micro_nats) /
                         std::max<std::uint32_t>(score.n_tokens, 1));
    }
    return scores;
}

Result<std::vector<std::uint32_t>> rank(std::string_view text,
                                        const std::vector<GoalProfile>& profiles, Device& device) {
    const Result<std::vector<double>> bias = scores_after(prompt_for(""), profiles, device);
    const Result<std::vector<double>> scores =
        bias ? scores_after(prompt_for(text), profiles, device) : bias;
    if (!scores) {
        return scores.error();
    }
    std::vector<double> weights;
    double sum = 0;
    double highest = -INFINITY;
    for (std::size_t i = 0; i < profiles.size(); i++) {
        highest = std::max(highest, (*scores)[i] - (*bias)[i]);
    }
    for (std::size_t i = 0; i < profiles.size(); i++) {
        const double nats = ((*scores)[i] - (*bias)[i] - highest) / 1e6;
        weights.push_back(std::exp(nats / kTemperature));
        sum += weights.back();
    }
    std::vector<std::uint32_t> permille;
    for (const double weight : weights) {
        permille.push_back(static_cast<std::uint32_t>(weight / sum * 1000 + 0.5));
    }
    return permille;
}

// Why a model can not be asked; empty: it can.
std::string no_model_because(Device* device) {
    if (!device) {
        return "without the module, by plain words";
    }
    const Result<llamux_model_info> model = device->model_info();
    if (!model) {
        return "without a model, by plain words";
    }
    // It knows facts and changes and nothing else (models/README.md).
    return std::string_view(model->format) == "pilot"
               ? "the loaded model was trained for another task; by plain words"
               : "";
}

}  // namespace

std::string_view goal_by_word(GoalBy by) {
    return by == GoalBy::kName ? "name" : by == GoalBy::kModel ? "model" : "words";
}

Result<GoalChoice> choose_goal(std::string_view text, const std::vector<GoalProfile>& profiles,
                               Device* device) {
    GoalChoice choice;
    for (std::size_t i = 0; i < profiles.size(); i++) {
        if (profiles[i].name == text) {
            choice.profile = i;
            return choice;
        }
    }
    choice.note = no_model_because(device);
    if (choice.note.empty()) {
        Result<std::vector<std::uint32_t>> permille = rank(text, profiles, *device);
        if (!permille) {
            return permille.error().in("ranking the goals");
        }
        std::vector<std::uint32_t> ordered = *permille;
        std::sort(ordered.rbegin(), ordered.rend());
        choice.probability_permille = std::move(*permille);
        if (ordered.size() < 2 || ordered[0] >= ordered[1] + kMarginPermille) {
            const auto best = std::max_element(choice.probability_permille.begin(),
                                               choice.probability_permille.end());
            choice.profile = static_cast<std::size_t>(best - choice.probability_permille.begin());
            choice.by = GoalBy::kModel;
            return choice;
        }
        choice.note = "the model is not sure; by plain words";
    }
    if (const std::optional<std::size_t> named = by_words(text, profiles)) {
        choice.profile = *named;
        choice.by = GoalBy::kWords;
        return choice;
    }
    std::string known;
    for (const GoalProfile& profile : profiles) {
        known += (known.empty() ? "" : ", ") + profile.name;
    }
    return Error{ENODATA, "it is not clear which goal is meant; say one of: " + known};
}

}  // namespace llamux
