// SPDX-License-Identifier: GPL-2.0-only
//
// Greedy text against llama.cpp's, which the scripts in parity/ recorded.
//
// With 8-bit inputs two right programs differ by a few percent of a logit, and
// where the best two logits are nearer than that either may come first. So a
// text may part from the recorded one, but only at a gap that rounding explains.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "support/engine_model.hpp"

namespace llamux::test {

inline nlohmann::json read_greedy_fixture(const char* path) {
    std::ifstream file(path);
    return nlohmann::json::parse(file);
}

inline double deviation(const std::vector<double>& x) {
    const auto n = static_cast<double>(x.size());
    const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
    double sum = 0;
    for (const double value : x)
        sum += (value - mean) * (value - mean);
    return std::sqrt(sum / n);
}

// Relative error of a logit from 8-bit inputs: 0.5 % for each of two roundings
// a layer and one more (docs/NUMERICS.md). A gap is a difference of two logits
// and two programs have their own: twice that. Three deviations.
inline double tie_of_deviation(std::uint32_t n_layer) {
    return 3 * 2 * 0.005 * std::sqrt(2.0 * n_layer + 1);
}

// Where the engine would not have gone on as llama.cpp did.
struct Parting {
    std::size_t step = 0;
    double gap = 0;  // from llama.cpp's token up to the best one
    double tie = 0;  // a gap that rounding explains
};

// All along llama.cpp's text. @prompt: of a fixture; @kind: which of its answers
inline std::vector<Parting> find_partings(const llx_model* model, const nlohmann::json& prompt,
                                          const char* kind) {
    const auto tokens = prompt["tokens"].get<std::vector<std::int32_t>>();
    const auto answer = prompt[kind]["answer"].get<std::vector<std::int32_t>>();
    std::vector<Parting> partings;
    EngineContext context(model, &llx_exec_inline);
    EXPECT_EQ(context.eval(tokens), 0);
    for (std::size_t step = 0; step < answer.size(); step++) {
        const std::vector<double> logits = context.logits();
        const double best = *std::max_element(logits.begin(), logits.end());
        const double theirs = logits[static_cast<std::size_t>(answer[step])];
        if (theirs != best)
            partings.push_back({step, best - theirs,
                                tie_of_deviation(model->hparams.n_layer) * deviation(logits)});
        EXPECT_EQ(context.eval({&answer[step], 1}), 0);
    }
    return partings;
}

struct Agreement {
    std::size_t texts = 0;  // the same to the end
    std::size_t tokens = 0;
    std::size_t all_tokens = 0;
};

// Of the answers "shipped". Each parting must be a near tie.
inline Agreement compare_texts(const llx_model* model, const nlohmann::json& prompts) {
    Agreement same;
    for (const nlohmann::json& prompt : prompts) {
        const nlohmann::json& theirs = prompt["shipped"];
        const auto partings = find_partings(model, prompt, "shipped");
        same.texts += partings.empty() ? 1 : 0;
        same.all_tokens += theirs["answer"].size();
        same.tokens += theirs["answer"].size() - partings.size();
        for (const Parting& parting : partings) {
            const double their_gap = theirs["gaps"][parting.step];
            std::printf(
                "near tie at token %zu after %s\n"
                "  gap here %.3f, in llama.cpp %.3f, rounding explains %.3f\n",
                parting.step, prompt["prompt"].dump().c_str(), parting.gap, their_gap, parting.tie);
            EXPECT_LE(parting.gap + their_gap, parting.tie) << prompt["prompt"];
        }
    }
    std::printf(
        "llama.cpp's best token is the best one at %zu of %zu places, all along %zu of %zu texts\n",
        same.tokens, same.all_tokens, same.texts, prompts.size());
    return same;
}

}  // namespace llamux::test
