// SPDX-License-Identifier: GPL-2.0-only
//
// The configuration file: JSON (comments allowed), every field optional, all
// errors reported at once. docs/AGENT.md describes each field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.hpp"
#include "core/result.hpp"

namespace llamux {

enum class OnExit { kRevert, kKeep };

struct Config {
    std::uint32_t interval_ms = 5000;
    std::uint32_t ask_again_seconds = 30;  // the model, about the same trouble
    OnExit on_exit = OnExit::kRevert;
    std::string model;  // loaded at start when the module has none
    int nice = 5;
    PolicyLimits policy;
    MeasureLimits measure;
    GroupMarks groups;
};

// @errors: out: one line per mistake, in the file's order; empty on success.
Config parse_config(std::string_view text, std::vector<std::string>& errors);

// A file that is not there gives the defaults; @must_exist: gives an error.
// The error's message has one line per mistake.
Result<Config> load_config(const std::string& path, bool must_exist);

}  // namespace llamux
