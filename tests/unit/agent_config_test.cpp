// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a configuration mistake that is ignored, or reported one at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

bool mentions(const std::vector<ConfigMistake>& mistakes, const std::string& text) {
    return std::any_of(mistakes.begin(), mistakes.end(), [&](const ConfigMistake& mistake) {
        return mistake.text.find(text) != std::string::npos;
    });
}

// "line:column text" of each mistake, the text up to its second blank.
std::vector<std::string> places(const ConfigFile& file) {
    std::vector<std::string> all;
    for (const ConfigMistake& mistake : file.mistakes) {
        const std::size_t blank = mistake.text.find(' ', mistake.text.find(' ') + 1);
        all.push_back(std::to_string(mistake.line) + ":" + std::to_string(mistake.column) + " " +
                      mistake.text.substr(0, blank));
    }
    return all;
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
    const ConfigFile file = parse_config(R"({
        // comments are fine
        "interval_seconds": 2.5, "ask_again_seconds": 60, "apply": true, "on_exit": "keep",
        "model": "/m.gguf", "nice": 10, "pause_model_permille": 800,
        "limits": {"changes_per_hour": 3, "cool_down_seconds": 7, "retry_after_undo_seconds": 8,
                   "reverse_after_seconds": 9, "quarantine_after_failures": 4},
        "measure": {"windows": 7, "window_seconds": 0.5, "settle_seconds": 3,
                    "return_windows": 4, "minimum_effect_permille": 150},
        "groups": {"protect": ["/a/*"], "background": ["*/batch"], "latency": ["/web"]},
        "models": {"directory": "/models", "host": "http://mirror"},
        "metrics": {"listen": "127.0.0.1:9100", "textfile": "/run/llamux.prom"},
        "knobs": {"cpu.weight": "advise", "memory.high": "apply", "vm.swappiness": "off"}
    })");
    EXPECT_TRUE(file.mistakes.empty()) << file.mistakes.front().text;
    const Config& config = file.config;
    EXPECT_EQ(file.lines.size(), config_values(config).size() - 7) << "seven knobs are not given";
    EXPECT_EQ(config.interval_ms, 2500u);
    EXPECT_EQ(config.ask_again_seconds, 60u);
    EXPECT_TRUE(config.policy.apply);
    EXPECT_EQ(config.on_exit, OnExit::kKeep);
    EXPECT_EQ(config.model, "/m.gguf");
    EXPECT_EQ(config.nice, 10);
    EXPECT_EQ(config.pause_model_permille, 800u);
    EXPECT_EQ(config.policy.changes_per_hour, 3u);
    EXPECT_EQ(config.policy.cool_down_seconds, 7u);
    EXPECT_EQ(config.policy.retry_after_undo_seconds, 8u);
    EXPECT_EQ(config.policy.reverse_after_seconds, 9u);
    EXPECT_EQ(config.policy.quarantine_after_failures, 4u);
    EXPECT_EQ(config.measure.windows, 7u);
    EXPECT_EQ(config.measure.window_ms, 500u);
    EXPECT_EQ(config.measure.settle_ms, 3000u);
    EXPECT_EQ(config.measure.return_windows, 4u);
    EXPECT_EQ(config.measure.minimum_effect_permille, 150u);
    EXPECT_EQ(config.groups.protect, std::vector<std::string>{"/a/*"});
    EXPECT_EQ(config.groups.background, std::vector<std::string>{"*/batch"});
    EXPECT_EQ(config.groups.latency, std::vector<std::string>{"/web"});
    EXPECT_EQ(config.models.directory, "/models");
    EXPECT_EQ(config.models.host, "http://mirror");
    EXPECT_EQ(config.metrics.listen, "127.0.0.1:9100");
    EXPECT_EQ(config.metrics.textfile, "/run/llamux.prom");
    EXPECT_EQ(config.policy.knobs[LLAMUX_ACTION_CPU_WEIGHT], KnobMode::kAdvise);
    EXPECT_EQ(config.policy.knobs[LLAMUX_ACTION_MEMORY_HIGH], KnobMode::kApply);
    EXPECT_EQ(config.policy.knobs[LLAMUX_ACTION_SWAPPINESS], KnobMode::kOff);
}

