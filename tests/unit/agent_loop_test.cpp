// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a loop that acts when it should only advise, repeats itself, gives
// stale advice without the module, or acts against a person's will. What is
// measured: agent_loop_measure_test.
#include <gtest/gtest.h>

#include <algorithm>

#include "audit.hpp"
#include "kernel/audit_log.hpp"
#include "support/loop_fixture.hpp"

namespace llamux {
namespace {

TEST_F(LoopTest, AdviceOnlyNeverWritesAndSaysItOnce) {
    config.policy.apply = false;
    make_loop();
    tick_times(30);
    EXPECT_EQ(weight(), "100");
    EXPECT_TRUE(changes().empty());
    EXPECT_EQ(count(EventType::kSuggestion), 1);
    EXPECT_EQ(count(EventType::kRefused), 0) << "nobody asked the policy to act";
    // 30 ticks of 5 s; asked again every 30 s, not every tick
    EXPECT_LE(kernel.n_model_asked, 6);
    const auto stored = store->list();
    ASSERT_EQ(stored->size(), 1u);
    EXPECT_EQ(stored->front().prompt, "what the model saw");
    EXPECT_EQ(stored->front().facts[0].victim_path, "/demo/web");
    EXPECT_EQ(stored->front().change()->cgroup_path, "/demo/hog");
}

TEST_F(LoopTest, AHealthyMachineIsLeftInPeace) {
    is_healthy = true;
    tick_times(10);
    EXPECT_TRUE(events.empty());
    EXPECT_EQ(kernel.n_model_asked, 0);
    is_healthy = false;
    tick();
    is_healthy = true;
    tick_until_watching();
    tick();
    EXPECT_EQ(count(EventType::kHealthy), 1);
}

TEST_F(LoopTest, NoChangeIsAnAnswer) {
    kernel.advice = [this](llamux_advice& answer) {
        advise_less_weight(answer);
        answer.chosen = 1;
    };
    tick_times(20);
    EXPECT_EQ(count(EventType::kTrouble), 1);
    EXPECT_TRUE(changes().empty());
}

TEST_F(LoopTest, WithoutTheModuleItOnlyWatchesAndTriesAgainMoreAndMoreSeldom) {
    kernel.open_error = ENOENT;
    make_loop();
    for (int i = 0; i < 60; i++) {
        tick();  // 5 minutes
    }
    EXPECT_EQ(count(EventType::kDegraded), 1);
    EXPECT_LT(kernel.n_opened, 14);
    EXPECT_TRUE(loop->degraded());
    kernel.open_error = 0;
    config.policy.apply = false;
    tick_times(15);
    EXPECT_EQ(count(EventType::kRecovered), 1);
    EXPECT_FALSE(loop->degraded());
}

TEST_F(LoopTest, AdviceFromBeforeAFailureIsNotTakenForNow) {
    config.policy.apply = false;
    make_loop();
    tick_times(2);
    kernel.error = EIO;
    tick_times(3);
    EXPECT_EQ(count(EventType::kSuggestion), 1) << "no module, no advice";
    kernel.error = 0;
    tick_times(15);
    EXPECT_EQ(count(EventType::kSuggestion), 2) << "found and said anew";
}

TEST_F(LoopTest, AnInterruptedCallIsNoFailure) {
    kernel.error = EINTR;
    tick();
    EXPECT_EQ(count(EventType::kDegraded), 0);
}

TEST_F(LoopTest, ImpossibleAdviceIsRefused) {
    kernel.advice = [](llamux_advice& answer) {
        answer.n_facts = 1;
        answer.n_candidates = 99;
    };
    tick();
    EXPECT_EQ(count(EventType::kDegraded), 1);
    EXPECT_TRUE(store->list()->empty());
}

// The hog's weight, and then the web service's.
class TwoRemedies : public LoopTest {
  protected:
    TwoRemedies() {
        kernel.advice = [this](llamux_advice& answer) {
            advise_less_weight(answer);
            answer.n_candidates = 3;
            answer.candidates[2] = answer.candidates[1];
            answer.candidates[1] = answer.candidates[0];
            llamux_candidate& second = answer.candidates[1];
            second.direction = LLAMUX_RAISE;
            second.cgroup_id = machine.id_of("/demo/web");
            second.value_old = 100;
            second.value_new = 200;
            second.probability_permille = 50;
            first(answer.candidates[0]);
        };
    }
    std::vector<std::string> tried() {
        std::vector<std::string> paths;
        for (const Change& change : changes()) {
            paths.push_back(change.plan.target.cgroup_path);
        }
        return paths;
    }
    std::function<void(llamux_candidate&)> first = [](llamux_candidate&) {};
};

TEST_F(TwoRemedies, WhatDidNotHelpGivesWayToTheNext) {
    permille_after = permille_before;
    tick_times(60);
    EXPECT_EQ(tried(), (std::vector<std::string>{"/demo/hog", "/demo/web"}));
    EXPECT_EQ(count(EventType::kUndone), 2);
    EXPECT_EQ(count(EventType::kRefused), 1) << "said once";
    EXPECT_NE(last_text(EventType::kRefused).find("did not help"), std::string::npos);
}

TEST_F(TwoRemedies, WhatIsForAdviceOnlyGivesWayToTheNext) {
    first = [](llamux_candidate& candidate) {
        candidate.kind = LLAMUX_ACTION_CPU_IDLE;
        candidate.direction = LLAMUX_RAISE;
        candidate.value_old = 0;
        candidate.value_new = 1;
    };
    tick_times(30);
    EXPECT_EQ(tried(), std::vector<std::string>{"/demo/web"});
    EXPECT_NE(last_text(EventType::kRefused).find("advice only"), std::string::npos);
    EXPECT_EQ(machine.group_file("/demo/hog", "cpu.idle"), "0");
}

TEST_F(TwoRemedies, WhatWasKeptIsGivenTime) {
    config.policy.cool_down_seconds = 3600;
    make_loop();
    tick_times(200);
    EXPECT_EQ(tried(), std::vector<std::string>{"/demo/hog"});
    EXPECT_EQ(count(EventType::kKept), 1);
    EXPECT_EQ(machine.group_file("/demo/web", "cpu.weight"), "100");
}

TEST_F(LoopTest, AGroupThatVanishesBeforeTheWriteIsLeft) {
    tick_until(LoopState::kBaseline);
    machine.remove_group("/demo/hog");
    tick_until_watching();
    EXPECT_TRUE(changes().empty());
    EXPECT_EQ(count(EventType::kRefused), 1);
}

TEST_F(LoopTest, AGroupMadeAnewUnderTheSameNameIsNotWritten) {
    tick_until(LoopState::kBaseline);
    machine.replace_group("/demo/hog");
    tick_until_watching();
    EXPECT_TRUE(changes().empty());
    EXPECT_EQ(weight(), "100");
}

// Found by the fault suite: the window in which a hog starts took it for the victim.
TEST_F(LoopTest, WhatTheRulesContradictBeforeTheWriteIsNotDone) {
    tick_until(LoopState::kBaseline);
    kernel.advice = [this](llamux_advice& answer) {
        advise_less_weight(answer);
        answer.candidates[0].direction = LLAMUX_RAISE;
        answer.candidates[0].value_new = advised_old * 2;
    };
    expect_refused_before_the_write("the opposite");
}

TEST_F(LoopTest, BothDirectionsAmongTheCandidatesAreNoContradiction) {
    tick_until(LoopState::kBaseline);
    kernel.advice = [this](llamux_advice& answer) {
        advise_less_weight(answer);
        answer.n_candidates = 3;
        answer.candidates[2] = answer.candidates[0];
        answer.candidates[0].direction = LLAMUX_RAISE;
    };
    tick_until(LoopState::kSettling);
    EXPECT_EQ(weight(), "50");
}

// Found by the fault suite: a load that begins takes the CPU for one window.
TEST_F(LoopTest, TroubleThatIsNotSeenAgainIsLeftAlone) {
    tick_until(LoopState::kBaseline);
    kernel.advice = [](llamux_advice& answer) { answer.n_facts = answer.n_candidates = 0; };
    expect_refused_before_the_write("not seen again");
}

TEST_F(LoopTest, TroubleThatComesAndGoesIsActedOn) {
    tick_until(LoopState::kBaseline);
    std::uint32_t look = 0;
    kernel.advice = [this, &look](llamux_advice& answer) {
        advise_less_weight(answer);
        if (look++ != 1) {
            answer.n_facts = answer.n_candidates = 0;
        }
    };
    tick_until(LoopState::kSettling);
    EXPECT_EQ(weight(), "50");
}

// Found by the fault suite: who waits while a machine swaps is not the same in each second.
TEST_F(LoopTest, TroubleWhoseVictimIsNotSeenEachTimeIsActedOn) {
    tick_until(LoopState::kBaseline);
    kernel.advice = [this](llamux_advice& answer) {
        advise_less_weight(answer);
        answer.facts[0].victim_id = 0;
        answer.n_candidates = 0;
    };
    tick_until(LoopState::kSettling);
    EXPECT_EQ(weight(), "50");
}

TEST_F(LoopTest, TroubleOfAnotherIsNotTheSame) {
    tick_until(LoopState::kBaseline);
    kernel.advice = [this](llamux_advice& answer) {
        advise_less_weight(answer);
        answer.facts[0].victim_id += 1000;
        answer.n_candidates = 0;
    };
    expect_refused_before_the_write("not seen again");
}

// Found by the fault suite: trouble that changed with each look kept the model busy.
TEST_F(LoopTest, TheModelThinksATenthOfTheTime) {
    config.policy.apply = false;
    make_loop();
    std::uint32_t look = 0;
    kernel.advice = [&](llamux_advice& answer) {
        advise_less_weight(answer);
        answer.facts[0].cause = 1 + look++ / 2 % 2;  // each look asks twice
        answer.rank_ns = kNsPerSecond;
    };
    for (int i = 0; i < 5; i++) {  // at 0, 5, 10, 15 and 20 s
        tick();
    }
    EXPECT_EQ(kernel.n_model_asked, 3) << "the other looks are the rules'";
}

TEST_F(LoopTest, TheModelPausesWhereTheCpuIsScarce) {
    config.policy.apply = false;
    std::uint64_t permille = 899;
    kernel.window = [&](llamux_snapshot& snapshot) {
        fill_window(snapshot);
        snapshot.signals.psi.cpu.some_us = 1000 * permille;
    };
    make_loop();
    tick();
    EXPECT_EQ(kernel.n_model_asked, 1);
    permille = 900;
    tick_times(30);
    EXPECT_EQ(kernel.n_model_asked, 1) << "the rules are asked again instead";
    config.pause_model_permille = 0;
    loop->reconfigure(config);
    tick_times(10);
    EXPECT_GT(kernel.n_model_asked, 1) << "never pauses";
}

TEST_F(LoopTest, AKnobThatMovedBeforeTheWriteIsLeft) {
    tick_until(LoopState::kBaseline);
    machine.set_group_file("/demo/hog", "cpu.weight", "90");
    tick_until_watching();
    EXPECT_EQ(weight(), "90");
    EXPECT_TRUE(changes().empty());
    EXPECT_NE(last_text(EventType::kRefused).find("100 then, 90 now"), std::string::npos);
}

TEST_F(LoopTest, AKeptKnobThatSomeoneElseSetsIsNoticed) {
    tick_until_watching();
    is_healthy = true;
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    tick_times(15);
    EXPECT_EQ(count(EventType::kFrozen), 1);
    loop->stop();
    EXPECT_EQ(weight(), "70");
}

TEST_F(LoopTest, WithoutPressureFilesItSaysSoOnceAndGoesOn) {
    std::filesystem::remove_all(machine.roots.proc + "/pressure");
    is_healthy = true;
    tick_times(5);
    EXPECT_EQ(events.size(), 1u);
    EXPECT_NE(last_text(EventType::kTrouble).find("PSI is off"), std::string::npos);
}

TEST_F(LoopTest, ADamagedJournalStopsActingButNotUndoing) {
    tick_until_watching();
    machine.write("state/journal.jsonl",
                  machine.read("state/journal.jsonl") + "\n{\"by\":\"hand\"}");
    make_loop({2, 2});
    const TickReport started = loop->start();
    EXPECT_TRUE(std::any_of(started.events.begin(), started.events.end(), [](const Event& event) {
        return event.text.find("journal damaged") != std::string::npos;
    }));
    loop->stop();
    EXPECT_EQ(weight(), "100");
    tick_times(200);
    EXPECT_EQ(changes().size(), 1u) << "nothing new is written";
    for (const Event& e : events) {
        std::printf("%s %s\n", std::string(event_word(e.type)).c_str(), e.text.c_str());
    }
    EXPECT_EQ(count(EventType::kRefused), 1) << "said once";
    EXPECT_NE(last_text(EventType::kRefused).find("journal"), std::string::npos);
}

TEST_F(LoopTest, TheNextServiceUndoesWhatTheLastLeftUnjudged) {
    tick_until(LoopState::kMeasuring);
    ASSERT_EQ(weight(), "50");
    make_loop({2, 2});
    const TickReport started = loop->start();
    ASSERT_EQ(started.events.size(), 1u);
    EXPECT_EQ(started.events[0].type, EventType::kUndone);
    EXPECT_EQ(weight(), "100");
}

TEST_F(LoopTest, AChangeAskedForByAPersonIsMeasuredWithoutActingOn) {
    config.policy.apply = false;
    make_loop();
    tick();
    const auto stored = store->list();
    ASSERT_EQ(stored->size(), 1u);
    loop->begin_change(*stored->front().change(), stored->front().facts[0]);
    tick_until_watching();
    EXPECT_EQ(count(EventType::kKept), 1);
    EXPECT_EQ(weight(), "50");
}

TEST_F(LoopTest, AKnobWhoseChangesFailAgainAndAgainIsLeftAlone) {
    permille_after = 400;
    config.policy.retry_after_undo_seconds = 0;
    config.policy.changes_per_hour = 1000;
    config.policy.quarantine_after_failures = 2;  // before experience speaks against it
    make_loop();
    tick_times(200);
    EXPECT_EQ(changes().size(), 2u);
    EXPECT_NE(last_text(EventType::kRefused).find("not tried again"), std::string::npos);
    {
        Entry freed;
        freed.type = EntryType::kKnobFreed;
        freed.target = KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "", 0};
        ASSERT_TRUE(machine.journal().lock(LockMode::kExclusive)->append(std::move(freed)));
        ASSERT_TRUE(experience->forget(LLAMUX_ACTION_CPU_WEIGHT));  // as `unfreeze` does
    }
    tick_times(200);
    EXPECT_EQ(changes().size(), 4u) << "counted anew once it was given back";
}

// The very value that we wrote: only the watch can tell.
TEST_F(LoopTest, ASysctlThatSomeoneWritesIsTheirsAtOnce) {
    Candidate candidate;
    candidate.kind = LLAMUX_ACTION_SWAPPINESS;
    candidate.direction = LLAMUX_RAISE;
    candidate.value_old = 60;
    candidate.value_new = 80;
    is_healthy = true;
    tick();
    loop->begin_change(candidate, Fact{});
    tick_until(LoopState::kMeasuring);
    machine.writings["vm/swappiness"] = {machine.clock.boot_ns(), 312, 0, "sysctl"};
    tick();
    EXPECT_EQ(loop->state(), LoopState::kWatching);
    EXPECT_NE(last_text(EventType::kFrozen).find("set by sysctl (pid 312, uid 0)"),
              std::string::npos);
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "80");
    // From here on it is left alone, and said once.
    loop->begin_change(candidate, Fact{});
    machine.set_sysctl("vm/swappiness", "60");
    tick_until_watching();
    EXPECT_NE(last_text(EventType::kRefused).find("left alone"), std::string::npos);
    EXPECT_EQ(count(EventType::kFrozen), 1);
}

