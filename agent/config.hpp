// SPDX-License-Identifier: GPL-2.0-only
//
// The configuration file: JSON (comments allowed), every field optional, all
// errors reported at once. docs/AGENT.md describes each field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.hpp"
#include "core/result.hpp"

namespace llamux {

enum class OnExit { kRevert, kKeep };

// Models that can be fetched.
struct ModelSources {
    std::string directory;  // empty: "models" in the state directory
    std::string host;       // empty: as the manifest says
};

// For Prometheus; both empty: none.
struct MetricsPlaces {
    std::string listen;    // loopback address with its port, "127.0.0.1:9756"
    std::string textfile;  // for node_exporter
    bool operator==(const MetricsPlaces&) const = default;
};

struct Config {
    std::uint32_t interval_ms = 5000;
    std::uint32_t ask_again_seconds = 30;  // the model, about the same trouble
    OnExit on_exit = OnExit::kRevert;
    std::string model;  // loaded at start when the module has none
    int nice = 5;
    // Of CPU pressure: from there on the rules answer instead of the model. 0: never.
    std::uint32_t pause_model_permille = 900;
    PolicyLimits policy;
    MeasureLimits measure;
    GroupMarks groups;
    ModelSources models;
    MetricsPlaces metrics;
};

struct ConfigMistake {
    std::size_t line = 0;  // 0: of no one line
    std::size_t column = 0;
    std::string text;

    // "agent.json:3:5: apply must be true or false".
    [[nodiscard]] std::string in_file(const std::string& path) const;
};

// What a file says: the configuration, and all that is wrong with it.
struct ConfigFile {
    Config config;
    std::vector<ConfigMistake> mistakes;       // in the file's order
    std::map<std::string, std::size_t> lines;  // of the fields that it gives
};
ConfigFile parse_config(std::string_view text);

// A file that is not there gives the defaults; @must_exist: gives an error.
Result<ConfigFile> read_config_file(const std::string& path, bool must_exist);
// Any mistake is an error: one line per mistake.
Result<Config> load_config_text(std::string_view text, const std::string& name);
Result<Config> load_config(const std::string& path, bool must_exist);

// A field with its value as JSON text, such as {"on_exit", "\"revert\""}.
struct ConfigValue {
    std::string path;
    std::string json;
};
// Every field there is, in the order of the documentation.
std::vector<ConfigValue> config_values(const Config& config);

}  // namespace llamux