TEST(ConfigTest, AllMistakesAreReportedAtOnce) {
    const ConfigFile file = parse_config(R"({
        "intervall_seconds": 5, "interval_seconds": "5", "apply": 1, "on_exit": "maybe",
        "nice": 40, "model": [], "limits": {"changes_per_hour": -1, "foo": 1},
        "measure": [], "groups": {"protect": ["ssh"], "latency": "x"},
        "knobs": {"memory.max": "apply", "cpu.weight": "yes"}
    })");
    for (const char* expected :
         {"intervall_seconds is not a field", "interval_seconds must be", "apply must be",
          "on_exit must be", "nice must be", "model must be", "limits.changes_per_hour must be",
          "limits.foo is not a field", "measure must be an object", "groups.protect has an entry",
          "groups.latency must be", "knobs.memory.max is not a field",
          "knobs.cpu.weight must be"}) {
        EXPECT_TRUE(mentions(file.mistakes, expected)) << expected;
    }
    EXPECT_EQ(file.mistakes.size(), 13u);
}

TEST(ConfigTest, EachMistakeHasItsPlace) {
    const ConfigFile file = parse_config(
        "{ // \"apply\": 1,\n"
        "  \"limits\": { \"changes_per_hour\": -1,\n"
        "\t\"x\\\"y\": [1, {\"apply\": 2}] },\n"
        "  /* \"nice\": \"a\"\n */ \"apply\": 3,\n"
        "  \"groups\": {\"protect\": [\"/a\", \"b\"]}, \"nice\": 1, \"nice\": 2\n"
        "}");
    EXPECT_EQ(places(file), (std::vector<std::string>{
                                "0:0 limits.x\"y is",
                                "2:15 limits.changes_per_hour must",
                                "5:5 apply must",
                                "6:14 groups.protect has",
                                "6:50 nice is",
                            }));
    EXPECT_EQ(file.mistakes[1].in_file("a.json"),
              "a.json:2:15: limits.changes_per_hour must be a whole number from 0 to 1000");
    EXPECT_EQ(file.mistakes[0].in_file("a.json").substr(0, 8), "a.json: ");
}

TEST(ConfigTest, WhatIsShownReadsBackAsTheSame) {
    Config config;
    config.interval_ms = 2500;
    config.on_exit = OnExit::kKeep;
    config.groups.latency = {"/web \"a\"", "*"};
    config.policy.knobs[LLAMUX_ACTION_CPU_MAX] = KnobMode::kOff;
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const ConfigValue& value : config_values(config)) {
        const std::size_t dot = value.path.find('.');
        nlohmann::ordered_json& place =
            dot == std::string::npos ? json[value.path]
                                     : json[value.path.substr(0, dot)][value.path.substr(dot + 1)];
        place = nlohmann::ordered_json::parse(value.json);
    }
    const ConfigFile file = parse_config(json.dump(2));
    EXPECT_TRUE(file.mistakes.empty()) << file.mistakes.front().text;
    EXPECT_EQ(file.config.groups.latency, config.groups.latency);
    const auto text_of = [](const Config& one) {
        std::string all;
        for (const ConfigValue& value : config_values(one)) {
            all += value.path + "=" + value.json + "\n";
        }
        return all;
    };
    EXPECT_EQ(text_of(file.config), text_of(config));
}

TEST(ConfigTest, BrokenJsonSaysWhere) {
    FakeMachine machine;
    machine.write("agent.json", "{\n  \"apply\": tru\n}");
    const Result<Config> config = load_config(machine.roots.config, false);
    ASSERT_FALSE(config.ok());
    EXPECT_NE(config.error().message.find("agent.json:2:15: syntax error"), std::string::npos)
        << config.error().message;
    EXPECT_EQ(parse_config("[]").mistakes.size(), 1u);
    EXPECT_EQ(parse_config("").mistakes.size(), 1u);
    EXPECT_EQ(parse_config(std::string(100000, '[')).mistakes.size(), 1u);
    const std::string deep = std::string(1000, '[') + std::string(1000, ']');
    EXPECT_EQ(parse_config("{\"model\": " + deep + "}").mistakes.size(), 1u);
}

}  // namespace
}  // namespace llamux