TEST_F(LoopTest, AFrozenKnobIsNotTouched) {
    Entry frozen;
    frozen.type = EntryType::kKnobFrozen;
    frozen.target = KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "/demo/hog", 0};
    frozen.by = "jane";
    ASSERT_TRUE(machine.journal().lock(LockMode::kExclusive)->append(std::move(frozen)));
    tick_times(50);
    EXPECT_TRUE(changes().empty());
    for (const Event& e : events) {
        std::printf("%s %s\n", std::string(event_word(e.type)).c_str(), e.text.c_str());
    }
    EXPECT_EQ(count(EventType::kRefused), 1) << "said once";
    EXPECT_NE(last_text(EventType::kRefused).find("frozen by jane"), std::string::npos);
}

TEST_F(LoopTest, ALoadThatComesAndGoesMakesNoFlipFlop) {
    constexpr std::uint64_t kPhaseNs = 300 * kNsPerSecond;
    const std::uint64_t start_ns = machine.clock.boot_ns();
    const auto wants_less = [&] {
        return (machine.clock.boot_ns() - start_ns) / kPhaseNs % 2 == 0;
    };
    // In each phase the other weight is the better one.
    kernel.window = [&](llamux_snapshot& snapshot) {
        const bool is_good = wants_less() == (weight() == "50");
        permille_before = is_good ? 100 : 400;
        permille_after = permille_before;
        fill_window(snapshot);
    };
    kernel.advice = [&](llamux_advice& answer) {
        if (wants_less() == (weight() == "50")) {
            return;
        }
        advise_less_weight(answer);
        llamux_candidate& candidate = answer.candidates[0];
        candidate.direction = wants_less() ? LLAMUX_LOWER : LLAMUX_RAISE;
        candidate.value_old = wants_less() ? 100 : 50;
        candidate.value_new = wants_less() ? 50 : 100;
    };
    while (machine.clock.boot_ns() < start_ns + 3600 * kNsPerSecond) {
        tick();
    }
    const std::vector<Change> all = changes();
    EXPECT_GE(all.size(), 1u);
    EXPECT_LE(all.size(), 3u);
    for (std::size_t i = 1; i < all.size(); i++) {
        EXPECT_GE(all[i].planned_boot_ns - all[i - 1].last_boot_ns, 1800 * kNsPerSecond);
    }
}

