// SPDX-License-Identifier: GPL-2.0-only
//
// Goal profiles as files: JSON, // comments allowed, one profile a file.
// docs/AGENT.md describes the fields.
#pragma once

#include <string>
#include <vector>

#include "core/goal.hpp"
#include "core/result.hpp"

namespace llamux {

// Every *.json of the directory, by name. Any mistake is an error that names
// the file: a profile that is half understood is not followed.
Result<std::vector<GoalProfile>> read_goal_profiles(const std::string& directory);

}  // namespace llamux
