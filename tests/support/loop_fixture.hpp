// SPDX-License-Identifier: GPL-2.0-only
//
// The agent's loop on a fake machine with a fake module: a web service that waits
// while a hog has its full weight, and advice to halve that.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "loop.hpp"
#include "support/fake_device.hpp"
#include "support/fake_machine.hpp"

namespace llamux {

class LoopTest : public testing::Test {
  protected:
    LoopTest() {
        machine.add_group("/demo/web");
        machine.add_group("/demo/hog");
        config.policy.apply = true;
        config.measure.return_windows = 0;  // tests of it say so
        kernel.window = [this](llamux_snapshot& snapshot) { fill_window(snapshot); };
        kernel.advice = [this](llamux_advice& answer) { advise_less_weight(answer); };
        make_loop();
    }

    void make_loop(Owner owner = {1, 1}) {
        sense = std::make_unique<Sense>(CgroupFs(machine.roots.cgroup), ProcFs(machine.roots),
                                        config.groups);
        knobs = std::make_unique<KernelKnobs>(machine.knobs());
        journal = std::make_unique<Journal>(machine.journal(owner));
        store = std::make_unique<SuggestionStore>(machine.roots.state);
        experience = std::make_unique<ExperienceFile>(machine.roots.state);
        loop = std::make_unique<Loop>(
            LoopParts{.sense = [this] { return sense->read(); },
                      .knobs = *knobs,
                      .journal = *journal,
                      .store = *store,
                      .experience = *experience,
                      .clock = machine.clock,
                      .open_device = [this]() -> Result<std::unique_ptr<Device>> {
                          kernel.n_opened++;
                          if (kernel.open_error != 0) {
                              return errno_error(kernel.open_error, "/dev/llamux");
                          }
                          return std::unique_ptr<Device>(std::make_unique<FakeDevice>(kernel));
                      },
                      .is_alive = [](const Owner&) { return false; },
                      .listener = {}},
            config);
    }

    // The hog's weight decides how long the web service waits.
    void fill_window(llamux_snapshot& snapshot) {
        const bool is_slowed = weight() != "100";
        for (std::uint32_t i = 0; i < snapshot.n_groups; i++) {
            llamux_group_snapshot& group = snapshot.groups[i];
            group.signals.psi = {};
            if (group.signals.cgroup_id == machine.id_of("/demo/web")) {
                group.signals.psi.cpu.some_us =
                    1000 * (is_slowed ? permille_after : permille_before);
            }
        }
        snapshot.signals.psi = {};
    }

    void advise_less_weight(llamux_advice& answer) {
        if (is_healthy) {
            return;
        }
        answer.n_facts = 1;
        answer.facts[0].cause = LLAMUX_CAUSE_CPU_CONTENTION;
        answer.facts[0].level = 2;
        answer.facts[0].victim_id = machine.id_of("/demo/web");
        answer.facts[0].culprit_id = machine.id_of("/demo/hog");
        answer.n_candidates = 2;
        answer.candidates[1] = answer.candidates[0];
        llamux_candidate& candidate = answer.candidates[0];
        candidate.kind = LLAMUX_ACTION_CPU_WEIGHT;
        candidate.direction = LLAMUX_LOWER;
        candidate.cgroup_id = machine.id_of("/demo/hog");
        candidate.value_old = advised_old;
        candidate.value_new = advised_old / 2;
        candidate.probability_permille = 900;
        answer.candidates[1].probability_permille = 100;
        answer.chosen = 0;
    }

    void tick() {
        const TickReport report = loop->tick();
        events.insert(events.end(), report.events.begin(), report.events.end());
        machine.clock.advance_ms(static_cast<std::uint64_t>(report.next.count()));
    }
    void tick_times(int n) {
        for (int i = 0; i < n; i++) {
            tick();
        }
    }
    void tick_until_watching() {
        for (int i = 0; i < 60; i++) {
            tick();
            if (loop->state() == LoopState::kWatching) {
                return;
            }
        }
        FAIL() << "the loop does not come to an end";
    }

    // It measures, and then leaves the hog's weight as it was, for a reason with these words.
    void expect_refused_before_the_write(const std::string& words) {
        tick_until_watching();
        EXPECT_EQ(weight(), "100");
        EXPECT_NE(last_text(EventType::kRefused).find(words), std::string::npos);
        EXPECT_TRUE(changes().empty());
    }
    void tick_until(LoopState state) {
        for (int i = 0; i < 60 && loop->state() != state; i++) {
            tick();
        }
        ASSERT_EQ(loop->state(), state);
    }
    int count(EventType type) const {
        return static_cast<int>(std::count_if(
            events.begin(), events.end(), [&](const Event& event) { return event.type == type; }));
    }
    std::string last_text(EventType type) const {
        std::string text;
        for (const Event& event : events) {
            if (event.type == type) {
                text = event.text;
            }
        }
        return text;
    }
    std::string weight() const { return machine.group_file("/demo/hog", "cpu.weight"); }
    std::vector<Change> changes() { return machine.journal().lock(LockMode::kShared)->changes(); }

    FakeMachine machine;
    FakeKernel kernel;
    Config config;
    bool is_healthy = false;
    std::uint64_t advised_old = 100;
    std::uint64_t permille_before = 400;
    std::uint64_t permille_after = 100;
    std::unique_ptr<Sense> sense;
    std::unique_ptr<KernelKnobs> knobs;
    std::unique_ptr<Journal> journal;
    std::unique_ptr<SuggestionStore> store;
    std::unique_ptr<ExperienceFile> experience;
    std::unique_ptr<Loop> loop;
    std::vector<Event> events;
};

}  // namespace llamux
