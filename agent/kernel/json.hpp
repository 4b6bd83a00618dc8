// SPDX-License-Identifier: GPL-2.0-only
//
// The value types of core/ as JSON: journal lines, stored suggestions and
// --json output all use these, so that they look the same everywhere. Parsing
// checks every field: the files are input.
#pragma once

#include <nlohmann/json.hpp>

#include "core/change.hpp"
#include "core/hold.hpp"
#include "core/result.hpp"
#include "core/suggestion.hpp"

namespace llamux {

using Json = nlohmann::ordered_json;

// "unknown", "max" or the number.
Json number_to_json(std::uint64_t value);

Json to_json(const Settings& settings);
Json to_json(const Evidence& evidence);
Json to_json(const Fact& fact);
Json to_json(const Outcomes& outcomes);
Json to_json(const Candidate& candidate);
Json to_json(const Suggestion& suggestion);
Json to_json(const Plan& plan);
Json to_json(const Effect& effect);
Json to_json(const Entry& entry);
Json to_json(const Change& change);
Json to_json(const Hold& hold);
Json to_json(const Lesson& lesson);

Result<Suggestion> suggestion_from_json(const Json& json);
Result<Entry> entry_from_json(const Json& json);
Result<Lesson> lesson_from_json(const Json& json);
Result<Json> parse_json(std::string_view text);

// One line, invalid UTF-8 in names replaced.
std::string dump_line(const Json& json);

}  // namespace llamux
