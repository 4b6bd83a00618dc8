// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: an action that is proposed for ever though it never helped here, a helpful
// one that is lost, an effect that is counted twice, and experience that does not
// outlive its process or can not be given up.
#include <gtest/gtest.h>

#include <cerrno>

#include "advise/advise.hpp"
#include "core/experience.hpp"
#include "support/loop_fixture.hpp"

namespace llamux {
namespace {

constexpr std::uint64_t kWeekNs = 7 * 86400 * kNsPerSecond;

// Of a lower cpu.weight against a CPU hog.
Change ended(Verdict verdict, std::uint64_t wall_ns = kWeekNs) {
    Change change;
    change.plan.target.kind = LLAMUX_ACTION_CPU_WEIGHT;
    change.plan.direction = LLAMUX_LOWER;
    change.plan.fact.cause = LLAMUX_CAUSE_CPU_CONTENTION;
    change.plan.fact.level = 2;
    change.state = verdict == Verdict::kImproved ? EntryType::kKept : EntryType::kUndone;
    change.effect = Effect{};
    change.effect->verdict = verdict;
    change.effect->metric = Metric::kPsiCpuSome;
    change.last_wall_ns = wall_ns;
    return change;
}

Experience after(Verdict verdict, int n) {
    Experience experience;
    for (int i = 0; i < n; i++) {
        learn(experience, ended(verdict));
    }
    return experience;
}

Outcomes known(const Experience& experience, std::uint64_t now_wall_ns = kWeekNs) {
    return outcomes_of(experience, LLAMUX_CAUSE_CPU_CONTENTION, LLAMUX_ACTION_CPU_WEIGHT,
                       LLAMUX_LOWER, now_wall_ns);
}

// Lower the hog's weight, raise the victim's, no change.
Suggestion ranked(std::uint32_t by, std::vector<std::uint32_t> permille) {
    Suggestion suggestion;
    suggestion.ranked_by = by;
    suggestion.wall_ns = kWeekNs;
    suggestion.facts.resize(1);
    suggestion.facts[0].cause = LLAMUX_CAUSE_CPU_CONTENTION;
    suggestion.candidates.resize(3);
    for (std::size_t i = 0; i < 3; i++) {
        suggestion.candidates[i].probability_permille = permille[i];
    }
    suggestion.candidates[0].kind = LLAMUX_ACTION_CPU_WEIGHT;
    suggestion.candidates[0].direction = LLAMUX_LOWER;
    suggestion.candidates[1] = suggestion.candidates[0];
    suggestion.candidates[1].probability_permille = permille[1];
    suggestion.candidates[1].direction = LLAMUX_RAISE;
    suggestion.id = suggestion_id(suggestion.candidates[0]);
    return suggestion;
}

TEST(Experience, WhatDidNotHelpWeighsLess) {
    EXPECT_EQ(Outcomes{}.weight_permille(), 1000u);
    EXPECT_EQ((Outcomes{3, 3, 0}).weight_permille(), 1000u);
    EXPECT_EQ((Outcomes{4, 1, 0}).weight_permille(), 500u);
    EXPECT_EQ((Outcomes{3, 0, 0}).weight_permille(), 400u);
    EXPECT_EQ((Outcomes{1, 0, 1}).weight_permille(), 500u) << "worse counts as two";
    EXPECT_FALSE((Outcomes{2, 0, 0}).speaks_against());
    EXPECT_TRUE((Outcomes{3, 0, 0}).speaks_against());
    EXPECT_TRUE((Outcomes{2, 0, 2}).speaks_against());
}

TEST(Experience, CountsByCauseKnobAndDirection) {
    Experience experience = after(Verdict::kNoEffect, 2);
    learn(experience, ended(Verdict::kImproved));
    learn(experience, ended(Verdict::kWorse));
    Change other = ended(Verdict::kNoEffect);
    other.plan.direction = LLAMUX_RAISE;
    learn(experience, other);
    other.plan.fact.cause = LLAMUX_CAUSE_FORK_STORM;
    learn(experience, other);
    EXPECT_EQ(experience.size(), 3u);
    EXPECT_EQ(known(experience), (Outcomes{4, 1, 1}));
}

TEST(Experience, OldOnesFade) {
    const Experience experience = after(Verdict::kNoEffect, 3);
    EXPECT_EQ(known(experience, 2 * kWeekNs - 1).tried, 3u);
    EXPECT_EQ(known(experience, 2 * kWeekNs).tried, 1u);
    EXPECT_EQ(known(experience, 1000 * kWeekNs), Outcomes{});
    EXPECT_EQ(known(experience, 0).tried, 3u) << "a clock that was set back";
    Experience often = after(Verdict::kImproved, 17);
    EXPECT_EQ(known(often), (Outcomes{8, 8, 0}));
}

TEST(Experience, OnlyAMeasuredEffectOnTroubleThatWasSeenTeaches) {
    EXPECT_TRUE(teaches(ended(Verdict::kImproved)));
    EXPECT_TRUE(teaches(ended(Verdict::kNoEffect)));
    Change change = ended(Verdict::kWorse);
    change.state = EntryType::kFrozen;
    EXPECT_FALSE(teaches(change)) << "taken over by someone";
    change.state = EntryType::kGone;
    EXPECT_FALSE(teaches(change)) << "its group went away";
    change.plan.reversible = false;
    EXPECT_TRUE(teaches(change)) << "ended as far as it can be";
    change = ended(Verdict::kImproved);
    change.state = EntryType::kUndone;
    EXPECT_FALSE(teaches(change)) << "taken back, whatever it did";
    change = ended(Verdict::kNoEffect);
    change.plan.goal = "gaming";
    EXPECT_FALSE(teaches(change)) << "a goal's";
    change = ended(Verdict::kNoEffect);
    change.plan.fact.level = 0;
    EXPECT_FALSE(teaches(change)) << "no trouble was seen";
    change = ended(Verdict::kNoEffect);
    change.effect->metric = Metric::kCount;
    EXPECT_FALSE(teaches(change)) << "could not be measured";
    change.effect.reset();
    EXPECT_FALSE(teaches(change)) << "was given up";
}

TEST(Suggestion, ItsChangesAreTriedFromTheChosenOneOn) {
    Suggestion suggestion = ranked(LLAMUX_RANKED_BY_RULES, {0, 0, 0});
    const Candidate* lower = suggestion.candidates.data();
    const Candidate* raise = lower + 1;
    EXPECT_EQ(changes_in_turn(suggestion), (std::vector{lower, raise}));
    suggestion.chosen = 1;
    EXPECT_EQ(changes_in_turn(suggestion), (std::vector{raise, lower}));
    suggestion.candidates[0].here = {3, 0, 0};
    EXPECT_EQ(changes_in_turn(suggestion), std::vector{raise});
    suggestion.chosen = 2;
    EXPECT_TRUE(changes_in_turn(suggestion).empty());
}

TEST(Suggestion, ACandidateIsForTheFactOfItsGroupAndResource) {
    Suggestion suggestion;
    suggestion.facts.resize(3);
    suggestion.facts[0].cause = LLAMUX_CAUSE_SWAP_THRASH;
    suggestion.facts[0].culprit_path = "/batch/job";
    suggestion.facts[1].cause = LLAMUX_CAUSE_CPU_CONTENTION;
    suggestion.facts[1].culprit_path = "/batch/job";
    suggestion.facts[2].cause = LLAMUX_CAUSE_CPU_QUOTA;
    suggestion.facts[2].victim_path = "/web";
    Candidate candidate;
    const auto cause = [&](llamux_action_kind kind, const std::string& path) {
        candidate.kind = kind;
        candidate.cgroup_id = path.empty() ? 0 : 7;
        candidate.cgroup_path = path;
        return fact_of(suggestion, candidate).cause;
    };
    EXPECT_EQ(cause(LLAMUX_ACTION_MEMORY_HIGH, "/batch/job"),
              std::uint32_t{LLAMUX_CAUSE_SWAP_THRASH});
    EXPECT_EQ(cause(LLAMUX_ACTION_CPU_WEIGHT, "/batch/job"),
              std::uint32_t{LLAMUX_CAUSE_CPU_CONTENTION});
    EXPECT_EQ(cause(LLAMUX_ACTION_CPU_WEIGHT, "/batch"), std::uint32_t{LLAMUX_CAUSE_CPU_CONTENTION})
        << "the knob may sit above";
    EXPECT_EQ(cause(LLAMUX_ACTION_MEMORY_LOW, "/web"), std::uint32_t{LLAMUX_CAUSE_CPU_QUOTA});
    EXPECT_EQ(cause(LLAMUX_ACTION_SWAPPINESS, ""), std::uint32_t{LLAMUX_CAUSE_SWAP_THRASH});
    EXPECT_EQ(cause(LLAMUX_ACTION_IO_WEIGHT, "/elsewhere"),
              std::uint32_t{LLAMUX_CAUSE_SWAP_THRASH});
}

TEST(Weigh, WhatDidNotHelpLosesItsRankToTheNext) {
    for (const std::uint32_t by : {LLAMUX_RANKED_BY_RULES, LLAMUX_RANKED_BY_MODEL}) {
        const Suggestion first = ranked(by, {950, 40, 10});
        EXPECT_EQ(weigh(first, after(Verdict::kNoEffect, 2)).chosen, 0u);
        const Suggestion second = weigh(first, after(Verdict::kNoEffect, 3));
        EXPECT_EQ(second.chosen, 1u);
        EXPECT_EQ(second.id, suggestion_id(first.candidates[1]));
        EXPECT_EQ(second.candidates[0].here, (Outcomes{3, 0, 0}));
        EXPECT_EQ(second.candidates[0].probability_permille, 950u) << "as the model said";
        EXPECT_EQ(weigh(first, after(Verdict::kWorse, 2)).chosen, 1u);
    }
}

TEST(Weigh, WhatHelpedKeepsItsRank) {
    for (const std::uint32_t by : {LLAMUX_RANKED_BY_RULES, LLAMUX_RANKED_BY_MODEL}) {
        Suggestion first = ranked(by, {500, 390, 110});
        first.margin_permille = 110;
        const Suggestion second = weigh(first, after(Verdict::kImproved, 3));
        EXPECT_EQ(second.chosen, 0u);
        EXPECT_EQ(second.margin_permille, 110u);
        EXPECT_EQ(second.candidates[0].here, (Outcomes{3, 3, 0}));
        Experience mixed = after(Verdict::kImproved, 3);
        learn(mixed, ended(Verdict::kNoEffect));
        EXPECT_EQ(weigh(ranked(by, {900, 50, 50}), mixed).chosen, 0u);
    }
}

TEST(Weigh, TheMarginIsThatOfTheWeighedProbabilities) {
    // 700 * 1/2 against 250: 100 of 650
    const Suggestion clear =
        weigh(ranked(LLAMUX_RANKED_BY_MODEL, {700, 250, 50}), after(Verdict::kNoEffect, 2));
    EXPECT_EQ(clear.chosen, 0u);
    EXPECT_EQ(clear.margin_permille, 153u);
    // 500 * 2/3 against 400: 67 of 833
    const Suggestion close =
        weigh(ranked(LLAMUX_RANKED_BY_MODEL, {500, 400, 100}), after(Verdict::kNoEffect, 1));
    EXPECT_EQ(close.change(), nullptr);
    EXPECT_EQ(close.id, "");
    // Nothing that was ranked is left.
    EXPECT_EQ(
        weigh(ranked(LLAMUX_RANKED_BY_MODEL, {1000, 0, 0}), after(Verdict::kNoEffect, 3)).change(),
        nullptr);
}

TEST(Weigh, AnotherCauseIsAnotherMatter) {
    Suggestion suggestion = ranked(LLAMUX_RANKED_BY_RULES, {0, 0, 0});
    suggestion.facts[0].cause = LLAMUX_CAUSE_FORK_STORM;
    EXPECT_EQ(weigh(suggestion, after(Verdict::kNoEffect, 9)).chosen, 0u);
}

TEST(ExperienceFile, OutlivesItsProcessAndIsBegunAnewWhenDamaged) {
    FakeMachine machine;
    const ExperienceFile file(machine.roots.state);
    EXPECT_TRUE(file.load()->empty()) << "no file";
    machine.write("state/lock", "");
    ASSERT_TRUE(file.learn(ended(Verdict::kNoEffect)));
    ASSERT_TRUE(file.learn(ended(Verdict::kWorse)));
    const Result<Experience> read = ExperienceFile(machine.roots.state).load();
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(known(*read), (Outcomes{2, 0, 1}));
    for (const char* damage :
         {"", "{}", "{\"lessons\":[{}]}",
          "{\"lessons\":[{\"cause\":\"CPU_CONTENTION\",\"knob\":\"cpu.weight\",\"direction\":"
          "\"lower\",\"outcomes\":{\"tried\":4000000000,\"helped\":4000000000,\"worse\":0},"
          "\"wall_ns\":1}]}"}) {
        machine.write("state/experience.json", damage);
        EXPECT_EQ(file.load().error().code, EBADMSG) << damage;
        ASSERT_TRUE(file.learn(ended(Verdict::kNoEffect)));
        EXPECT_EQ(known(*file.load()), (Outcomes{1, 0, 0})) << damage;
    }
    ASSERT_TRUE(file.forget(LLAMUX_ACTION_CPU_MAX));
    EXPECT_EQ(file.load()->size(), 1u);
    ASSERT_TRUE(file.forget(LLAMUX_ACTION_CPU_WEIGHT));
    EXPECT_TRUE(file.load()->empty());
}

class LearningLoopTest : public LoopTest {
  protected:
    LearningLoopTest() {
        config.policy.retry_after_undo_seconds = 0;
        config.policy.cool_down_seconds = 0;
        config.policy.changes_per_hour = 1000;
        make_loop();
    }
    Outcomes lowered() {
        return outcomes_of(*experience->load(), LLAMUX_CAUSE_CPU_CONTENTION,
                           LLAMUX_ACTION_CPU_WEIGHT, LLAMUX_LOWER, machine.clock.wall_ns());
    }
    void measure_once() {
        tick_until(LoopState::kBaseline);
        tick_until_watching();
    }
};

TEST_F(LearningLoopTest, WhatDidNotHelpIsNotProposedAgain) {
    permille_after = 400;
    tick_times(300);
    EXPECT_EQ(changes().size(), 3u);
    EXPECT_EQ(lowered(), (Outcomes{3, 0, 0}));
    EXPECT_EQ(count(EventType::kRefused), 0) << "given up before it came to a quarantine";
    // Another service, after the next boot.
    make_loop({2, 2});
    events.clear();
    (void)loop->start();
    tick_times(20);
    EXPECT_EQ(count(EventType::kSuggestion), 0);
    EXPECT_EQ(count(EventType::kTrouble), 1) << "no change is better";
    machine.clock.advance_ms(kWeekNs / 1'000'000);
    tick_times(20);
    EXPECT_EQ(count(EventType::kSuggestion), 1) << "another chance";
}

TEST_F(LearningLoopTest, AnEffectIsCountedOnce) {
    measure_once();
    ASSERT_EQ(count(EventType::kKept), 1);
    EXPECT_EQ(lowered(), (Outcomes{1, 1, 0}));
    // Found still kept by the next service, reviewed, and undone at its end.
    make_loop({2, 2});
    (void)loop->start();
    is_healthy = true;
    tick_times(50);
    (void)loop->stop();
    EXPECT_EQ(weight(), "100");
    EXPECT_EQ(lowered(), (Outcomes{1, 1, 0}));
}

TEST_F(LearningLoopTest, WhatIsCutOffOrTakenOverTeachesNothing) {
    tick_until(LoopState::kMeasuring);
    (void)loop->abandon("interrupted");
    permille_after = 400;
    tick_until(LoopState::kMeasuring);
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    tick_until_watching();
    EXPECT_EQ(changes().size(), 2u);
    EXPECT_TRUE(experience->load()->empty());
}

TEST_F(LearningLoopTest, DamageIsSaidAndStopsNothing) {
    machine.write("state/experience.json", "{");
    const TickReport started = loop->start();
    ASSERT_EQ(started.events.size(), 1u);
    EXPECT_NE(started.events[0].text.find("experience.json: not JSON"), std::string::npos);
    measure_once();
    EXPECT_EQ(lowered(), (Outcomes{1, 1, 0}));
}

}  // namespace
}  // namespace llamux