// tests/cli/schema_test.py runs it for the audit log that it leaves.
TEST_F(LoopTest, EveryKindOfEventIsAudited) {
    config.policy.retry_after_undo_seconds = 0;
    config.policy.cool_down_seconds = 0;
    make_loop();
    permille_after = 400;
    tick_until_watching();  // of no effect: undone
    permille_after = 100;
    tick_until_watching();  // kept
    kernel.error = EIO;
    tick();
    kernel.error = 0;
    machine.clock.advance_ms(60'000);
    tick();  // the module is back; the knob has moved, which the policy refuses
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    machine.clock.advance_ms(60'000);
    tick();  // someone else's
    is_healthy = true;
    tick();
    const char* place = std::getenv("LLAMUX_AUDIT_DIRECTORY");
    const std::string directory = place ? place : machine.roots.state;
    const AuditLog log(directory);
    for (const Event& event : events) {
        ASSERT_TRUE(log.append(audit_record(event, journal->writer(), machine.clock)));
    }
    for (const EventType type :
         {EventType::kSuggestion, EventType::kMeasuring, EventType::kApplied, EventType::kKept,
          EventType::kUndone, EventType::kRefused, EventType::kFrozen, EventType::kDegraded,
          EventType::kRecovered, EventType::kHealthy}) {
        EXPECT_GE(count(type), 1) << event_word(type);
    }
}

TEST_F(LoopTest, ANewConfigurationCountsFromTheNextTickAndLosesNothing) {
    tick_until(LoopState::kMeasuring);
    config.policy.apply = false;
    config.on_exit = OnExit::kKeep;
    loop->reconfigure(config);
    tick_until_watching();
    EXPECT_EQ(count(EventType::kKept), 1) << "what was begun is seen through";
    loop->stop();
    EXPECT_EQ(weight(), "50");
}

TEST_F(LoopTest, TheHourlyLimitIsNeverExceeded) {
    config.policy.changes_per_hour = 1;
    config.policy.cool_down_seconds = 0;
    make_loop();
    tick_until_watching();
    advised_old = 50;
    tick_times(100);
    EXPECT_EQ(changes().size(), 1u);
    EXPECT_NE(last_text(EventType::kRefused).find("one hour"), std::string::npos);
}

}  // namespace
}  // namespace llamux
