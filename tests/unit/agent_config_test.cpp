// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a configuration mistake that is ignored, or reported one at a time.
#include <gtest/gtest.h>

#include <algorithm>

#include "config.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

bool mentions(const std::vector<std::string>& errors, const std::string& text) {
    return std::any_of(errors.begin(), errors.end(), [&](const std::string& line) {
        return line.find(text) != std::string::npos;
    });
}

TEST(ConfigTest, NoFileGivesAdviceOnlyDefaults) {
    FakeMachine machine;
    const Result<Config> config = load_config(machine.roots.config, false);
    ASSERT_TRUE(config);
    EXPECT_FALSE(config->policy.apply);
    EXPECT_EQ(config->on_exit, OnExit::kRevert);
    EXPECT_EQ(config->policy.knobs[LLAMUX_ACTION_CPU_WEIGHT], KnobMode::kApply);
    EXPECT_EQ(config->policy.knobs[LLAMUX_ACTION_MEMORY_HIGH], KnobMode::kAdvise);
    EXPECT_FALSE(load_config(machine.roots.config, true).ok());
}

TEST(ConfigTest, EveryFieldIsRead) {
    std::vector<std::string> errors;
    const Config config = parse_config(R"({
        // comments are fine
        "interval_seconds": 2.5, "ask_again_seconds": 60, "apply": true, "on_exit": "keep",
        "model": "/m.gguf", "nice": 10,
        "limits": {"changes_per_hour": 3, "cool_down_seconds": 7, "retry_after_undo_seconds": 8},
        "measure": {"windows": 7, "window_seconds": 0.5, "settle_seconds": 3,
                    "minimum_effect_permille": 150},
        "groups": {"protect": ["/a/*"], "background": ["*/batch"], "latency": ["/web"]},
        "knobs": {"cpu.weight": "advise", "memory.high": "apply", "vm.swappiness": "off"}
    })",
                                       errors);
    EXPECT_TRUE(errors.empty()) << errors.front();
    EXPECT_EQ(config.interval_ms, 2500u);
    EXPECT_EQ(config.ask_again_seconds, 60u);
    EXPECT_TRUE(config.policy.apply);
    EXPECT_EQ(config.on_exit, OnExit::kKeep);
    EXPECT_EQ(config.model, "/m.gguf");
    EXPECT_EQ(config.nice, 10);
    EXPECT_EQ(config.policy.changes_per_hour, 3u);
    EXPECT_EQ(config.policy.cool_down_seconds, 7u);
    EXPECT_EQ(config.policy.retry_after_undo_seconds, 8u);
    EXPECT_EQ(config.measure.windows, 7u);
    EXPECT_EQ(config.measure.window_ms, 500u);
    EXPECT_EQ(config.measure.settle_ms, 3000u);
    EXPECT_EQ(config.measure.minimum_effect_permille, 150u);
    EXPECT_EQ(config.groups.protect, std::vector<std::string>{"/a/*"});
    EXPECT_EQ(config.groups.background, std::vector<std::string>{"*/batch"});
    EXPECT_EQ(config.groups.latency, std::vector<std::string>{"/web"});
    EXPECT_EQ(config.policy.knobs[LLAMUX_ACTION_CPU_WEIGHT], KnobMode::kAdvise);
    EXPECT_EQ(config.policy.knobs[LLAMUX_ACTION_MEMORY_HIGH], KnobMode::kApply);
    EXPECT_EQ(config.policy.knobs[LLAMUX_ACTION_SWAPPINESS], KnobMode::kOff);
}

TEST(ConfigTest, AllMistakesAreReportedAtOnce) {
    std::vector<std::string> errors;
    parse_config(R"({
        "intervall_seconds": 5, "interval_seconds": "5", "apply": 1, "on_exit": "maybe",
        "nice": 40, "model": [], "limits": {"changes_per_hour": -1, "foo": 1},
        "measure": [], "groups": {"protect": ["ssh"], "latency": "x"},
        "knobs": {"memory.max": "apply", "cpu.weight": "yes"}
    })",
                 errors);
    for (const char* expected :
         {"intervall_seconds is not a field", "interval_seconds must be", "apply must be",
          "on_exit must be", "nice must be", "model must be", "limits.changes_per_hour must be",
          "limits.foo is not a field", "measure must be an object", "groups.protect has an entry",
          "groups.latency must be", "knobs.memory.max is not a field",
          "knobs.cpu.weight must be"}) {
        EXPECT_TRUE(mentions(errors, expected)) << expected;
    }
    EXPECT_EQ(errors.size(), 13u);
}

TEST(ConfigTest, BrokenJsonSaysWhere) {
    FakeMachine machine;
    machine.write("agent.json", "{\n  \"apply\": tru\n}");
    const Result<Config> config = load_config(machine.roots.config, false);
    ASSERT_FALSE(config.ok());
    EXPECT_NE(config.error().message.find("line 3, column 0"), std::string::npos)
        << config.error().message;
    std::vector<std::string> errors;
    parse_config("[]", errors);
    EXPECT_EQ(errors.size(), 1u);
}

}  // namespace
}  // namespace llamux
