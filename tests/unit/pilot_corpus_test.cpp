// SPDX-License-Identifier: GPL-2.0-only
// Catches: training text that teaches nonsense: a cause that never comes up, a
// question with a hole in it, an answer with a number or a group that the facts
// do not name, or a corpus that differs from run to run.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "answer.hpp"
#include "question.hpp"
#include "scene.hpp"

namespace {

using llamux::pilot::Intent;
using llamux::pilot::make_answer;
using llamux::pilot::make_question;
using llamux::pilot::make_scene;
using llamux::pilot::Question;
using llamux::pilot::Random;

TEST(PilotCorpus, EveryCauseComesUp) {
    Random random(1);
    std::set<u32> causes;
    for (int i = 0; i < 4000; ++i) {
        const auto scene = make_scene(random, 1 + i % 3);
        for (u32 k = 0; k < scene.advice.n_facts; ++k) {
            causes.insert(scene.advice.facts[k].cause);
        }
    }
    EXPECT_EQ(causes.size(), size_t{LLAMUX_N_CAUSES - 1});
}

TEST(PilotCorpus, HealthyMachinesHaveNoFact) {
    Random random(2);
    for (int i = 0; i < 1000; ++i) {
        EXPECT_FALSE(make_scene(random, 0).has_fact());
    }
}

TEST(PilotCorpus, QuestionsAreFilledIn) {
    Random random(3);
    std::set<std::string> wordings;
    for (int i = 0; i < 20000; ++i) {
        const auto question = make_question(random, i % 2 == 0, 2);
        EXPECT_EQ(question.text.find_first_of("()|%@"), std::string::npos) << question.text;
        EXPECT_FALSE(question.text.empty());
        EXPECT_LE(question.text.size(), LLX_QUESTION_MAX);
        wordings.insert(question.text);
    }
    EXPECT_GT(wordings.size(), 12000u);
}

TEST(PilotCorpus, AnswersNameOnlyGroupsOfTheFacts) {
    Random random(4);
    for (int i = 0; i < 5000; ++i) {
        const auto scene = make_scene(random, i % 4);
        const auto question = make_question(random, false, scene.letters.n);
        const auto answer = make_answer(random, scene, question);
        EXPECT_EQ(answer.find_first_of("0123456789?"), std::string::npos) << answer;
        for (size_t at = 0; (at = answer.find("roup ", at)) != std::string::npos; at += 5) {
            const char letter = answer[at + 5];
            const bool asked = question.subject == std::string(1, letter);
            const bool named = letter >= 'A' && static_cast<u32>(letter - 'A') < scene.letters.n;
            EXPECT_TRUE(named || asked) << answer;
        }
    }
}

TEST(PilotCorpus, BestCandidateIsACandidateOrNothing) {
    Random random(5);
    u32 nothing = 0;
    u32 something = 0;
    for (int i = 0; i < 3000; ++i) {
        const auto scene = make_scene(random, 2);
        const u32 best = llamux::pilot::best_candidate(scene);
        ASSERT_TRUE(best == 0 || best == scene.advice.n_candidates - 1);
        if (scene.advice.n_candidates > 1) {
            (best == 0 ? something : nothing) += 1;
        }
    }
    EXPECT_GT(nothing, 50u);
    EXPECT_GT(something, 1000u);
}

TEST(PilotCorpus, SameSeedSameText) {
    Random one(6);
    Random two(6);
    for (int i = 0; i < 200; ++i) {
        const auto a = make_scene(one, 2);
        const auto b = make_scene(two, 2);
        EXPECT_EQ(std::memcmp(&a.advice, &b.advice, sizeof(a.advice)), 0);
        EXPECT_EQ(make_question(one, false, 2).text, make_question(two, false, 2).text);
    }
}

}  // namespace
