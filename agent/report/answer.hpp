// SPDX-License-Identifier: GPL-2.0-only
//
// What code says about a suggestion: the verdict, the evidence, the change as
// a diff and how to undo it, how sure the ranking is and what was not looked
// at. Every number of an answer is written here, from the suggestion and its
// snapshot; the model only adds words (report/narration). Pure.
#pragma once

#include <string>
#include <vector>

#include "core/change.hpp"
#include "core/suggestion.hpp"
#include "llamux/telemetry.h"
#include "report/text.hpp"

namespace llamux {

// "/batch.slice" for people; "the system" for an empty path.
std::string group_name(const std::string& path);

// The groups by letter, as the prompt named them: fact by fact, the victim
// before the culprit, each once (kmod/engine/candidates.h).
std::vector<std::string> lettered_names(const Suggestion& suggestion);

// One line: the first fact with victim and culprit by name, or that nothing
// is wrong.
std::string verdict_line(const Suggestion& suggestion);

// One line per piece of evidence of all facts, at most @most: words, value,
// usual value, threshold, window and where it was read.
std::vector<std::string> evidence_lines(const Suggestion& suggestion, std::size_t most = 4);

// The knob before and after as two diff lines; empty for "no change".
std::vector<std::string> diff_lines(const Candidate& candidate);

// What is known from this machine of each change that was tried before, for its cause:
// "lower cpu weight of group B: helped 1 of 4 times here, for this cause; counts 50 %".
std::vector<std::string> experience_lines(const Suggestion& suggestion);

// Why the change cannot do much harm, or what it may cost.
std::string_view risk_words(std::uint32_t kind);

// How far the chosen candidate is ahead of the next: "sure", "likely", "a
// guess"; by whom it was ranked.
std::string confidence_line(const Suggestion& suggestion);

// What this answer did not look at; empty if nothing is missing.
std::string not_checked_line(const llamux_snapshot& snapshot);

// All of it but the model's words, for a terminal of @columns.
std::string answer_text(const Suggestion& suggestion, const llamux_snapshot& snapshot,
                        const Style& style, std::size_t columns);

// Before and after of a measured change: "mean time of a disk request of /web.slice:
// 23.1 ms -> 0.4 ms"; empty without an effect.
std::string effect_line(const Change& change);

}  // namespace llamux
